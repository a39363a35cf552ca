import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { Principal } from '../../call/call.ts'
import { NotObtained } from './fault.ts'
import { KeptCredentials, MAX_FLIGHTS, MAX_KEPT, type Obtained } from './kept.ts'
import { bench, NETWORK, principal, tokenEndpoint } from './testing/bench.ts'
import { answer } from './testing/token-endpoint.ts'
import { verifies } from '../../testing/verifies.ts'

/** A source that is answered by hand; one key for each subject. */
function stage() {
  const asked: PromiseWithResolvers<Obtained>[] = []
  const fresh: boolean[] = []
  let now = 0
  const source = {
    keyOf: (who: Principal | undefined) => who?.subject ?? '',
    obtain: (_who: Principal | undefined, _signal: AbortSignal, anew: boolean) => {
      fresh.push(anew)
      const answered = Promise.withResolvers<Obtained>()
      asked.push(answered)
      return answered.promise
    },
    close: () => Promise.resolve(),
  }
  const kept = new KeptCredentials('crm', source, () => now)
  return {
    asked,
    fresh,
    kept,
    pass: (ms: number) => {
      now += ms
    },
    headers: async (subject: string, signal = new AbortController().signal) =>
      kept.headersFor(principal({ subject }), signal),
    give: (token: string, keepMs = 60_000) =>
      asked.at(-1)?.resolve({ headers: ['authorization', token], keepMs }),
    fail: (affects: 'caller' | 'everyone', message = 'no') =>
      asked.at(-1)?.reject(new NotObtained(affects, message)),
  }
}

test('however many wait for the same headers, one request obtains them; then they are there at once', async () => {
  verifies('identity.credential-single-flight')
  const { asked, headers, give, kept } = stage()
  const waiting = Promise.all(Array.from({ length: 200 }, () => headers('ada')))
  give('one')
  const got = new Set(await waiting)
  assert.equal(asked.length, 1)
  assert.deepEqual([...got], [['authorization', 'one']])
  const [first] = got
  assert.equal(kept.headersFor(principal({ subject: 'ada' }), AbortSignal.abort()), first)
})

test('whoever stops waiting stops alone, and what was asked for is kept', async () => {
  const { asked, headers, give } = stage()
  const impatient = new AbortController()
  const leaves = headers('ada', impatient.signal)
  const stays = headers('ada')
  impatient.abort()
  await assert.rejects(leaves, { fault: 'cancelled' })
  await assert.rejects(headers('ada', AbortSignal.abort()), { fault: 'cancelled' })
  give('one')
  assert.deepEqual(await stays, ['authorization', 'one'])
  const alone = new AbortController()
  const last = headers('bob', alone.signal)
  alone.abort()
  await assert.rejects(last, { fault: 'cancelled' })
  give('two')
  assert.deepEqual(await headers('bob'), ['authorization', 'two'])
  assert.equal(asked.length, 2)
})

test('headers that may not be kept serve those who wait and nobody after them', async () => {
  const { asked, headers, give } = stage()
  const waiting = Promise.all([headers('ada'), headers('ada')])
  give('once', 0)
  await waiting
  const next = headers('ada')
  give('twice')
  assert.deepEqual(await next, ['authorization', 'twice'])
  assert.equal(asked.length, 2)
})

test('the life of headers counts from when they were asked for, not from when they came', async () => {
  const { asked, headers, give, pass } = stage()
  const slow = headers('ada')
  pass(4_000)
  give('one', 10_000)
  await slow
  pass(5_999)
  assert.deepEqual(await headers('ada'), ['authorization', 'one'])
  pass(1)
  const next = headers('ada')
  give('two')
  assert.deepEqual(await next, ['authorization', 'two'])
  assert.equal(asked.length, 2)
})

test('a failure is remembered for a second, and twice as long each time, up to half a minute', async () => {
  const { asked, headers, fail, pass } = stage()
  for (const stepMs of [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
    const attempt = headers('ada')
    fail('caller')
    await assert.rejects(attempt, { message: 'no' })
    const before = asked.length
    pass(stepMs / 2 - 1)
    await assert.rejects(headers('ada'), { fault: 'unavailable', message: /^no; tried again in \d+ s$/ })
    assert.equal(asked.length, before)
    pass(stepMs / 2 + 1)
  }
  const attempt = headers('ada')
  assert.equal(asked.length, 8)
  fail('caller')
  await assert.rejects(attempt)
})

test('headers that are kept are shown while new ones cannot be obtained', async () => {
  const { headers, give, fail } = stage()
  const first = headers('ada')
  give('one')
  await first
  const other = headers('bob')
  fail('everyone', 'the issuer is down')
  await assert.rejects(other)
  await assert.rejects(headers('eve'), /^.*the issuer is down; tried again/)
  assert.deepEqual(await headers('ada'), ['authorization', 'one'])
})

test('a hundred calls refused with the same headers cost one new request, and drop no newer headers', async () => {
  const { asked, headers, give, kept } = stage()
  const who = principal({ subject: 'ada' })
  const pending = headers('ada')
  give('old')
  const old = await pending
  kept.refused(who, old)
  const again = headers('ada')
  give('new')
  assert.deepEqual(await again, ['authorization', 'new'])
  for (let call = 0; call < 99; call++) kept.refused(who, old)
  assert.deepEqual(await headers('ada'), ['authorization', 'new'])
  assert.equal(asked.length, 2)
})

test('while a server takes headers from some calls, those that it refuses do not use them up for all', async () => {
  verifies('identity.credential-single-flight')
  const { asked, headers, give, kept, pass } = stage()
  const who = principal({ subject: 'shared' })
  const pending = headers('shared')
  give('one')
  let shown = await pending
  kept.accepted(who, shown)
  // Ended before its time, or one caller's doing: it cannot be told, so they are replaced, once.
  assert.equal(kept.refused(who, shown), true)
  const again = headers('shared')
  give('two')
  shown = await again
  kept.accepted(who, shown)
  for (let call = 0; call < 50; call++) {
    assert.equal(kept.refused(who, shown), false, 'not worth another try')
    assert.deepEqual(await headers('shared'), shown, 'the others go on')
    kept.accepted(who, shown)
    pass(100)
  }
  assert.equal(asked.length, 2)
  pass(5_000)
  assert.equal(kept.refused(who, shown), true, 'ten seconds later they may be replaced again')
  const third = headers('shared')
  give('three')
  assert.deepEqual(await third, ['authorization', 'three'])
})

test('after a failure, and behind a refusal, secrets are asked for anew', async () => {
  const { fresh, headers, give, kept, fail, pass } = stage()
  const who = principal({ subject: 'ada' })
  const first = headers('ada')
  give('one')
  kept.refused(who, await first)
  const second = headers('ada')
  fail('everyone')
  await assert.rejects(second)
  pass(1_000)
  const third = headers('ada')
  give('three', 0)
  await third
  const last = headers('ada')
  give('four')
  await last
  assert.deepEqual(fresh, [false, true, true, false])
})

test('a server that refuses every new token is asked ever less often, and never in a loop', async () => {
  const { asked, headers, give, kept, pass } = stage()
  const who = principal({ subject: 'ada' })
  let refusals = 0
  for (let call = 0; call < 10_000; call++) {
    const pending = headers('ada')
    give(`token ${call}`)
    const got = await pending.catch(() => undefined)
    if (got !== undefined) {
      kept.refused(who, got)
      refusals++
    }
    pass(10)
  }
  // 100 seconds: the first two at once, then waits of at least 0.5, 1, 2, 4, 8, 15, 15, 15 ... seconds.
  assert.ok(refusals <= 2 + 5 + 6, `${refusals} tokens in 100 s`)
  assert.equal(asked.length, refusals)
  await assert.rejects(
    headers('ada'),
    /refuses the gate's credentials again and again \(HTTP 401\); tried again in/,
  )
  // One that was good for a while is no such server.
  pass(60_001)
  const pending = headers('ada')
  give('good')
  const good = await pending
  pass(30_000)
  kept.refused(who, good)
  const fresh = headers('ada')
  give('fresh')
  assert.deepEqual(await fresh, ['authorization', 'fresh'])
})

test('only so many callers are kept, the least recently used go; only so many are asked for at once', async () => {
  const { asked, headers, give, kept } = stage()
  const fill = async (subject: string): Promise<void> => {
    const pending = headers(subject)
    give(subject)
    await pending
  }
  for (let n = 0; n < MAX_KEPT; n++) await fill(`s${n}`)
  await headers('s0')
  await fill('one more')
  assert.equal(asked.length, MAX_KEPT + 1)
  assert.deepEqual(await headers('s0'), ['authorization', 's0'])
  assert.equal(asked.length, MAX_KEPT + 1)
  const gone = headers('s1')
  assert.equal(asked.length, MAX_KEPT + 2)
  give('s1')
  await gone
  const waiting = Array.from({ length: MAX_FLIGHTS }, (_, n) => headers(`w${n}`))
  await assert.rejects(headers('too many'), { fault: 'busy' })
  assert.equal(asked.length, MAX_KEPT + 2 + MAX_FLIGHTS)
  for (const pending of asked) pending.resolve({ headers: [], keepMs: 0 })
  await Promise.all(waiting)
  const late = headers('too many')
  give('late')
  assert.deepEqual(await late, ['authorization', 'late'])
  await kept.close()
})

test('when the gate ends, whoever waits is told, and nothing is obtained any more', async () => {
  const { asked, headers, kept } = stage()
  const waiting = headers('ada')
  await kept.close()
  await assert.rejects(waiting, { fault: 'unavailable', message: /^the gate ends/ })
  await assert.rejects(headers('bob'), { fault: 'unavailable' })
  assert.equal(asked.length, 1)
})

test('a token is used until a tenth of its life is left, at least 5 and at most 60 seconds', async () => {
  const endpoint = await tokenEndpoint()
  const auth = { method: 'client_secret_basic', secret: 'file:client' } as const
  const place = { clientId: 'gate client', auth, tokenUrl: endpoint.url, network: NETWORK }
  const seed = Date.now() % 2 ** 31
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 100_000 }), async (lifeS) => {
      const { headers, pass } = bench({ ...place, type: 'client_credentials' })
      const body = { access_token: 'first', token_type: 'Bearer', expires_in: lifeS }
      endpoint.next.push((response) => answer(response, 200, body))
      const first = await headers()
      const keepMs = Math.min(3_600, Math.max(0, lifeS - Math.min(60, Math.max(5, lifeS / 10)))) * 1_000
      if (keepMs > 0) {
        pass(keepMs - 0.5)
        assert.equal(await headers(), first)
        pass(1)
      }
      assert.notEqual(await headers(), first)
    }),
    { seed, numRuns: 40, examples: [[1], [5], [6], [50], [600], [3_660], [3_661]] },
  )
})

test('a thousand callers of one issuer that is down cost it one request a pause, not one each', async () => {
  const endpoint = await tokenEndpoint()
  const auth = { method: 'client_secret_basic', secret: 'file:client' } as const
  const place = { clientId: 'gate client', auth, tokenUrl: endpoint.url, network: NETWORK }
  const { headers } = bench({ ...place, type: 'token_exchange' })
  endpoint.next.push((response) => answer(response, 503, {}))
  await assert.rejects(headers(principal({ subject: 'first' })), /HTTP 503/)
  for (let n = 0; n < 1_000; n++) await assert.rejects(headers(principal({ subject: `s${n}` })), /HTTP 503/)
  assert.equal(endpoint.seen.length, 1)
})
