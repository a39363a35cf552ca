import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import test from 'node:test'
import { dsseKeyId } from '@callgate/evidence'
import { Refusal } from '../../call/refusal.ts'
import type { JsonObject } from '../../call/json.ts'
import type { KeptBundle } from '../../ports/policy-bundles.ts'
import { verifies } from '../../testing/verifies.ts'
import { sealBundle } from './bundle.ts'
import { BundledPolicy, type Take } from './bundled.ts'
import { ALLOW_ALL, NOW } from './testing/fixtures.ts'

const HOUR = 3_600_000
const first = generateKeyPairSync('ed25519')
const second = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const listed = (...pairs: (typeof first)[]) =>
  new Map(pairs.map(({ publicKey }) => [dsseKeyId(publicKey), publicKey] as const))

const sealed = (version: number, createdAt = NOW, key = first.privateKey, text = ALLOW_ALL): Buffer =>
  Buffer.from(sealBundle({ version, createdAt, files: [{ file: 'p.yaml', text }], cases: [] }, key))

/** A world whose clock, source and disk are in hand. */
function world(offered: Buffer | 'unchanged' | Error, kept?: KeptBundle) {
  const here = {
    now: NOW,
    offered,
    kept,
    notes: [] as [string, JsonObject][],
    keys: listed(first),
    whenTooOld: 'deny' as 'deny' | 'keep',
    broken: false,
  }
  const source = {
    read: async () => {
      if (here.offered instanceof Error) throw here.offered
      return here.offered
    },
    forget: () => undefined,
    close: async () => undefined,
  }
  const store = {
    load: async () => here.kept,
    keep: async (bundle: KeptBundle) => {
      if (here.broken) throw new Error('the disk is full')
      here.kept = bundle
    },
    confirm: async (at: number) => {
      if (here.kept !== undefined) here.kept = { ...here.kept, confirmedAt: at }
    },
  }
  const open = () =>
    BundledPolicy.open({
      keys: here.keys,
      source,
      store,
      limits: { maxAgeMs: 168 * HOUR, writesMs: 900_000, readsMs: 24 * HOUR, whenTooOld: here.whenTooOld },
      now: () => here.now,
      note: (event, detail) => here.notes.push([event, detail]),
    })
  return { here, open }
}

const take: Take = async (_, keep) => {
  await keep()
  return []
}

/** Code with which a class is refused now. */
function refusedWith(policy: BundledPolicy, toolClass: 'read' | 'write' | 'poll'): string | undefined {
  try {
    policy.requireYoung(toolClass)
    return undefined
  } catch (error) {
    assert.ok(error instanceof Refusal)
    return error.code
  }
}

test('a newer bundle takes the place of the one in force; an older one, and another one of the same version, do not', async () => {
  verifies('play3.policy-bundle')
  const { here, open } = world(sealed(5))
  const policy = await open()
  assert.equal(policy.facts['version'], 5)
  for (const [offered, told] of [
    [sealed(4), /is version 4, older than version 5 in force/],
    [sealed(5, NOW, first.privateKey, '[]\n'), /is another one of version 5/],
    [sealed(6, NOW, second.privateKey), /which is none of the 1 keys that count/],
    [sealed(6).subarray(0, -40), /not one unambiguous JSON/],
    [sealed(6, NOW + 301_000), /signed in the future/],
    [sealed(6, NOW - 169 * HOUR), /longer ago than `policy.bundle.maxAgeH`/],
    [new Error('was not given'), /was not given/],
  ] as const) {
    here.offered = offered
    await policy.refresh(take)
    assert.equal(policy.facts['version'], 5)
    const [event, detail] = here.notes.pop() ?? []
    assert.match(String(detail?.['problems']), told)
    assert.equal(event, offered instanceof Error ? 'policy.unconfirmed' : 'policy.refused')
    // A second look at the same thing is not told again.
    await policy.refresh(take)
    assert.deepEqual(here.notes, [])
  }
  here.offered = sealed(6, NOW + 299_000)
  await policy.refresh(take)
  assert.equal(policy.facts['version'], 6)
  assert.deepEqual(here.kept?.envelope, here.offered)
})

test('rules that do not load, and a disk that does not keep, leave the last good bundle in force', async () => {
  const { here, open } = world(sealed(5))
  const policy = await open()
  here.offered = sealed(6)
  await policy.refresh(async () => [{ file: 'bundle:p.yaml', line: 1, column: 3, message: 'is broken' }])
  assert.equal(policy.facts['version'], 5)
  assert.match(JSON.stringify(here.notes.pop()), /version 6: bundle:p.yaml:1:3 is broken/)
  here.broken = true
  await policy.refresh(take)
  assert.equal(policy.facts['version'], 5)
  here.broken = false
  await policy.refresh(take)
  assert.equal(policy.facts['version'], 6)
})

test('while the source is down reads pass for a day and all else for 15 minutes; a source that offers a wrong one is down', async () => {
  verifies('play3.policy-bundle.age')
  const { here, open } = world(sealed(5))
  const policy = await open()
  for (const offered of [new Error('down'), sealed(6, NOW, second.privateKey), sealed(4)]) {
    here.now = NOW
    here.offered = 'unchanged'
    await policy.refresh(take)
    here.offered = offered
    for (const [after, read, write] of [
      [900_000, undefined, undefined],
      [900_001, undefined, 'CG_POLICY_STALE'],
      [24 * HOUR, undefined, 'CG_POLICY_STALE'],
      [24 * HOUR + 1, 'CG_POLICY_STALE', 'CG_POLICY_STALE'],
      // A clock that was set back makes nothing young.
      [-900_001, undefined, 'CG_POLICY_STALE'],
    ] as const) {
      here.now = NOW + after
      await policy.refresh(take)
      assert.deepEqual(
        [refusedWith(policy, 'read'), refusedWith(policy, 'write')],
        [read, write],
        String(after),
      )
      assert.equal(refusedWith(policy, 'poll'), write)
    }
  }
  here.offered = 'unchanged'
  await policy.refresh(take)
  assert.equal(refusedWith(policy, 'write'), undefined)
})

test('a bundle that was signed too long ago decides nothing, whoever offers it; `keep` lets it', async () => {
  verifies('play3.policy-bundle.age')
  for (const [whenTooOld, code] of [
    ['deny', 'CG_POLICY_EXPIRED'],
    ['keep', undefined],
  ] as const) {
    const { here, open } = world(sealed(5))
    here.whenTooOld = whenTooOld
    const policy = await open()
    here.offered = 'unchanged'
    here.now = NOW + 168 * HOUR
    await policy.refresh(take)
    assert.equal(refusedWith(policy, 'write'), undefined)
    here.now += 1
    await policy.refresh(take)
    assert.equal(refusedWith(policy, 'read'), code)
    here.offered = sealed(6, here.now)
    await policy.refresh(take)
    assert.equal(refusedWith(policy, 'read'), undefined)
  }
})

test('over a restart the last good bundle is verified anew, keeps its floor of versions and its age', async () => {
  const before = world(sealed(5))
  await before.open()
  const { here, open } = world(new Error('down'), before.here.kept)
  here.now = NOW + 900_001
  const policy = await open()
  assert.equal(policy.facts['version'], 5)
  assert.equal(refusedWith(policy, 'write'), 'CG_POLICY_STALE')
  here.offered = sealed(4)
  await policy.refresh(take)
  assert.equal(policy.facts['version'], 5)
  // Its key was taken from the list: it counts no more, and what is offered must be signed by another.
  here.keys = listed(second)
  await assert.rejects(open(), /none was taken before, and the one that is offered now is signed by/)
  here.offered = sealed(3, here.now, second.privateKey)
  assert.equal((await open()).facts['version'], 3)
  // While both are listed, either signs.
  here.keys = listed(first, second)
  const both = await open()
  here.offered = sealed(6, here.now)
  await both.refresh(take)
  here.offered = sealed(7, here.now, second.privateKey)
  await both.refresh(take)
  assert.equal(both.facts['version'], 7)
})

test('without a bundle that was taken before, and without one that may be taken, it does not open', async () => {
  for (const [offered, told] of [
    [new Error('was not given'), /was not given/],
    ['unchanged', /was not given/],
    [sealed(1, NOW, second.privateKey), /none of the 1 keys/],
    [sealed(1, NOW - 169 * HOUR), /longer ago/],
  ] as const)
    await assert.rejects(world(offered).open(), told)
  assert.ok(await world(sealed(1, NOW - 167 * HOUR)).open())
})
