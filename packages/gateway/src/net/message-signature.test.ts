import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import * as fc from 'fast-check'
import {
  type SignableMessage,
  SignatureFault,
  isSignedBy,
  readSignature,
  signMessage,
} from './message-signature.ts'

const NOW_S = 1_800_000_000
const KEYS = {
  p256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  p384: generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  ed25519: generateKeyPairSync('ed25519'),
}

const MESSAGE: SignableMessage = {
  method: 'POST',
  targetUri: 'https://gate.example/mcp',
  headers: [
    ['Authorization', 'DPoP token'],
    ['DPoP', 'proof'],
    ['Content-Type', 'application/json'],
    ['Mcp-Method', 'tools/call'],
    ['Accept', 'application/json'],
  ].flat(),
  body: Buffer.from('{"jsonrpc":"2.0"}'),
}

function signed(message: SignableMessage = MESSAGE, kind: keyof typeof KEYS = 'p256'): SignableMessage {
  const { privateKey } = KEYS[kind]
  return { ...message, headers: [...message.headers, ...signMessage(message, privateKey, 'thumb', NOW_S)] }
}

/** Whether a message holds: `holds`, `unsigned`, or why not. */
function judge(message: SignableMessage, kind: keyof typeof KEYS = 'p256'): string {
  try {
    const signature = readSignature(message)
    if (signature === undefined) return 'unsigned'
    return isSignedBy(signature, KEYS[kind].publicKey) ? 'holds' : 'forged'
  } catch (error) {
    assert.ok(error instanceof SignatureFault, String(error))
    return error.message
  }
}

const replaced = (message: SignableMessage, name: string, value: string): SignableMessage => ({
  ...message,
  headers: message.headers.map((each, i) => (message.headers[i - 1]?.toLowerCase() === name ? value : each)),
})
const header = ({ headers }: SignableMessage, name: string): string =>
  headers[headers.findIndex((each) => each.toLowerCase() === name) + 1] ?? ''
const without = (message: SignableMessage, name: string): SignableMessage => ({
  ...message,
  headers: message.headers.filter((each, i, all) => {
    const at = i % 2 === 0 ? each : (all[i - 1] ?? '')
    return at.toLowerCase() !== name
  }),
})

test('a message signed by each kind of key holds by that key, and by no other', () => {
  for (const kind of ['p256', 'p384', 'ed25519'] as const) {
    const message = signed(MESSAGE, kind)
    assert.equal(judge(message, kind), 'holds')
    for (const other of ['p256', 'p384', 'ed25519'] as const)
      if (other !== kind) assert.equal(judge(message, other), 'forged')
  }
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 })
  assert.throws(() => signMessage(MESSAGE, privateKey, 'thumb', NOW_S), TypeError)
  assert.equal(judge(signed({ ...MESSAGE, method: 'GET', body: undefined })), 'holds')
  assert.equal(judge(MESSAGE), 'unsigned')
})

test('what is signed is what RFC 9421 writes: its ed25519 example verifies', () => {
  // Appendix B.1.4 and B.2.6: key test-key-ed25519, signature over date, @method, @path, @authority, content-type, content-length.
  const key = createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: 'JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs' },
    format: 'jwk',
  })
  const params =
    '("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"'
  const base = [
    '"date": Tue, 20 Apr 2021 02:07:55 GMT',
    '"@method": POST',
    '"@path": /foo',
    '"@authority": example.com',
    '"content-type": application/json',
    '"content-length": 18',
    `"@signature-params": ${params}`,
  ].join('\n')
  const signature = Buffer.from(
    'wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==',
    'base64',
  )
  const read = { created: 0, expires: 0, nonce: '', keyId: '', algorithm: 'ed25519', base, signature }
  assert.equal(isSignedBy(read, key), true)
  assert.equal(isSignedBy({ ...read, base: base.replace('POST', 'PUT') }, key), false)
})

test('every change of what means something is seen; what means nothing may change', () => {
  const message = signed()
  assert.equal(judge({ ...message, method: 'PUT' }), 'forged')
  assert.equal(judge({ ...message, targetUri: 'https://gate.example/mcp/crm' }), 'forged')
  for (const name of ['authorization', 'dpop', 'accept', 'content-type', 'mcp-method'])
    assert.equal(judge(replaced(message, name, 'another')), 'forged', name)
  assert.equal(
    judge({ ...message, body: Buffer.from('{"jsonrpc":"2.1"}') }),
    'Content-Digest is not that of the body',
  )
  assert.equal(judge({ ...message, body: undefined }), 'Content-Digest is not that of the body')
  assert.equal(
    judge(replaced(message, 'content-digest', 'sha-256=:AAAA:')),
    'Content-Digest is not that of the body',
  )
  assert.equal(judge(without(message, 'content-digest')), 'the body has no Content-Digest')
  assert.equal(judge(without(message, 'mcp-method')), 'covers `mcp-method`, which is not there')
  const more = (name: string): SignableMessage => ({ ...message, headers: [...message.headers, name, 'x'] })
  assert.equal(judge(more('Mcp-Name')), 'does not cover `mcp-name`')
  assert.equal(judge(more('Last-Event-ID')), 'does not cover `last-event-id`')
  assert.equal(judge(more('Content-Encoding')), 'does not cover `content-encoding`')
  assert.equal(judge(more('Authorization')), 'header `authorization` stands twice')
  assert.equal(judge(more('Signature')), 'header `signature` stands twice')
  assert.equal(judge(more('X-Forwarded-For')), 'holds')
  assert.equal(judge(without(message, 'signature')), 'Signature and Signature-Input belong together')
  const input = header(message, 'signature-input')
  for (const [from, to, why] of [
    ['"@method" ', '', /does not cover `@method`/],
    ['"@method"', '"@method" "@method"', /covered twice/],
    ['callgate=', 'sig1=', /not one signature/],
    ['callgate=', 'sig1=("@method");created=1, callgate=', /not one signature/],
    [';tag="callgate"', '', /`tag` is missing/],
    [';tag="callgate"', ';tag="other"', /`tag` is not/],
    [`;expires=${NOW_S + 60}`, `;expires=${NOW_S + 61}`, /lives longer than 60 s/],
    [`;expires=${NOW_S + 60}`, `;expires=${NOW_S}`, /ends before it begins/],
    [`;expires=${NOW_S + 60}`, '', /`expires` is missing/],
    [`;created=${NOW_S}`, `;created=${NOW_S};created=1`, /stands twice/],
    [';alg=', ';extra=1;alg=', /is not known/],
    ['alg="ecdsa-p256-sha256"', 'alg="hmac-sha256"', /forged/],
    ['alg="ecdsa-p256-sha256"', 'alg="__proto__"', /forged/],
    [/nonce="[^"]+"/, 'nonce="short"', /shorter than 128 bits/],
  ] as const) {
    assert.match(judge(replaced(message, 'signature-input', input.replace(from, to))), why, String(to))
  }
  assert.match(judge(replaced(message, 'signature-input', `${input}${' '.repeat(3_000)}x`)), /longer than/)
})

test('one changed sign of either header is seen, wherever it stands', () => {
  const message = signed()
  for (const name of ['signature-input', 'signature']) {
    const value = header(message, name)
    for (let i = 0; i < value.length; i++) {
      const changed = value.slice(0, i) + (value[i] === 'A' ? 'B' : 'A') + value.slice(i + 1)
      // Bits of the last sign of base64 that stand for nothing are not the signature.
      if (Buffer.from(changed.slice(10), 'base64').equals(Buffer.from(value.slice(10), 'base64'))) continue
      assert.notEqual(judge(replaced(message, name, changed)), 'holds', `${name} ${i}`)
    }
  }
})

test('no headers make the reading throw anything but a fault, and none that was not signed holds', () => {
  const message = signed()
  const piece = fc.oneof(
    fc.constantFrom('callgate=', '("@method")', ';created=1', ';nonce="', '"', ')', ':', 'AAAA', ',', '\\'),
    fc.string({ maxLength: 8 }),
  )
  const text = fc.array(piece, { maxLength: 10 }).map((parts) => parts.join(''))
  fc.assert(
    fc.property(text, text, (input, signature) => {
      const changed = replaced(replaced(message, 'signature-input', input), 'signature', signature)
      assert.notEqual(judge(changed), 'holds')
    }),
    { numRuns: 1_000 },
  )
})
