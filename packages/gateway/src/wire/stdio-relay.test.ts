import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PassThrough } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { verifies } from '../testing/verifies.ts'
import { type Posted, relayStdio } from './stdio-relay.ts'

const json = (body: object, status = 200, contentType = 'application/json'): Posted => ({
  status,
  contentType,
  body: (async function* () {
    yield Buffer.from(JSON.stringify(body))
  })(),
})
const empty = (status: number): Posted => ({ status, contentType: '', body: (async function* () {})() })

interface Sent {
  readonly body: string
  readonly headers: Record<string, string>
  readonly signal: AbortSignal
}

/** Relays these lines and says what was posted and what was written. */
async function relay(
  lines: readonly string[],
  answer: (sent: Sent) => Posted | Promise<Posted>,
  gapMs = 5,
): Promise<{ sent: Sent[]; written: Record<string, unknown>[] }> {
  const input = new PassThrough()
  const output = new PassThrough()
  const sent: Sent[] = []
  const chunks: Buffer[] = []
  output.on('data', (chunk: Buffer) => chunks.push(chunk))
  const done = relayStdio({
    input,
    output,
    post: async (body, headers, signal) => {
      const each = { body, headers, signal }
      sent.push(each)
      return answer(each)
    },
  })
  for (const line of lines) {
    input.write(`${line}\n`)
    await sleep(gapMs)
  }
  input.end()
  await done
  const written = Buffer.concat(chunks)
    .toString()
    .split('\n')
    .filter((line) => line !== '')
    .map((line): Record<string, unknown> => JSON.parse(line))
  return { sent, written }
}

const INITIALIZE = '{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}'
const _meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' }

test('the version that initialize agreed on goes with every later legacy message, and not before', async () => {
  verifies('cli.connect')
  const { sent, written } = await relay(
    [
      INITIALIZE,
      '{"jsonrpc":"2.0","method":"notifications/initialized"}',
      '{"jsonrpc":"2.0","id":1,"method":"tools/list"}',
    ],
    ({ body }) =>
      body.includes('initialize"')
        ? json({ jsonrpc: '2.0', id: 0, result: { protocolVersion: '2025-06-18' } })
        : body.includes('"id"')
          ? json({ jsonrpc: '2.0', id: 1, result: {} })
          : empty(202),
  )
  assert.deepEqual(
    sent.map(({ headers }) => headers['mcp-protocol-version']),
    [undefined, '2025-06-18', '2025-06-18'],
  )
  assert.deepEqual(
    written.map(({ id }) => id),
    [0, 1],
  )
})

test('a modern message gets the headers that repeat it, and its line goes on as it is', async () => {
  verifies('cli.connect')
  const line = JSON.stringify({
    jsonrpc: '2.0',
    id: 1,
    method: 'tools/call',
    params: { _meta, name: 'fix__\u00e9cho', arguments: { a: 1 } },
  })
  const { sent } = await relay([line], () => json({ jsonrpc: '2.0', id: 1, result: {} }))
  assert.equal(sent[0]?.body, line)
  assert.deepEqual(sent[0]?.headers, {
    'mcp-protocol-version': '2026-07-28',
    'mcp-method': 'tools/call',
    'mcp-name': `=?base64?${Buffer.from('fix__\u00e9cho').toString('base64')}?=`,
  })
})

test('events of a stream come out line by line, in order', async () => {
  const { written } = await relay(['{"jsonrpc":"2.0","id":1,"method":"tools/call"}'], () => ({
    status: 200,
    contentType: 'text/event-stream',
    body: (async function* () {
      yield Buffer.from('event: message\ndata: {"method":"notifications/progress"}\n\nevent: mess')
      yield Buffer.from('age\ndata: {"id":1,"result":{}}\n\n')
    })(),
  }))
  assert.deepEqual(written, [{ method: 'notifications/progress' }, { id: 1, result: {} }])
})

test('a modern cancel closes the request and writes no answer to it', async () => {
  verifies('call.cancel')
  const call = JSON.stringify({ jsonrpc: '2.0', id: 'a', method: 'tools/call', params: { _meta, name: 'n' } })
  const cancel = JSON.stringify({
    jsonrpc: '2.0',
    method: 'notifications/cancelled',
    params: { _meta, requestId: 'a' },
  })
  const { sent, written } = await relay([call, cancel], ({ body, signal }) =>
    body.includes('cancelled')
      ? empty(202)
      : new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted')))),
  )
  assert.equal(sent[0]?.signal.aborted, true)
  assert.deepEqual(written, [])
})

test('what is no JSON-RPC becomes the error of its request, and of a notification nobody hears', async () => {
  const problem = (): Posted => json({ detail: 'no access token was sent' }, 401, 'application/problem+json')
  const { written } = await relay(
    ['{"jsonrpc":"2.0","id":7,"method":"ping"}', '{"jsonrpc":"2.0","method":"x"}'],
    problem,
  )
  assert.equal(written.length, 1)
  assert.equal(written[0]?.['id'], 7)
  assert.match(JSON.stringify(written[0]), /-31900.*401: no access token was sent/)
})

test('an error that the gate sends to a notification or an answer is not written: it would answer a request that is none', async () => {
  const { written } = await relay(
    ['{"jsonrpc":"2.0","method":"x"}', '{"jsonrpc":"2.0","id":1,"result":{}}'],
    () => json({ jsonrpc: '2.0', id: 1, error: { code: -32_600, message: 'm' } }, 400),
  )
  assert.deepEqual(written, [])
})

test('a gate that cannot be reached fails the requests one by one, and the relay goes on', async () => {
  let reachable = false
  const { written } = await relay(
    ['{"jsonrpc":"2.0","id":1,"method":"ping"}', '{"jsonrpc":"2.0","id":2,"method":"ping"}'],
    () => {
      if (reachable) return json({ jsonrpc: '2.0', id: 2, result: {} })
      reachable = true
      throw new Error('connection refused')
    },
  )
  assert.deepEqual(
    written.map(({ id, error }) => [id, error === undefined]),
    [
      [1, false],
      [2, true],
    ],
  )
})

test('a line that is no object is answered at once and never posted', async () => {
  const { sent, written } = await relay(['nonsense', '[]', '   ', ''], () => empty(202))
  assert.equal(sent.length, 0)
  assert.deepEqual(
    written.map(({ id }) => id),
    [null, null],
  )
})
