import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { DpopKey } from '../../../../../test/harness/dpop.ts'
import { openKeyRing } from '../../adapters/file/key-ring.ts'
import { createSessions } from '../../adapters/memory/sessions.ts'
import type { Caller } from '../../call/call.ts'
import { verifies } from '../../testing/verifies.ts'
import { MAX_PROOF_AGE_S, thumbprintOf } from './dpop.ts'
import { type IdentityOptions, createIdentity } from './identity.ts'
import { createNonces } from './nonces.ts'
import {
  AGGREGATE,
  GATE,
  ISSUER,
  NOW_S,
  TestKeys,
  TestReplay,
  bench,
  refuses,
  token,
} from './testing/bench.ts'

const key = new DpopKey()
const bound = (over: Record<string, unknown> = {}): string => token({ cnf: { jkt: key.jkt }, ...over })

/** The caller of one HTTP request with a proof. */
function caller(jwt: string | undefined, over: Partial<Caller> = {}): Partial<Caller> {
  const proof =
    jwt === undefined ? undefined : { jwt, httpMethod: 'POST', headers: [], body: undefined, url: GATE }
  return { scheme: 'DPoP', proof, ...over }
}

const at = (iat = NOW_S) => ({ iat })
const proving = (options: Partial<IdentityOptions> = {}) => bench({ replay: 'proof', ...options })

test('without a word in the options only tokens that are bound to a key are accepted', async () => {
  verifies('play2.jti-replay.bound-tokens')
  const identity = createIdentity(
    { keys: new TestKeys(), replay: new TestReplay(), sessions: createSessions() },
    { issuers: [{ issuer: ISSUER }] },
  )
  const ask = async (text: string, over: Partial<Caller>) =>
    identity.authenticate({ peer: '192.0.2.1', token: text, endpoint: AGGREGATE, ...over }, NOW_S * 1_000)
  await refuses(ask(token(), { scheme: 'Bearer' }), 'CG_IDENTITY_UNBOUND', /no `cnf`/)
  const text = bound()
  const { principal } = await ask(text, caller(key.proof(GATE, text, at())))
  assert.equal(principal.subject, 'alice')
})

test('a token bound by DPoP serves many requests, each with a proof of its own', async () => {
  const { ask, replay } = proving()
  const text = bound()
  for (let i = 0; i < 5; i++) await ask(text, caller(key.proof(GATE, text, at())))
  assert.equal(replay.asked, 6, 'the token once, each proof once')
})

test('a proof is used once, also by its own sender, and within one request it is judged once', async () => {
  verifies('play2.jti-replay.bound-tokens')
  const replayed: string[] = []
  const { ask } = proving({
    onReplayed: (_, what) => replayed.push(what),
    // Else whoever overhears one request could end the session that it belongs to.
    onRevoked: () => replayed.push('revoked'),
  })
  const text = bound()
  const jwt = key.proof(GATE, text, at())
  const request = caller(jwt)
  await ask(text, request)
  await ask(text, request)
  await refuses(ask(text, caller(jwt)), 'CG_IDENTITY_PROOF', /was used before/)
  assert.deepEqual(replayed, ['proof'])
  await ask(text, caller(key.proof(GATE, text, at())))
  const other = bound()
  await refuses(ask(other, request), 'CG_IDENTITY_PROOF', /`ath` names another token/)
})

test('each member of a proof that is missing or wrong is refused by its own reason', async () => {
  verifies('play2.jti-replay.bound-tokens')
  const { ask } = proving()
  const text = bound()
  const cases: readonly (readonly [Record<string, unknown>, RegExp])[] = [
    [{ htm: 'GET' }, /`htm` is not POST/],
    [{ htm: undefined }, /`htm`/],
    [{ htm: 'post' }, /`htm`/],
    [{ htu: 'https://gate.example/mcp/crm' }, /`htu` is not/],
    [{ htu: 'https://evil.example/mcp' }, /`htu` is not/],
    [{ htu: 'http://gate.example/mcp' }, /`htu` is not/],
    [{ htu: 'https://u@gate.example/mcp' }, /`htu` is not/],
    [{ htu: undefined }, /`htu` is not/],
    [{ ath: 'x' }, /`ath`/],
    [{ ath: undefined }, /`ath`/],
    [{ jti: undefined }, /`jti`/],
    [{ jti: '' }, /`jti`/],
    [{ jti: 'x'.repeat(513) }, /`jti`/],
    [{ jti: 7 }, /`jti`/],
    [{ iat: undefined }, /`iat` is not a number/],
    [{ iat: '1' }, /`iat` is not a number/],
    [{ iat: NOW_S + 31 }, /in the future/],
    [{ iat: NOW_S - MAX_PROOF_AGE_S - 31 }, /s ago, at most 60 s/],
  ]
  for (const [over, says] of cases) {
    const jwt = key.proof(GATE, text, { ...at(), ...over })
    await refuses(ask(text, caller(jwt)), 'CG_IDENTITY_PROOF', says)
  }
  const passing: readonly Record<string, unknown>[] = [
    { htu: 'HTTPS://GATE.example:443/mcp?x=1#y' },
    { jti: 'x'.repeat(512) },
    { iat: NOW_S + 30 },
    { iat: NOW_S - MAX_PROOF_AGE_S - 29 },
    { nonce: 'nobody asked for it' },
  ]
  for (const over of passing) await ask(text, caller(key.proof(GATE, text, { ...at(), ...over })))
})

test('a header that is no public key of the token, or an algorithm that is not accepted, is refused', async () => {
  const { ask } = proving()
  const text = bound()
  const other = new DpopKey()
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const cases: readonly (readonly [Record<string, unknown>, RegExp])[] = [
    [{ typ: 'JWT' }, /`typ` is not/],
    [{ typ: undefined }, /`typ` is not/],
    [{ jwk: undefined }, /`jwk` is missing/],
    [{ jwk: other.jwk }, /not the key that the token is bound to/],
    [{ jwk: { ...key.jwk, d: 'x' } }, /holds a private key/],
    [{ jwk: { kty: 'oct', k: 'x' } }, /holds a private key/],
    [{ jwk: privateKey.export({ format: 'jwk' }) }, /holds a private key/],
    [{ jwk: { kty: '__proto__' } }, /not the key/],
    [{ jku: 'https://evil.example' }, /`jku`/],
    [{ crit: ['x'] }, /`crit`/],
    [{ alg: 'none' }, /`alg` is .none/],
    [{ alg: 'HS256' }, /`alg` is .HS256/],
    [{ alg: 'RS256' }, /key .* is/],
  ]
  for (const [header, says] of cases) {
    await refuses(ask(text, caller(key.proof(GATE, text, at(), header))), 'CG_IDENTITY_PROOF', says)
  }
  const jwt = key.proof(GATE, text, at())
  const [head = '', payload = '', signature = ''] = jwt.split('.')
  const flipped = `${head}.${payload}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`
  await refuses(ask(text, caller(flipped)), 'CG_IDENTITY_PROOF', /signature does not verify/)
  await refuses(ask(text, caller('x'.repeat(4_097))), 'CG_IDENTITY_PROOF', /longer than 4096/)
  await refuses(ask(text, caller(undefined)), 'CG_IDENTITY_PROOF', /no DPoP proof, or more than one/)
  await ask(text, caller(jwt))
})

test('a bound token is not taken as a bearer token, nor a bearer token as a bound one', async () => {
  verifies('play2.jti-replay.bound-tokens')
  const { ask } = bench({ replay: 'session' })
  const text = bound()
  const jwt = key.proof(GATE, text, at())
  await refuses(ask(text, caller(jwt, { scheme: 'Bearer' })), 'CG_IDENTITY_PROOF', /came as Bearer/)
  await ask(text, caller(jwt))
  const plain = token()
  await refuses(ask(plain, caller(key.proof(GATE, plain, at()))), 'CG_IDENTITY_PROOF', /bound to no key/)
  await ask(plain, { scheme: 'Bearer' })
})

test('a confirmation that cannot be checked here is refused, not ignored', async () => {
  const { ask } = bench({ replay: 'session' })
  const good = { jkt: key.jkt }
  for (const [cnf, says] of [
    [{}, /names no key/],
    [{ jwk: key.jwk }, /names no key/],
    [{ ...good, kid: 'x' }, /has .kid/],
    [{ jkt: 'short' }, /43 base64url/],
    [{ jkt: 7 }, /a string/],
    ['x', /an object/],
    [null, /an object/],
  ] as const) {
    await refuses(ask(token({ cnf })), 'CG_IDENTITY_CLAIM', says)
  }
})

test('where nonces are asked for, a proof without a fresh one learns a nonce, and holds with it', async (t) => {
  verifies('play2.jti-replay.bound-tokens')
  const folder = mkdtempSync(join(tmpdir(), 'callgate-nonces-'))
  const keyRing = await openKeyRing(folder)
  t.after(() => {
    keyRing.close()
    rmSync(folder, { recursive: true })
  })
  const { identity } = bench({ replay: 'proof' }, { nonces: createNonces(keyRing) })
  const text = bound()
  const ask = async (claims: Record<string, unknown>, nowS = NOW_S) =>
    identity.authenticate(
      {
        peer: '192.0.2.1',
        token: text,
        endpoint: AGGREGATE,
        ...caller(key.proof(GATE, text, { iat: nowS, ...claims })),
      },
      nowS * 1_000,
    )
  const { nonce } = await refuses(ask({}), 'CG_IDENTITY_NONCE', /no nonce/)
  assert.ok(nonce !== undefined && nonce.length > 20)
  await refuses(
    ask({ nonce: nonce.replace(/.(?=.{20}$)/, (one) => (one === 'A' ? 'B' : 'A')) }),
    'CG_IDENTITY_NONCE',
    /not fresh/,
  )
  await ask({ nonce })
  await ask({ nonce }, NOW_S + 299)
  await refuses(ask({ nonce }, NOW_S + 301), 'CG_IDENTITY_NONCE', /not fresh/)
})

test('proofs that do not hold spend the budget of their peer, good ones give it back', async () => {
  const { ask } = proving({ missesPerS: 1, missBurst: 3 })
  const text = bound()
  for (let i = 0; i < 10; i++) await ask(text, caller(key.proof(GATE, text, at())))
  const bad = () => ask(text, caller(key.proof(GATE, text, { ...at(), ath: 'x' })))
  for (let i = 0; i < 3; i++) await refuses(bad(), 'CG_IDENTITY_PROOF', /ath/)
  await refuses(bad(), 'CG_IDENTITY_FLOOD', /budget/)
})

test('a token bound to a certificate is served on connections of that certificate alone', async () => {
  verifies('play2.jti-replay.bound-tokens')
  const { ask } = proving()
  const certificate = {
    thumbprint: 'c'.repeat(43),
    uris: [],
    dns: [],
    subject: 'CN=x',
    notBefore: NOW_S - 1,
    notAfter: NOW_S + 1_000,
  }
  const text = token({ cnf: { 'x5t#S256': certificate.thumbprint } })
  await refuses(ask(text), 'CG_IDENTITY_CERTIFICATE', /than none/)
  const other = { ...certificate, thumbprint: 'd'.repeat(43) }
  await refuses(ask(text, { certificate: other }), 'CG_IDENTITY_CERTIFICATE', /the one that was shown/)
  await ask(text, { certificate })
  await ask(text, { certificate: { ...certificate } })
  // A connection, and a session that is resumed, outlive the certificate.
  const short = { ...certificate, notAfter: NOW_S + 10 }
  await ask(text, { certificate: short }, NOW_S + 9)
  await refuses(ask(text, { certificate: short }, NOW_S + 10), 'CG_IDENTITY_CERTIFICATE', /has expired/)
})

test('a proof that is used again spends the budget of its peer like a bad one', async () => {
  verifies('play2.jti-replay.bound-tokens')
  const { ask } = proving({ missesPerS: 1, missBurst: 3 })
  const text = bound()
  const jwt = key.proof(GATE, text, at())
  await ask(text, caller(jwt))
  for (let i = 0; i < 3; i++) await refuses(ask(text, caller(jwt)), 'CG_IDENTITY_PROOF', /used before/)
  await refuses(ask(text, caller(jwt)), 'CG_IDENTITY_FLOOD', /budget/)
})

test('a thumbprint takes the members of RFC 7638 and no other', () => {
  const rsa = {
    kty: 'RSA',
    n: '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw',
    e: 'AQAB',
    alg: 'RS256',
    kid: '2011-04-29',
  }
  assert.equal(thumbprintOf(rsa), 'NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs')
  assert.equal(thumbprintOf({ kty: 'EC', crv: 'P-256', x: 'a' }), undefined)
  assert.equal(thumbprintOf({ kty: 'constructor' }), undefined)
})

test('no text in place of a proof is accepted or breaks the stage', async () => {
  const { ask } = proving({ missesPerS: 100_000, missBurst: 100_000 })
  const text = bound()
  const good = key.proof(GATE, text, at())
  const mutated = fc
    .tuple(fc.nat(good.length - 1), fc.string({ minLength: 0, maxLength: 3 }))
    .map(([n, put]) => good.slice(0, n) + put + good.slice(n + 1))
    .filter((jwt) => jwt !== good)
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.string({ maxLength: 200 }), mutated), async (jwt) => {
      await refuses(ask(text, caller(jwt)), 'CG_IDENTITY_PROOF', /DPoP proof|no DPoP proof/)
    }),
    { numRuns: 300 },
  )
})
