// What the gate signs is taken by packages/guard and by the Python sample, and whatever somebody changed in it by neither.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { before, test } from 'node:test'
import { createGuard, type Jwk, NotVouched } from '@callgate/guard'
import { SignJWT } from 'jose'
import { signCaller } from '../../packages/gateway/src/adapters/credentials/index.ts'
import type { Principal } from '../../packages/gateway/src/call/call.ts'
import { encodeRequest } from '../../packages/gateway/src/mcp/jsonrpc.ts'

const ISSUER = 'https://gate.example'
const SERVER = 'crm'
const ARGS = Buffer.from('{ "note":"caf\u00e9 \\"}{,\\\\", "n": 1.0e1, "deep": {"arguments": [1, 2]} }')
const PRINCIPAL: Principal = {
  actor: { id: 'planner', type: 'agent' },
  subject: 'ada',
  tenant: 'acme',
  clientId: 'desk',
  grants: [],
  token: { iss: 'https://idp.example', jtiHash: '', exp: 0, iat: 0 },
}
const ADA = {
  issuer: 'https://idp.example',
  subject: 'ada',
  actor: 'planner',
  client: 'desk',
  tenant: 'acme',
}

const ed = generateKeyPairSync('ed25519')
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const stranger = generateKeyPairSync('ed25519')
const jwks = { keys: [jwk(ed.publicKey, 'ed'), jwk(p256.publicKey, 'p256')] }
const gate = {
  issuer: ISSUER,
  signer: {
    alg: 'EdDSA' as const,
    kid: 'ed',
    publicKey: ed.publicKey,
    sign: (bytes: Uint8Array) => sign(null, bytes, ed.privateKey),
  },
}
const byP256 = {
  alg: 'ES256' as const,
  kid: 'p256',
  publicKey: p256.publicKey,
  sign: (bytes: Uint8Array) => sign('sha256', bytes, { key: p256.privateKey, dsaEncoding: 'ieee-p1363' }),
}

function jwk(key: KeyObject, kid: string): Jwk {
  return { ...key.export({ format: 'jwk' }), kid }
}

/** The request as the gate writes it; the tool `ping` takes no arguments. */
function request(token: string | undefined, tool = 'update'): string {
  const args = tool === 'ping' ? undefined : ARGS
  const meta =
    token === undefined ? undefined : { other: '{"callgate/caller":"x"}', 'callgate/caller': token }
  return encodeRequest(7, 'tools/call', { name: tool }, args, meta).toString()
}

/** An assertion by hand, right but for its changes. */
function forged(changes: object, header: object = {}, key = ed.privateKey): Promise<string> {
  const iat = Math.floor(Date.now() / 1_000)
  const claims = {
    iss: ISSUER,
    aud: SERVER,
    sub: 'ada',
    sub_id: { iss: ADA.issuer },
    act: { sub: 'planner' },
    client_id: 'desk',
    tenant: 'acme',
    tool: 'ping',
    args_sha256: NOTHING,
    iat,
    exp: iat + 60,
    jti: crypto.randomUUID(),
  }
  const protectedHeader = { alg: 'EdDSA', typ: 'callgate-caller+jwt', kid: 'ed', ...header }
  return new SignJWT({ ...claims, ...changes }).setProtectedHeader(protectedHeader).sign(key)
}

const NOTHING = '47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU'
const nowS = Math.floor(Date.now() / 1_000)
const signed = signCaller(gate, SERVER, PRINCIPAL, 'update', ARGS)
const ping = async (token: string | Promise<string>): Promise<string> => request(await token, 'ping')
const unsigned = (await forged({})).split('.')
unsigned[0] = Buffer.from('{"alg":"none","typ":"callgate-caller+jwt","kid":"ed"}').toString('base64url')

/** Bodies in the order in which one server gets them, and who may be read out of them; undefined: nobody. */
const CALLS: readonly (readonly [what: string, body: string, caller: object | undefined])[] = [
  ['the gate signed it', request(signed), ADA],
  ['it comes again', request(signed), undefined],
  ['no arguments', await ping(signCaller(gate, SERVER, PRINCIPAL, 'ping', undefined)), ADA],
  [
    'ES256',
    await ping(signCaller({ issuer: ISSUER, signer: byP256 }, SERVER, PRINCIPAL, 'ping', undefined)),
    ADA,
  ],
  ['by hand', await ping(forged({})), ADA],
  ['no assertion', request(undefined), undefined],
  [
    'an argument changed',
    request(signCaller(gate, SERVER, PRINCIPAL, 'update', ARGS)).replace('1.0e1', '1.0e2'),
    undefined,
  ],
  [
    'a space more',
    request(signCaller(gate, SERVER, PRINCIPAL, 'update', ARGS)).replace('[1, 2]', '[1,  2]'),
    undefined,
  ],
  ['another tool', request(signCaller(gate, SERVER, PRINCIPAL, 'update', ARGS), 'delete'), undefined],
  [
    'two arguments',
    request(signCaller(gate, SERVER, PRINCIPAL, 'update', ARGS)).replace(
      '"arguments"',
      '"arguments":{},"arguments"',
    ),
    undefined,
  ],
  ['another server', await ping(signCaller(gate, 'mail', PRINCIPAL, 'ping', undefined)), undefined],
  ['several servers', await ping(forged({ aud: [SERVER, 'mail'] })), undefined],
  [
    'another gate',
    await ping(
      signCaller({ ...gate, issuer: 'https://other.example' }, SERVER, PRINCIPAL, 'ping', undefined),
    ),
    undefined,
  ],
  ['a stranger signed it', await ping(forged({}, {}, stranger.privateKey)), undefined],
  ['an unknown key', await ping(forged({}, { kid: 'none' }, stranger.privateKey)), undefined],
  ['nobody signed it', request(`${unsigned[0]}.${unsigned[1]}.`, 'ping'), undefined],
  ['a subject token', await ping(forged({}, { typ: 'callgate-subject+jwt' })), undefined],
  ['expired', await ping(forged({ iat: nowS - 90, exp: nowS - 30 })), undefined],
  ['early', await ping(forged({ iat: nowS + 30, exp: nowS + 60 })), undefined],
  ['long', await ping(forged({ exp: nowS + 3_600 })), undefined],
  ['without its jti', await ping(forged({ jti: undefined })), undefined],
  ['no actor', await ping(forged({ act: undefined })), undefined],
]

test('the guard takes what the gate signed for this very call, once, and nothing else', async () => {
  const guard = createGuard({ issuer: ISSUER, server: SERVER, keys: jwks })
  for (const [what, body, expected] of CALLS) {
    const { caller } = await guard.admit(Buffer.from(body)).catch((cause: unknown) => {
      assert.ok(cause instanceof NotVouched)
      return { caller: undefined }
    })
    const { tool: _tool, expiresAt: _expiresAt, ...who } = caller ?? {}
    assert.deepEqual(caller && who, expected, what)
  }
})

const hasCryptography = spawnSync('python3', ['-c', 'import cryptography']).status === 0
let answers: readonly unknown[] = []

before(() => {
  if (!hasCryptography) return
  const program = `
import json, sys
from verify_caller import CallerVerifier, NotVouchedFor
given = json.load(sys.stdin)
verifier = CallerVerifier(given["issuer"], given["server"], given["jwks"])
def answer(body):
    try:
        return verifier.verify(body.encode())
    except NotVouchedFor:
        return None
print(json.dumps([answer(body) for body in given["bodies"]]))
`
  const { stdout, stderr } = spawnSync('python3', ['-B', '-c', program], {
    cwd: import.meta.dirname,
    input: JSON.stringify({ issuer: ISSUER, server: SERVER, jwks, bodies: CALLS.map(([, body]) => body) }),
    encoding: 'utf8',
    timeout: 20_000,
  })
  assert.equal(stderr, '')
  answers = JSON.parse(stdout)
})

test(
  'the Python sample says the same of every call',
  { skip: hasCryptography ? false : 'identity.caller-assertion: python3 has no package `cryptography` here' },
  () => {
    assert.equal(answers.length, CALLS.length)
    for (const [at, [what, , caller]] of CALLS.entries())
      assert.deepEqual(answers[at] ?? undefined, caller, what)
  },
)
