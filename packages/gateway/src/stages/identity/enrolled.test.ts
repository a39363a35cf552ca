import assert from 'node:assert/strict'
import { generateKeyPairSync, hash, randomUUID, sign } from 'node:crypto'
import { test } from 'node:test'
import { createSessions } from '../../adapters/memory/sessions.ts'
import { ENROLLED_ISSUER, type Enrolled } from '../../ports/enrolments.ts'
import { verifies } from '../../testing/verifies.ts'
import { createIdentity } from './identity.ts'
import { AGGREGATE, GATE, NOW_S, TestReplay, encode, refuses } from './testing/bench.ts'

const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const { crv, kty, x, y } = pair.publicKey.export({ format: 'jwk' })
const jwk = { crv, kty, x, y }
const THUMBPRINT = hash('sha256', JSON.stringify(jwk), 'base64url')
const ISSUER = ENROLLED_ISSUER + THUMBPRINT

const enrolledUntil = (endsAt: number): Enrolled => ({
  thumbprint: THUMBPRINT,
  clientId: 'enrolled:1',
  actor: { id: 'bot', type: 'service' },
  subject: 'ada',
  tenant: 'acme',
  scope: ['a:b'],
  endsAt,
})

function jws(header: object, payload: object): string {
  const signed = `${encode(JSON.stringify({ alg: 'ES256', ...header }))}.${encode(JSON.stringify(payload))}`
  const signature = sign('sha256', Buffer.from(signed), { key: pair.privateKey, dsaEncoding: 'ieee-p1363' })
  return `${signed}.${signature.toString('base64url')}`
}

/** A caller with a new token and its proof. */
function caller() {
  const claims = {
    iss: ISSUER,
    sub: 'ada',
    aud: GATE,
    iat: NOW_S,
    nbf: NOW_S,
    exp: NOW_S + 600,
    jti: randomUUID(),
  }
  const who = {
    client_id: 'enrolled:1',
    act: { sub: 'bot' },
    tenant: 'acme',
    scope: 'a:b',
    cnf: { jkt: THUMBPRINT },
  }
  const token = jws({ typ: 'at+jwt', kid: THUMBPRINT }, { ...claims, ...who })
  const ath = hash('sha256', token, 'base64url')
  const jwt = jws({ typ: 'dpop+jwt', jwk }, { jti: randomUUID(), htm: 'POST', htu: GATE, iat: NOW_S, ath })
  const proof = { jwt, httpMethod: 'POST', headers: [], body: undefined, url: GATE }
  return { peer: '192.0.2.1', token, scheme: 'DPoP', proof, endpoint: AGGREGATE } as const
}

/** An identity room whose registry and replay store the test holds in its hands. */
function bench(actors = {}) {
  const world = { enrolled: enrolledUntil((NOW_S + 86_400) * 1_000) as Enrolled | undefined, finds: 0 }
  const key = { kid: THUMBPRINT, alg: 'ES256', key: pair.publicKey }
  const replay = new TestReplay()
  const identity = createIdentity(
    {
      keys: { key: (_, kid) => (kid === THUMBPRINT ? key : undefined), generation: () => 1 },
      replay,
      sessions: createSessions(),
      enrolled: {
        find: () => {
          world.finds++
          return world.enrolled
        },
      },
    },
    // Whoever configured an issuer of that name must not have it judged as one of his.
    { issuers: [{ issuer: ISSUER }], actors },
  )
  return { world, replay, ask: async () => identity.authenticate(caller(), NOW_S * 1_000) }
}

test('the principal is made of the enrolment; the type of an actor that the configuration lists is the one there', async () => {
  verifies('play2.enrolment')
  const { principal } = await bench().ask()
  const { actor, subject, tenant, clientId, grants } = principal
  assert.deepEqual(
    [actor, subject, tenant, clientId, grants],
    [{ id: 'bot', type: 'service' }, 'ada', 'acme', 'enrolled:1', ['a:b']],
  )
  const listed = await bench({ bot: { type: 'agent' } }).ask()
  assert.equal(listed.principal.actor.type, 'agent')
})

test('no token, and so no stream that it opens, lasts longer than the enrolment', async () => {
  verifies('play2.enrolment')
  const { world, ask } = bench()
  world.enrolled = enrolledUntil((NOW_S + 60) * 1_000)
  assert.equal((await ask()).principal.token.exp, NOW_S + 60)
  world.enrolled = enrolledUntil((NOW_S + 86_400) * 1_000)
  assert.equal((await ask()).principal.token.exp, NOW_S + 600)
})

test('an enrolment that ends at any moment of a check refuses, and is never judged as a configured issuer', async () => {
  verifies('play2.enrolment.revoke')
  const whole = bench()
  await whole.ask()
  for (let left = 0; left < whole.world.finds; left++) {
    const { world, ask } = bench()
    const alive = world.enrolled
    Object.defineProperty(world, 'enrolled', { get: () => (world.finds > left ? undefined : alive) })
    await refuses(ask(), 'CG_IDENTITY_ENROLMENT_ENDED', /no enrolment stands for the key/)
  }
})

test('what is revoked while the replay store is at work does not enter', async () => {
  verifies('play2.enrolment.revoke')
  const { world, replay, ask } = bench()
  const held = Promise.withResolvers<void>()
  const claim = replay.claim.bind(replay)
  replay.claim = async (...args) => {
    await held.promise
    return claim(...args)
  }
  const asked = ask()
  world.enrolled = undefined
  held.resolve()
  await refuses(asked, 'CG_IDENTITY_ENROLMENT_ENDED', /revoked/)
})
