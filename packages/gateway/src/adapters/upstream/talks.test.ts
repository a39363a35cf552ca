import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { UpstreamFailed } from '../../ports/upstream.ts'
import { verifies } from '../../testing/verifies.ts'
import { createUpstream, type StdioServer } from './index.ts'
import { textOf, until } from './testing/ask.ts'
import { callFor, testHost } from './testing/host.ts'
import { scripted, type Reply } from './testing/scripted-server.ts'

const FORMS = { elicitation: { form: {} } }

function talking(version: string, extra: Partial<StdioServer> = {}): StdioServer {
  const script = new URL('testing/talking-stdio.ts', import.meta.url).pathname
  return {
    transport: 'stdio',
    command: [process.execPath, script, 'legacy', '', version],
    era: 'legacy',
    ...extra,
  }
}

const batches = (reply: Reply): void => {
  const answer = reply.answer('in a batch')
  if (Number(reply.id) % 2 === 0) reply.events(`data: ${JSON.stringify([answer])}\n\n`)
  else reply.events(`data: ${JSON.stringify([{ jsonrpc: '2.0', method: 'notifications/x' }, answer])}\n\n`)
  reply.end()
}
const [old, current] = await Promise.all([
  scripted({ version: '2025-03-26', on: { batches } }),
  scripted({ on: { batches } }),
])
const http = { transport: 'http', network: ['127.0.0.0/8'], era: 'legacy' } as const
const upstream = createUpstream({
  servers: {
    child: talking('2025-11-25'),
    'child-2024': talking('2024-11-05'),
    'child-2025-03': talking('2025-03-26'),
    http: { ...http, url: current.url },
    'http-2025-03': { ...http, url: old.url },
  },
})
after(async () => {
  await upstream.close()
  await Promise.all([old.close(), current.close()])
})

for (const server of ['child', 'child-2024', 'child-2025-03']) {
  test(`a child asks the host of the call in flight and gets its answer (${server})`, async () => {
    verifies('bridge.server-questions')
    const host = testHost({ capabilities: FORMS })
    const answer = await callFor(upstream, server, 'asks', host)
    assert.equal(
      textOf(answer),
      '{"jsonrpc":"2.0","id":"q1","result":{"action":"accept","content":{"region":"eu"}}}',
    )
    assert.equal(host.asked.length, 1)
  })
}

test('a child that was told of nothing gets an error, and no host is asked', async () => {
  const host = testHost()
  assert.match(textOf(await callFor(upstream, 'child', 'asks', host)), /"error":\{"code":-32601/)
  assert.equal(host.asked.length, 0)
})

// PROTOCOL.md section 3: a known proxy loses it.
test('all progress and logs of a child that come in one write with the answer reach the call', async () => {
  verifies('bridge.server-notices')
  const host = testHost()
  assert.equal(textOf(await callFor(upstream, 'child', 'tells-all-at-once', host)), 'done')
  assert.deepEqual(host.progress, [{ progress: 1 }, { progress: 2 }, { progress: 3 }])
  assert.deepEqual(host.logs, [{ level: 'info', data: 'begun' }])
})

test('the host of a call that was cancelled is asked no longer, and the child hears both', async () => {
  const stop = new AbortController()
  let asked: AbortSignal | undefined
  const host = testHost({
    capabilities: FORMS,
    ask: (_, signal) => {
      asked = signal
      return new Promise(() => {})
    },
  })
  const call = callFor(upstream, 'child', 'asks', host, { signal: stop.signal })
  await until('the child asked', () => asked !== undefined)
  stop.abort()
  await assert.rejects(call, (cause) => cause instanceof UpstreamFailed && cause.fault === 'cancelled')
  assert.equal(asked?.aborted, true)
  assert.equal(textOf(await callFor(upstream, 'child', 'tells-all-at-once', host)), 'done')
})

test('a batch of a child of 2025-03-26 is read message by message; of another version it is no message at all', async () => {
  verifies('eras.server-batches')
  const [host, other] = [testHost(), testHost()]
  assert.equal(textOf(await callFor(upstream, 'child-2025-03', 'batches', host)), 'in a batch')
  assert.deepEqual(host.progress, [{ progress: 1 }])
  assert.equal(textOf(await callFor(upstream, 'child', 'batches', other)), 'alone')
  assert.deepEqual(other.progress, [])
})

test('a batch of an HTTP server of 2025-03-26 is read; of another version it breaks the protocol', async () => {
  for (let i = 0; i < 2; i++) {
    assert.equal(textOf(await callFor(upstream, 'http-2025-03', 'batches', testHost())), 'in a batch')
  }
  await assert.rejects(
    callFor(upstream, 'http', 'batches', testHost()),
    (cause) =>
      cause instanceof UpstreamFailed && cause.fault === 'protocol' && /no batch/.test(cause.message),
  )
})
