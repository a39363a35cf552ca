import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, after, test } from 'node:test'
import * as fc from 'fast-check'
import { BENCH_START_S, idempotencyStoreContract, onceKey } from '../../ports/idempotency-store.contract.ts'
import { verifies } from '../../testing/verifies.ts'
import { type KeptKey, isKey, keyLine, readKeys } from './idempotency-line.ts'
import {
  type IdempotencyStoreOptions,
  type RunningIdempotencyStore,
  openIdempotencyStore,
} from './idempotency-store.ts'
import { type JournalDisk, journalDisk } from './replay-journal.ts'

const folder = mkdtempSync(join(tmpdir(), 'callgate-idempotency-'))
after(() => rmSync(folder, { recursive: true }))
let files = 0
const place = () => join(folder, `journal-${files++}`)

/** The real disk, until it is told to fail: then a write is torn in the middle and not synced. */
class FaultyDisk implements JournalDisk {
  broken = false
  appends = 0
  rewrites = 0

  read(path: string): Promise<string> {
    return journalDisk.read(path)
  }

  async replace(path: string, chunks: Iterable<string>): ReturnType<JournalDisk['replace']> {
    if (this.broken) throw new Error('EIO: i/o error, fsync')
    this.rewrites++
    const file = await journalDisk.replace(path, chunks)
    return {
      append: async (lines) => {
        this.appends++
        if (!this.broken) return file.append(lines)
        await file.append(lines.slice(0, -7))
        throw new Error('ENOSPC: no space left on device, write')
      },
      close: () => file.close(),
    }
  }
}

async function open(
  t: TestContext,
  path: string,
  options: IdempotencyStoreOptions = {},
): Promise<RunningIdempotencyStore> {
  const store = await openIdempotencyStore(path, { now: () => BENCH_START_S * 1_000, ...options })
  t.after(() => store.close())
  return store
}

idempotencyStoreContract('file store of idempotency keys', async (t) => {
  const path = place()
  const disk = new FaultyDisk()
  let nowS = BENCH_START_S
  const options = { now: () => nowS * 1_000, disk }
  return {
    store: await open(t, path, options),
    restart: () => open(t, path, options),
    setNowS: (to) => (nowS = to),
    breakStore: () => (disk.broken = true),
    mendStore: () => (disk.broken = false),
  }
})

test('first is told only when the line is in the file, which nobody else reads', async (t) => {
  verifies('play2.idempotency')
  const path = place()
  const store = await open(t, path)
  await store.begin(onceKey())
  const [kept, ...more] = [...readKeys(readFileSync(path, 'utf8'))]
  assert.deepEqual([kept?.id, kept?.state, more.length], ['alice.key', 'running', 0])
  assert.equal(statSync(path).mode & 0o777, 0o600)
})

test('calls at once share few writes', async (t) => {
  const disk = new FaultyDisk()
  const store = await open(t, place(), { disk })
  await Promise.all(Array.from({ length: 500 }, (_, i) => store.begin(onceKey({ id: `a.k${i}` }))))
  assert.ok(disk.appends <= 3, `${disk.appends} writes`)
})

test('a key beyond the bounds is refused and none is forgotten for it; a caller who fills his share fills no other', async (t) => {
  verifies('idempotency.bounds')
  let nowS = BENCH_START_S
  const store = await open(t, place(), { now: () => nowS * 1_000, maxKeys: 5, maxKeysPerCaller: 3 })
  for (const id of ['a.1', 'a.2', 'a.3']) await store.begin(onceKey({ id }))
  await assert.rejects(store.begin(onceKey({ id: 'a.4' })), /3 of them of this caller, and no more/)
  for (const id of ['b.1', 'b.2']) await store.begin(onceKey({ id }))
  await assert.rejects(store.begin(onceKey({ id: 'c.1' })), /5 idempotency keys are held/)
  assert.equal((await store.begin(onceKey({ id: 'a.1' }))).state, 'running')
  await store.finish('a.1', 'call-1', { kind: 'done', answer: undefined })
  await assert.rejects(store.begin(onceKey({ id: 'a.4' })))
  await store.finish('a.2', 'call-1', { kind: 'free' })
  assert.equal((await store.begin(onceKey({ id: 'a.4' }))).state, 'first')
  nowS += 601
  assert.equal((await store.begin(onceKey({ id: 'c.1' }))).state, 'first')
  assert.equal(store.size, 5)
})

test('answers beyond their bytes go, the oldest first, and their keys stay done', async (t) => {
  verifies('idempotency.bounds')
  const path = place()
  const options = { maxAnswerBytes: 250 }
  const store = await open(t, path, options)
  for (const id of ['a.1', 'a.2', 'a.3']) {
    await store.begin(onceKey({ id }))
    await store.finish(id, 'call-1', { kind: 'done', answer: 'x'.repeat(100) })
  }
  assert.equal(store.answerBytes, 200)
  for (const each of [store, await open(t, path, options)]) {
    const answers = await Promise.all(
      ['a.1', 'a.2', 'a.3'].map(async (id) => {
        const begun = await each.begin(onceKey({ id, call: 'call-2' }))
        assert.equal(begun.state, 'done')
        return begun.state === 'done' ? begun.answer?.length : assert.fail()
      }),
    )
    assert.deepEqual(answers, [undefined, 100, 100])
  }
})

test('the journal is rewritten when what is dead outgrows it', async (t) => {
  const disk = new FaultyDisk()
  const path = place()
  const store = await open(t, path, { disk, maxDeadBytes: 2_000 })
  for (let i = 0; i < 200; i++) {
    await store.begin(onceKey({ id: 'a.same', call: `call-${i}` }))
    await store.finish('a.same', `call-${i}`, { kind: 'free' })
  }
  assert.ok(disk.rewrites > 3, `${disk.rewrites} rewrites`)
  assert.ok(statSync(path).size < 3_000, `${statSync(path).size} bytes`)
  assert.equal(store.size, 0)
})

/** Paths of the journals of two nodes of one folder. */
function nodes(): readonly [string, string] {
  const state = mkdtempSync(join(folder, 'nodes-'))
  return [join(state, 'idempotency.journal'), join(state, 'idempotency-1.journal')]
}

test('what another node of the folder began, before or after this one started, is not begun here', async (t) => {
  verifies('play2.idempotency')
  let nowS = BENCH_START_S
  const options = { now: () => nowS * 1_000 }
  const [ours, theirs] = nodes()
  const store = await open(t, ours, options)
  const other = await open(t, theirs, options)
  for (const id of ['a.done', 'a.running', 'a.free']) await other.begin(onceKey({ id }))
  await other.finish('a.done', 'call-1', { kind: 'done', answer: 'sealed' })
  await other.finish('a.free', 'call-1', { kind: 'free' })
  const at = async (id: string) => (await store.begin(onceKey({ id, call: 'call-2' }))).state
  assert.deepEqual(
    [await at('a.done'), await at('a.running'), await at('a.free')],
    ['done', 'running', 'first'],
  )
  assert.equal((await store.begin(onceKey({ id: 'a.done', payload: 'other' }))).state, 'differs')
  // No call runs for more than an hour: the node died over it.
  nowS += 3_600
  assert.equal(await at('a.running'), 'unknown')
  nowS += 600
  assert.deepEqual([await at('a.running'), await at('a.done')], ['first', 'first'])
})

test('a key that two nodes begin at once is first for one of them at most, and can be begun by whoever asks again', async (t) => {
  verifies('play2.idempotency')
  for (let round = 0; round < 40; round++) {
    const paths = nodes()
    const stores = [await open(t, paths[0]), await open(t, paths[1])]
    const begun = await Promise.all(
      stores.flatMap((store, i) => [0, 1].map((n) => store.begin(onceKey({ call: `call-${i}-${n}` })))),
    )
    const firsts = begun.filter(({ state }) => state === 'first').length
    assert.ok(firsts <= 1, begun.map(({ state }) => state).join())
    assert.ok(begun.every(({ state }) => state === 'first' || state === 'running'))
    if (firsts === 0) assert.equal((await stores[0]?.begin(onceKey({ call: 'again' })))?.state, 'first')
    for (const store of stores) await store.close()
  }
})

test('a journal of another node that cannot be read refuses the key, and holds it for nobody', async (t) => {
  const [ours, theirs] = nodes()
  let broken = false
  const disk: JournalDisk = {
    ...journalDisk,
    read: (path) => (broken && path === theirs ? Promise.reject(new Error('EIO')) : journalDisk.read(path)),
  }
  const store = await open(t, ours, { disk })
  const other = await open(t, theirs)
  await other.begin(onceKey({ id: 'a.b' }))
  broken = true
  await assert.rejects(store.begin(onceKey()), /EIO/)
  broken = false
  assert.equal((await store.begin(onceKey())).state, 'first')
})

const word = fc.stringMatching(/^[\w-]{1,60}$/)
const kept: fc.Arbitrary<KeptKey> = fc
  .record({
    id: fc.tuple(word, word).map((words) => words.join('.')),
    payload: word,
    call: word,
    lifeS: fc.integer({ min: 1, max: 86_400 }),
    state: fc.constantFrom('running' as const, 'unknown', 'done', 'free'),
    answer: fc.option(fc.stringMatching(/^[\w.-]{1,99}$/), { nil: undefined }),
    until: fc.nat(),
  })
  .map((key) => ({ ...key, answer: key.state === 'done' ? key.answer : undefined }))

test('fuzz: every key is read back as it was written', () => {
  fc.assert(
    fc.property(fc.array(kept), (keys) => {
      assert.deepEqual([...readKeys(keys.map(keyLine).join(''))], keys)
    }),
  )
})

test('fuzz: a journal that is cut or damaged gives only keys that were written, in their order', () => {
  const damage = fc.record({
    keys: fc.array(kept, { minLength: 1, maxLength: 8 }),
    cut: fc.double({ min: 0, max: 1, noNaN: true }),
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    put: fc.string({ unit: 'binary', maxLength: 4 }),
  })
  fc.assert(
    fc.property(damage, ({ keys, cut, at, put }) => {
      const whole = keys.map(keyLine).join('')
      const shorter = whole.slice(0, Math.floor(cut * whole.length))
      const where = Math.floor(at * shorter.length)
      const lines = new Set(keys.map(keyLine))
      for (const key of readKeys(shorter.slice(0, where) + put + shorter.slice(where + put.length)))
        assert.ok(lines.has(keyLine(key)))
    }),
  )
})

test('fuzz: whatever stands in a journal, the store opens and holds well-formed keys alone', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(fc.string(), kept.map(keyLine))), async (lines) => {
      const path = place()
      writeFileSync(path, lines.join('\n'))
      const store = await open(t, path)
      const keys = [...readKeys(readFileSync(path, 'utf8'))]
      assert.equal(keys.length, store.size)
      assert.ok(keys.every((key) => isKey(key) && (key.state === 'done' || key.state === 'unknown')))
      await store.close()
    }),
    { numRuns: 50 },
  )
})
