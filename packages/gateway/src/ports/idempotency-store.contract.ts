import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import * as fc from 'fast-check'
import type { Begun, Ending, IdempotencyStore, OnceKey } from './idempotency-store.ts'

/** A store under test and the world around it. */
export interface StoreBench {
  readonly store: IdempotencyStore
  /** Opens a second store on the same state, as after a crash: the first one is not closed in order. */
  restart(): Promise<IdempotencyStore>
  /** Sets the clock, in seconds since the epoch. */
  setNowS(nowS: number): void
  /** Makes the store fail until it is mended. */
  breakStore(): void
  mendStore(): void
}

/** Time at which every bench begins, in seconds since the epoch. */
export const BENCH_START_S = 1_800_000_000

const LIFE_S = 600
const DONE: Ending = { kind: 'done', answer: 'sealed' }

export const onceKey = (change: Partial<OnceKey> = {}): OnceKey => ({
  id: 'alice.key',
  payload: 'payload',
  call: 'call-1',
  lifeS: LIFE_S,
  ...change,
})

/** What every IdempotencyStore must hold. @param make a fresh store whose clock says BENCH_START_S */
export function idempotencyStoreContract(name: string, make: (t: TestContext) => Promise<StoreBench>): void {
  test(`${name}: a key is first, running while its call runs, then done with its answer`, async (t) => {
    const { store } = await make(t)
    assert.deepEqual(await store.begin(onceKey()), { state: 'first' })
    assert.deepEqual(await store.begin(onceKey({ call: 'call-2' })), { state: 'running', call: 'call-1' })
    await store.finish('alice.key', 'call-1', DONE)
    const done = { state: 'done', call: 'call-1', answer: 'sealed' }
    assert.deepEqual(await store.begin(onceKey({ call: 'call-3' })), done)
    assert.deepEqual(await store.begin(onceKey({ id: 'bob.key', call: 'call-4' })), { state: 'first' })
  })

  test(`${name}: another payload differs, whatever the key stands at`, async (t) => {
    const { store } = await make(t)
    const differs = { state: 'differs', call: 'call-1' }
    const other = onceKey({ payload: 'other', call: 'call-2' })
    await store.begin(onceKey())
    assert.deepEqual(await store.begin(other), differs)
    await store.finish('alice.key', 'call-1', DONE)
    assert.deepEqual(await store.begin(other), differs)
  })

  test(`${name}: of 100 calls of one key at once one is first`, async (t) => {
    const { store } = await make(t)
    const begun = Array.from({ length: 100 }, (_, i) => store.begin(onceKey({ call: `call-${i}` })))
    const states = (await Promise.all(begun)).map(({ state }) => state)
    assert.equal(states.filter((state) => state === 'first').length, 1)
    assert.equal(states.filter((state) => state === 'running').length, 99)
    const others = Array.from({ length: 100 }, (_, i) => store.begin(onceKey({ id: `alice.k${i}` })))
    assert.ok((await Promise.all(others)).every(({ state }) => state === 'first'))
  })

  test(`${name}: a key that is freed begins again, and only the call that holds it ends it`, async (t) => {
    const { store } = await make(t)
    await store.begin(onceKey())
    await store.finish('alice.key', 'call-2', { kind: 'free' })
    assert.equal((await store.begin(onceKey({ call: 'call-2' }))).state, 'running')
    await store.finish('alice.key', 'call-1', { kind: 'free' })
    assert.deepEqual(await store.begin(onceKey({ payload: 'other', call: 'call-3' })), { state: 'first' })
    await store.finish('alice.key', 'call-3', DONE)
    await store.finish('alice.key', 'call-3', { kind: 'free' })
    assert.equal((await store.begin(onceKey({ payload: 'other' }))).state, 'done')
  })

  test(`${name}: what is done stays done after a crash, what ran is unknown, what was freed is free`, async (t) => {
    const bench = await make(t)
    for (const id of ['a.done', 'a.bare', 'a.running', 'a.unknown', 'a.free'])
      await bench.store.begin(onceKey({ id }))
    await bench.store.finish('a.done', 'call-1', DONE)
    await bench.store.finish('a.bare', 'call-1', { kind: 'done', answer: undefined })
    await bench.store.finish('a.unknown', 'call-1', { kind: 'unknown' })
    await bench.store.finish('a.free', 'call-1', { kind: 'free' })
    for (const store of [await bench.restart(), await bench.restart()]) {
      const at = (id: string): Promise<Begun> => store.begin(onceKey({ id, call: 'call-2' }))
      assert.deepEqual(await at('a.done'), { state: 'done', call: 'call-1', answer: 'sealed' })
      assert.deepEqual(await at('a.bare'), { state: 'done', call: 'call-1', answer: undefined })
      assert.deepEqual(await at('a.running'), { state: 'unknown', call: 'call-1' })
      assert.deepEqual(await at('a.unknown'), { state: 'unknown', call: 'call-1' })
    }
    const last = await bench.restart()
    assert.equal((await last.begin(onceKey({ id: 'a.free' }))).state, 'first')
  })

  test(`${name}: a key is remembered its life long from its end, and never forgotten while it runs`, async (t) => {
    const bench = await make(t)
    await bench.store.begin(onceKey())
    bench.setNowS(BENCH_START_S + 10 * LIFE_S)
    assert.equal((await bench.store.begin(onceKey({ call: 'call-2' }))).state, 'running')
    await bench.store.finish('alice.key', 'call-1', DONE)
    bench.setNowS(BENCH_START_S + 11 * LIFE_S - 1)
    assert.equal((await bench.store.begin(onceKey({ call: 'call-2' }))).state, 'done')
    assert.equal((await (await bench.restart()).begin(onceKey({ call: 'call-2' }))).state, 'done')
    bench.setNowS(BENCH_START_S + 11 * LIFE_S)
    assert.equal((await bench.store.begin(onceKey({ payload: 'other', call: 'call-2' }))).state, 'first')
  })

  test(`${name}: a key whose process died is unknown its life long, however long nobody started again`, async (t) => {
    const bench = await make(t)
    await bench.store.begin(onceKey())
    bench.setNowS(BENCH_START_S + 10 * LIFE_S)
    const again = await bench.restart()
    bench.setNowS(BENCH_START_S + 11 * LIFE_S - 1)
    assert.equal((await again.begin(onceKey({ call: 'call-2' }))).state, 'unknown')
    bench.setNowS(BENCH_START_S + 11 * LIFE_S)
    assert.equal((await again.begin(onceKey({ call: 'call-2' }))).state, 'first')
  })

  test(`${name}: a store that fails takes no key, and takes it once it is mended`, async (t) => {
    const bench = await make(t)
    await bench.store.begin(onceKey({ id: 'a.before' }))
    bench.breakStore()
    await assert.rejects(bench.store.begin(onceKey()))
    await assert.rejects(bench.store.finish('a.before', 'call-1', DONE))
    // In this process nobody forgets what ran.
    assert.equal((await bench.store.begin(onceKey({ id: 'a.before', call: 'call-2' }))).state, 'done')
    bench.mendStore()
    assert.deepEqual(await bench.store.begin(onceKey({ call: 'call-2' })), { state: 'first' })
    await bench.store.finish('alice.key', 'call-2', DONE)
    const again = await bench.restart()
    assert.equal((await again.begin(onceKey({ call: 'call-3' }))).state, 'done')
    assert.equal((await again.begin(onceKey({ id: 'a.before', call: 'call-3' }))).state, 'done')
  })

  test(`${name}: a malformed key is misuse`, async (t) => {
    const { store } = await make(t)
    const malformed: readonly Partial<OnceKey>[] = [
      { id: 'no-dot' },
      { id: 'a b.c' },
      { id: 'a.b\n' },
      { id: `a.${'b'.repeat(200)}` },
      { payload: '' },
      { payload: 'a,b' },
      { call: 'a b' },
      { lifeS: 0 },
      { lifeS: 86_401 },
      { lifeS: 1.5 },
    ]
    for (const change of malformed) await assert.rejects(store.begin(onceKey(change)), TypeError)
    assert.deepEqual(await store.begin(onceKey({ lifeS: 86_400 })), { state: 'first' })
  })

  test(`${name}: in any order of calls, ends, faults and crashes no key runs twice`, async (t) => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async (steps) => {
        const walk = new Walk(await make(t))
        for (const each of steps) await walk.take(each)
      }),
      { numRuns: 60 },
    )
  })
}

type Begin = { readonly do: 'begin'; readonly key: number; readonly payload: number; readonly times: number }
type Finish = { readonly do: 'finish'; readonly key: number; readonly ending: Ending }
type Step = Begin | Finish | { readonly do: 'world'; readonly what: 'crash' | 'break' | 'mend' | number }

const key = fc.nat({ max: 2 })
const begin = fc.record({
  do: fc.constant('begin' as const),
  key,
  payload: fc.nat({ max: 1 }),
  times: fc.integer({ min: 1, max: 3 }),
})
const finish = fc.record({
  do: fc.constant('finish' as const),
  key,
  ending: fc.constantFrom<Ending>(DONE, { kind: 'free' }, { kind: 'unknown' }),
})
const world = fc.record({
  do: fc.constant('world' as const),
  what: fc.oneof(
    fc.constantFrom('crash' as const, 'break' as const, 'mend' as const),
    fc.integer({ min: 0, max: 900 }),
  ),
})
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: begin },
  { weight: 4, arbitrary: finish },
  { weight: 2, arbitrary: world },
)

/** What is known from outside of a key that was begun. */
interface Known {
  readonly call: string
  readonly payload: string
  state: 'running' | 'unknown' | 'done'
  /** Seconds from which on it may have been forgotten; undefined: it runs. */
  over: number | undefined
  /** Whether a crash may bring back an earlier state, because the disk did not take the later one. */
  doubtful: boolean
}

/** A store that is walked, beside a model of it. */
class Walk {
  readonly #bench: StoreBench
  #store: IdempotencyStore
  readonly #known = new Map<string, Known>()
  /** Keys that were freed while the disk was broken: a crash may make them unknown. */
  readonly #maybe = new Set<string>()
  #now = BENCH_START_S
  #calls = 0

  constructor(bench: StoreBench) {
    this.#bench = bench
    this.#store = bench.store
    bench.setNowS(this.#now)
  }

  take(each: Step): Promise<void> {
    if (each.do === 'begin') return this.#begin(each)
    return each.do === 'finish' ? this.#finish(each) : this.#world(each.what)
  }

  async #world(what: 'crash' | 'break' | 'mend' | number): Promise<void> {
    if (what === 'break') return this.#bench.breakStore()
    if (what === 'mend') return this.#bench.mendStore()
    if (what !== 'crash') return this.#bench.setNowS((this.#now += what))
    this.#bench.mendStore()
    this.#store = await this.#bench.restart()
    for (const known of this.#known.values()) {
      if (known.state !== 'running') continue
      known.state = 'unknown'
      known.over = this.#now + LIFE_S
    }
  }

  async #finish({ key: name, ending }: Finish): Promise<void> {
    const id = `a.k${name}`
    const known = this.#known.get(id)
    if (known === undefined) return
    const [result] = await Promise.allSettled([this.#store.finish(id, known.call, ending)])
    const failed = result.status === 'rejected'
    if (known.state !== 'running') return
    if (ending.kind === 'free') {
      this.#known.delete(id)
      if (failed) this.#maybe.add(id)
      return
    }
    known.state = ending.kind
    known.over = this.#now + LIFE_S
    known.doubtful ||= failed
  }

  async #begin({ key: name, payload: what, times }: Begin): Promise<void> {
    const id = `a.k${name}`
    const payload = `p${what}`
    const calls = Array.from({ length: times }, () => `call-${++this.#calls}`)
    const begun = await Promise.allSettled(
      calls.map((call) => this.#store.begin(onceKey({ id, payload, call }))),
    )
    const told = begun.map((result) => (result.status === 'fulfilled' ? result.value.state : 'refused'))
    const firsts = calls.filter((_, i) => told[i] === 'first')
    const known = this.#known.get(id)
    if (known !== undefined && (known.over === undefined || known.over > this.#now)) {
      const expected = known.payload === payload ? known.state : 'differs'
      const right = new Set<string>(['refused', expected, ...(known.doubtful ? ['unknown'] : [])])
      assert.ok(
        told.every((state) => right.has(state)),
        `${id} is ${told.join()}, not ${expected}`,
      )
      return
    }
    assert.ok(firsts.length <= 1, `${firsts.length} calls of ${id} are first`)
    const [call] = firsts
    if (call !== undefined) {
      this.#known.set(id, { call, payload, state: 'running', over: undefined, doubtful: false })
      this.#maybe.delete(id)
    } else if (!told.includes('refused')) {
      assert.ok(this.#maybe.has(id), `nobody is first for ${id}, which is free`)
    }
  }
}
