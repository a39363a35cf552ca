import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import type { JsonObject } from '../../call/json.ts'
import { UpstreamFailed, type UpstreamFault } from '../../ports/upstream.ts'
import { verifies } from '../../testing/verifies.ts'
import { createUpstream } from './index.ts'
import { textOf, until } from './testing/ask.ts'
import { callFor, testHost } from './testing/host.ts'
import { scripted, type Reply } from './testing/scripted-server.ts'

const RETRY_MS = 40
const event = (id: string, data: JsonObject): string => `id: ${id}\ndata: ${JSON.stringify(data)}\n\n`
const progress = (token: unknown, value: number): JsonObject => ({
  jsonrpc: '2.0',
  method: 'notifications/progress',
  params: { progressToken: Number(token), progress: value },
})

/** Calls whose stream is to be taken up, by the event id that they began with. */
const begun = new Map<string, Reply>()
let runs = 0
let attempts = 0
const begins = (name: string, how: (reply: Reply) => void) => (reply: Reply) => {
  runs++
  begun.set(name, reply)
  how(reply)
}

const server = await scripted({
  on: {
    polls: begins('polls', (reply) => {
      reply.events(`id: polls-1\nretry: ${RETRY_MS}\ndata:\n\n`)
      reply.end()
    }),
    breaks: begins('breaks', (reply) => {
      reply.events(event('breaks-1', progress(reply.id, 1)))
      setTimeout(() => reply.break(), 20)
    }),
    'polls-thrice': begins('polls-thrice', (reply) => {
      reply.events(`id: polls-thrice-1\nretry: 1\ndata:\n\n`)
      reply.end()
    }),
    'flaky-get': begins('flaky-get', (reply) => {
      reply.events('id: flaky-get-1\nretry: 1\n\n')
      reply.end()
    }),
    'no-ids': begins('no-ids', (reply) => {
      reply.events(progress(reply.id, 1))
      reply.end()
    }),
    'refuses-get': begins('refuses-get', (reply) => {
      reply.events('id: refuses-get-1\ndata:\n\n')
      reply.end()
    }),
    'never-back': begins('never-back', (reply) => {
      reply.events('id: never-back-1\nretry: 1\ndata:\n\n')
      reply.end()
    }),
    'answers-another': begins('answers-another', (reply) => {
      reply.events('id: answers-another-1\nretry: 1\ndata:\n\n')
      reply.end()
    }),
  },
  onGet: (reply, headers) => {
    const from = String(headers['last-event-id'])
    const call = begun.get(from.replace(/-\d+$/, ''))
    attempts++
    if (call === undefined) reply.status(405)
    else if (from === 'polls-1') reply.events(event('polls-2', call.answer('polled')))
    else if (from === 'breaks-1') {
      reply.events(event('breaks-2', progress(call.id, 2)), event('breaks-3', call.answer('redelivered')))
    } else if (from === 'polls-thrice-3') reply.events(event('x', call.answer('at last')))
    else if (from.startsWith('polls-thrice')) {
      reply.events(event(`polls-thrice-${Number(from.at(-1)) + 1}`, progress(call.id, Number(from.at(-1)))))
      reply.end()
    } else if (from === 'flaky-get-1' && attempts < 3) reply.break()
    else if (from === 'flaky-get-1') reply.events(event('x', call.answer('after two failures')))
    else if (from === 'never-back-1') reply.break()
    else if (from === 'answers-another-1') {
      const { id: _, ...answer } = call.answer('stolen')
      reply.events(event('a-2', { ...answer, id: Number(call.id) + 1 }), event('a-3', call.answer('own')))
    } else reply.status(400)
  },
})
const upstream = createUpstream({
  servers: { fix: { transport: 'http', network: ['127.0.0.0/8'], url: server.url, era: 'legacy' } },
  limits: { backoffMinMs: 5, backoffMaxMs: 20 },
})
after(async () => {
  await upstream.close()
  await server.close()
})

function failsWith(fault: UpstreamFault): (cause: unknown) => boolean {
  return (cause) => cause instanceof UpstreamFailed && cause.fault === fault
}
const gets = (): number => server.of('GET').length

// SEP-1699; the scenario server-sse-polling of the conformance suite.
test('a call whose stream the server closes is polled for behind its last event, after the wait that it asked for', async () => {
  verifies('eras.resumption')
  const before = { gets: gets(), at: performance.now() }
  assert.equal(textOf(await callFor(upstream, 'fix', 'polls', testHost())), 'polled')
  assert.equal(gets(), before.gets + 1)
  // The bound is the server's own word, not a measure of speed: less would be an offence.
  assert.ok(performance.now() - before.at >= RETRY_MS - 1)
  const headers = server.of('GET').at(-1)?.headers
  assert.equal(headers?.['last-event-id'], 'polls-1')
  assert.equal(headers?.['mcp-session-id'], server.of('tools/call').at(-1)?.headers['mcp-session-id'])
  assert.equal(headers?.['accept'], 'text/event-stream')
})

test('a broken stream is taken up: progress is heard once each, in order, and the call ran once', async () => {
  const host = testHost()
  const before = runs
  assert.equal(textOf(await callFor(upstream, 'fix', 'breaks', host)), 'redelivered')
  assert.deepEqual(host.progress, [{ progress: 1 }, { progress: 2 }])
  assert.equal(runs, before + 1)
})

test('a server may close the stream as often as it likes, and a GET may fail on the way', async () => {
  const host = testHost()
  assert.equal(textOf(await callFor(upstream, 'fix', 'polls-thrice', host)), 'at last')
  assert.deepEqual(host.progress, [{ progress: 1 }, { progress: 2 }])
  attempts = 0
  assert.equal(textOf(await callFor(upstream, 'fix', 'flaky-get', testHost())), 'after two failures')
})

test('an answer to another request on the stream that was taken up is none', async () => {
  assert.equal(textOf(await callFor(upstream, 'fix', 'answers-another', testHost())), 'own')
})

for (const [name, why] of [
  ['no-ids', 'names no event'],
  ['refuses-get', 'does not have the stream any more'],
  ['never-back', 'cannot be reached any more'],
] as const) {
  test(`where the server ${why} the fate of the call is unknown, and it is not sent again`, async () => {
    const before = runs
    await assert.rejects(callFor(upstream, 'fix', name, testHost()), failsWith('unknown_fate'))
    assert.equal(runs, before + 1)
  })
}

test('a call that is cancelled between two polls ends at once, and the server is told', async () => {
  const slow = await scripted({
    on: {
      polls: (reply) => {
        reply.events('id: 1\nretry: 60000\ndata:\n\n')
        reply.end()
      },
    },
    onGet: (reply) => reply.status(405),
  })
  const own = createUpstream({
    servers: { slow: { transport: 'http', network: ['127.0.0.0/8'], url: slow.url, era: 'legacy' } },
  })
  const stop = new AbortController()
  const call = callFor(own, 'slow', 'polls', testHost(), { signal: stop.signal })
  await until('the call was sent', () => slow.of('tools/call').length === 1)
  setTimeout(() => stop.abort(), 30)
  await assert.rejects(call, failsWith('cancelled'))
  await until('the server was told', () => slow.of('notifications/cancelled').length > 0)
  await own.close()
  await slow.close()
})
