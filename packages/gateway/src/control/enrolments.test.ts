import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import * as fc from 'fast-check'
import { createEnrolmentStore } from '../adapters/file/enrolment-store.ts'
import type { EnrolledJwk, EnrolmentStore } from '../ports/enrolments.ts'
import { refuses } from '../stages/identity/testing/bench.ts'
import { verifies } from '../testing/verifies.ts'
import { Enrolments } from './enrolments.ts'

const WANTED = {
  actor: { id: 'bot', type: 'agent' },
  subject: 'ada',
  tenant: 'acme',
  scope: ['a:b'],
  codeLifeMs: 600_000,
  keyLifeMs: 86_400_000,
} as const
const DAY_MS = 86_400_000

function newJwk(): EnrolledJwk {
  const { x = '', y = '' } = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({
    format: 'jwk',
  })
  return { kty: 'EC', crv: 'P-256', x, y }
}

/** A registry on a real folder, whose disk and log a test can take away or hold up. */
async function bench(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'callgate-enrolments-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const world = {
    now: 1_800_000_000_000,
    diskDown: false,
    logDown: false,
    hold: Promise.resolve(),
    events: [] as string[],
    ended: [] as string[],
  }
  const real = createEnrolmentStore(folder)
  const store: EnrolmentStore = {
    ...real,
    async save(enrolment) {
      await world.hold
      if (world.diskDown) throw new Error('ENOSPC: no space left on device')
      await real.save(enrolment)
    },
  }
  const open = () =>
    Enrolments.open({
      store,
      record: (event) => {
        if (world.logDown) return Promise.reject(new Error('the log is down'))
        world.events.push(event)
        return Promise.resolve()
      },
      onRevoked: (issuer) => world.ended.push(issuer),
      now: () => world.now,
    })
  return { folder, world, open, enrolments: await open() }
}

test('a code that could not be kept or recorded is still good afterwards, and nothing was enrolled meanwhile', async (t) => {
  verifies('play2.enrolment.code')
  const { enrolments, world, open } = await bench(t)
  const { code } = await enrolments.create(WANTED)
  const jwk = newJwk()
  for (const down of ['diskDown', 'logDown'] as const) {
    world[down] = true
    await refuses(enrolments.redeem(code, jwk, 'p'), 'CG_ENROL_UNAVAILABLE', /could not be kept/)
    await assert.rejects(enrolments.create(WANTED), /ENOSPC|the log is down/)
    world[down] = false
    assert.deepEqual(
      enrolments.list().map(({ state }) => state),
      ['waiting'],
    )
  }
  const { issuer, thumbprint } = await enrolments.redeem(code, jwk, 'p')
  assert.deepEqual(enrolments.find(issuer)?.subject, 'ada')
  assert.equal(enrolments.key(issuer, thumbprint)?.alg, 'ES256')
  assert.equal(enrolments.key(issuer, 'another'), undefined)
  assert.deepEqual((await open()).find(issuer), enrolments.find(issuer), 'as after a restart')
})

test('what is revoked while it is redeemed is revoked, here and on the disk', async (t) => {
  verifies('play2.enrolment.revoke')
  const { enrolments, world, open } = await bench(t)
  const { id, code } = await enrolments.create(WANTED)
  const gateOpens = Promise.withResolvers<void>()
  world.hold = gateOpens.promise
  const redeeming = enrolments.redeem(code, newJwk(), 'p')
  const revoking = enrolments.revoke(id)
  gateOpens.resolve()
  await refuses(redeeming, 'CG_ENROL_CODE', /revoked/)
  assert.equal((await revoking)?.state, 'revoked')
  for (const one of [enrolments, await open()])
    assert.deepEqual(
      one.list().map(({ state }) => state),
      ['revoked'],
    )
})

test('a revocation counts at once, also where the disk does not take it, and can be said again', async (t) => {
  verifies('play2.enrolment.revoke')
  const { enrolments, world, open } = await bench(t)
  const { id, code } = await enrolments.create(WANTED)
  const { issuer } = await enrolments.redeem(code, newJwk(), 'p')
  const before = enrolments.generation(issuer)
  world.diskDown = true
  await assert.rejects(enrolments.revoke(id), /ENOSPC/)
  assert.equal(enrolments.find(issuer), undefined)
  assert.notEqual(enrolments.generation(issuer), before)
  assert.deepEqual(world.ended, [issuer])
  assert.ok((await open()).find(issuer), 'the disk knows nothing of it')
  world.diskDown = false
  assert.equal((await enrolments.revoke(id))?.state, 'revoked')
  assert.equal((await open()).find(issuer), undefined, 'to say it again keeps it')
})

test('code and key end with their time, and are forgotten 30 days later', async (t) => {
  verifies('play2.enrolment.code')
  const { enrolments, world, folder } = await bench(t)
  const late = await enrolments.create(WANTED)
  const { code } = await enrolments.create(WANTED)
  const { issuer } = await enrolments.redeem(code, newJwk(), 'p')
  world.now += WANTED.codeLifeMs - 1
  assert.ok(enrolments.find(issuer))
  world.now += 1
  await refuses(enrolments.redeem(late.code, newJwk(), 'p'), 'CG_ENROL_CODE', /expired/)
  world.now += WANTED.keyLifeMs - WANTED.codeLifeMs - 1
  assert.ok(enrolments.find(issuer))
  world.now += 1
  assert.equal(enrolments.find(issuer), undefined)
  assert.deepEqual(
    enrolments.list().map(({ state }) => state),
    ['expired', 'expired'],
  )
  world.now += 30 * DAY_MS
  await enrolments.create(WANTED)
  assert.equal(enrolments.list().length, 1)
  assert.equal(readdirSync(folder).length, 1)
})

const SEED = Number(process.env['CALLGATE_SEED'] ?? Date.now() % 2 ** 31)

test('a kept enrolment in which one byte was changed is one enrolment still, or keeps the gate from starting by its name', async (t) => {
  t.diagnostic(`seed ${SEED}`)
  const { enrolments, folder, open } = await bench(t)
  const { code } = await enrolments.create(WANTED)
  await enrolments.redeem(code, newJwk(), 'p')
  const file = join(folder, readdirSync(folder)[0] ?? '')
  const good = readFileSync(file)
  await fc.assert(
    fc.asyncProperty(fc.nat(good.length - 1), fc.nat(255), async (at, byte) => {
      const bytes = Buffer.from(good)
      bytes[at] = byte
      writeFileSync(file, bytes)
      const opened = await open().catch((error: unknown) => error)
      if (opened instanceof Enrolments) assert.equal(opened.list().length, 1)
      else assert.match(String(opened), /is not an enrolment \(|names another thumbprint/)
    }),
    { seed: SEED, numRuns: 300 },
  )
})
