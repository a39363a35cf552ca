import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { createSessions } from '../memory/sessions.ts'
import { createIdentity } from '../../stages/identity/identity.ts'
import { AGGREGATE, GATE, NOW_S, TestReplay, refuses } from '../../stages/identity/testing/bench.ts'
import { DEV_ISSUER, openDevIssuer } from './dev-issuer.ts'
import { importJwks } from './jwk.ts'
import { createKeySource } from './key-source.ts'

function stateDir(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'callgate-dev-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'state')
}

const now = (): number => NOW_S * 1_000

const ASKED = { audience: GATE, subject: 'alice', clientId: 'curl' }

test('a token that the dev issuer mints opens the gate by its published key, and a second process mints with the same key', async (t) => {
  const state = stateDir(t)
  const issuer = openDevIssuer(state, now)
  const keys = createKeySource([{ issuer: issuer.issuer, jwks: issuer.jwks }], { now })
  await keys.start()
  t.after(() => keys.close())
  const identity = createIdentity(
    { keys, replay: new TestReplay(), sessions: createSessions() },
    { issuers: [{ issuer: DEV_ISSUER }], replay: 'session' },
  )
  const ask = async (token: string) =>
    identity.authenticate({ peer: '127.0.0.1', token, endpoint: AGGREGATE }, now())
  const minted = issuer.mint({ ...ASKED, scope: 'tools:read', actor: 'bot', sid: 's' })
  assert.equal(minted.expiresAt, new Date((NOW_S + 600) * 1_000).toISOString())
  const { principal } = await ask(minted.token)
  assert.deepEqual(
    { ...principal, token: 0 },
    {
      actor: { id: 'bot', type: 'agent' },
      subject: 'alice',
      tenant: 'default',
      clientId: 'curl',
      grants: ['tools:read'],
      details: undefined,
      token: 0,
    },
  )
  await ask(openDevIssuer(state, now).mint(ASKED).token)
  const once = issuer.mint({ ...ASKED, once: true }).token
  await ask(once)
  await refuses(ask(once), 'CG_IDENTITY_REPLAYED', /one call only/)
  await refuses(ask(issuer.mint({ ...ASKED, lifetimeS: 1_200 }).token), 'CG_IDENTITY_LIFETIME', /1200 s/)
  await refuses(ask(issuer.mint({ ...ASKED, scope: '*' }).token), 'CG_IDENTITY_WILDCARD', /`\*`/)
  await refuses(ask(openDevIssuer(stateDir(t), now).mint(ASKED).token), 'CG_IDENTITY_KEY_UNKNOWN', /kid/)
  for (const lifetimeS of [0, 3_601, 1.5])
    assert.throws(() => issuer.mint({ ...ASKED, lifetimeS }), RangeError)
})

test('the key is 0600 in a 0700 folder, the published set holds its public half alone, and nothing else is left there', (t) => {
  const state = stateDir(t)
  const { jwks } = openDevIssuer(state)
  const keys = join(state, 'keys')
  assert.equal(statSync(keys).mode & 0o777, 0o700)
  assert.equal(statSync(join(keys, 'dev-issuer.jwk')).mode & 0o777, 0o600)
  assert.deepEqual(readdirSync(keys).sort(), ['dev-issuer.jwk', 'dev-issuer.jwks.json'])
  const text = readFileSync(jwks, 'utf8')
  assert.equal(importJwks(text).keys.size, 1)
  const secret: unknown = JSON.parse(readFileSync(join(keys, 'dev-issuer.jwk'), 'utf8'))
  assert.ok(
    secret !== null && typeof secret === 'object' && 'd' in secret && !text.includes(String(secret.d)),
  )
})

test('a key that others may read is refused, and so is one that is no key; a lost public set is written again', (t) => {
  const state = stateDir(t)
  const { jwks } = openDevIssuer(state)
  const before = readFileSync(jwks, 'utf8')
  writeFileSync(jwks, '{}')
  openDevIssuer(state)
  assert.equal(readFileSync(jwks, 'utf8'), before)
  const file = join(state, 'keys', 'dev-issuer.jwk')
  chmodSync(file, 0o640)
  assert.throws(() => openDevIssuer(state), /mode 640 and others may read it/)
  chmodSync(file, 0o600)
  openDevIssuer(state)
  writeFileSync(file, '{"kty":"OKP"}')
  assert.throws(() => openDevIssuer(state), /no private Ed25519 JWK/)
})
