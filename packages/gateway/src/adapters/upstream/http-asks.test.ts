import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { isJsonObject, member, type JsonObject } from '../../call/json.ts'
import { Refusal } from '../../call/refusal.ts'
import { UpstreamFailed } from '../../ports/upstream.ts'
import { verifies } from '../../testing/verifies.ts'
import { createUpstream } from './index.ts'
import { textOf, until } from './testing/ask.ts'
import { callFor, testHost } from './testing/host.ts'
import { scripted, type Reply } from './testing/scripted-server.ts'

const FORMS = { elicitation: { form: {} } }
const FORM = {
  message: 'Which region?',
  requestedSchema: { type: 'object', properties: { region: { type: 'string' } } },
}
const question = (id: string): JsonObject => ({
  jsonrpc: '2.0',
  id,
  method: 'elicitation/create',
  params: FORM,
})
const progress = (token: unknown, value: number): JsonObject => ({
  jsonrpc: '2.0',
  method: 'notifications/progress',
  params: { progressToken: Number(token), progress: value },
})
const log = (data: string): JsonObject => ({
  jsonrpc: '2.0',
  method: 'notifications/message',
  params: { level: 'info', data },
})

const open: Record<string, Reply[]> = { stream: [], held: [] }
const server = await scripted({
  capabilities: { tools: {}, logging: {} },
  on: {
    asks: (reply) => {
      reply.events(question(`q-${Number(reply.id)}`))
      open['held']?.push(reply)
    },
    'asks-aside': (reply) => {
      open['stream']?.at(-1)?.events(question('aside'))
      open['held']?.push(reply)
    },
    held: (reply) => {
      reply.begin()
      open['held']?.push(reply)
    },
    'tells-all-at-once': (reply) => {
      const of = [1, 2, 3].map((value) => progress(reply.id, value))
      reply.events(
        log('begun'),
        ...of.slice(0, 2),
        progress(Number(reply.id) - 1, 9),
        ...of.slice(2),
        reply.answer('done'),
      )
      reply.end()
    },
    well: (reply) => reply.result('fine'),
  },
  onGet: (reply) => {
    reply.begin()
    open['stream']?.push(reply)
  },
})
const http = { transport: 'http', network: ['127.0.0.0/8'], url: server.url, era: 'legacy' } as const
const upstream = createUpstream({ servers: { fix: http, rooted: { ...http, roots: ['file:///srv'] } } })
after(async () => {
  await upstream.close()
  await server.close()
})

const held = (): Reply => {
  const reply = open['held']?.pop()
  assert.ok(reply !== undefined)
  return reply
}
const lastSession = (): unknown => server.of('tools/call').at(-1)?.headers['mcp-session-id']

test('a server asks on the stream of a call, gets the answer of its host and answers the call', async () => {
  verifies('bridge.server-questions')
  const host = testHost({ capabilities: FORMS })
  const call = callFor(upstream, 'fix', 'asks', host)
  await until('the server asked', () => host.asked.length === 1)
  const reply = held()
  const id = `q-${Number(reply.id)}`
  await until('the answer came', () => server.answerTo(id) !== undefined)
  assert.deepEqual(server.answerTo(id), {
    jsonrpc: '2.0',
    id,
    result: { action: 'accept', content: { region: 'eu' } },
  })
  reply.events(reply.answer('eu it is'))
  assert.equal(textOf(await call), 'eu it is')
})

test('a question on the stream beside all calls is asked of the call in flight', async () => {
  const host = testHost({ capabilities: FORMS })
  const call = callFor(upstream, 'fix', 'asks-aside', host)
  await until('the answer came', () => server.answerTo('aside') !== undefined)
  assert.equal(host.asked.length, 1)
  held().result('done')
  assert.equal(textOf(await call), 'done')
})

test('initialize declares what this host may be asked; other rights of the same session are another connection', async () => {
  verifies('wire.capabilities')
  const declared = (): unknown =>
    server.of('initialize').map(({ message }) => {
      const params = member(message, 'params')
      return typeof params === 'object' && params !== null && 'capabilities' in params && params.capabilities
    })
  const own = createUpstream({ servers: { fix: http, rooted: { ...http, roots: ['file:///srv'] } } })
  const before = server.of('initialize').length
  const session = 'rights'
  await own.describe('fix', AbortSignal.timeout(5_000))
  await callFor(own, 'fix', 'well', testHost({ capabilities: FORMS }), { session })
  const asking = lastSession()
  await callFor(own, 'fix', 'well', testHost(), { session })
  assert.notEqual(lastSession(), asking)
  await callFor(own, 'fix', 'well', testHost({ capabilities: FORMS }), { session })
  assert.equal(lastSession(), asking)
  await callFor(own, 'rooted', 'well', testHost({ capabilities: FORMS }), { session })
  assert.deepEqual(Array.isArray(declared()) ? (declared() as unknown[]).slice(before) : [], [
    {},
    FORMS,
    {},
    { ...FORMS, roots: {} },
  ])
  await own.close()
})

test('a call that no host may be reached by goes over the connection that its session has', async () => {
  const session = 'unreachable'
  await callFor(upstream, 'fix', 'well', testHost({ capabilities: FORMS }), { session })
  const own = lastSession()
  await callFor(upstream, 'fix', 'well', undefined, { session })
  assert.equal(lastSession(), own)
})

// PROTOCOL.md section 3: a known proxy loses it.
test('the last progress notification, in one chunk with the answer, reaches the call; the token of another call does not', async () => {
  verifies('bridge.server-notices')
  const [host, other] = [testHost(), testHost()]
  const waiting = callFor(upstream, 'fix', 'held', other)
  await until('the other call is held', () => (open['held']?.length ?? 0) === 1)
  await callFor(upstream, 'fix', 'tells-all-at-once', host)
  assert.deepEqual(host.progress, [{ progress: 1 }, { progress: 2 }, { progress: 3 }])
  assert.deepEqual(host.logs, [{ level: 'info', data: 'begun' }])
  const reply = held()
  reply.events(reply.answer('late'))
  await waiting
  assert.deepEqual([other.progress, other.logs], [[], []])
})

/** Whether a cancel is that of a request. */
function names(message: JsonObject, requestId: unknown): boolean {
  const params = member(message, 'params')
  return isJsonObject(params) && member(params, 'requestId') === requestId
}

test('a cancelled call reaches the server as a notification before its socket is closed, and its question is taken back', async () => {
  const stop = new AbortController()
  let asked: AbortSignal | undefined
  const host = testHost({
    capabilities: FORMS,
    ask: (_, signal) => {
      asked = signal
      return new Promise(() => {})
    },
  })
  const call = callFor(upstream, 'fix', 'asks', host, { signal: stop.signal })
  await until('the server asked', () => asked !== undefined)
  const reply = held()
  const closedAtNotice = new Promise<boolean>((resolve) => {
    const timer = setInterval(() => {
      if (!server.of('notifications/cancelled').some(({ message }) => names(message, reply.id))) return
      clearInterval(timer)
      resolve(reply.closed)
    }, 1)
  })
  stop.abort()
  await assert.rejects(call, (cause) => cause instanceof UpstreamFailed && cause.fault === 'cancelled')
  assert.equal(asked?.aborted, true)
  assert.equal(await closedAtNotice, false)
  await until('the socket was closed', () => reply.closed)
})

test('a question that the gate refuses is an error for the server, and the call goes on', async () => {
  const host = testHost({
    capabilities: FORMS,
    ask: () => Promise.reject(new Refusal('CG_HOST_SILENT')),
  })
  const call = callFor(upstream, 'fix', 'asks', host)
  await until('the server asked', () => host.asked.length === 1)
  const reply = held()
  const id = `q-${Number(reply.id)}`
  await until('the error came', () => server.answerTo(id) !== undefined)
  assert.match(JSON.stringify(server.answerTo(id)), /"error":\{"code":-31651,/)
  reply.events(reply.answer('without an answer'))
  assert.equal(textOf(await call), 'without an answer')
})

test('a flood of questions costs eight of the host, and errors for the rest', async () => {
  const host = testHost({ capabilities: FORMS, ask: () => new Promise(() => {}) })
  const call = callFor(upstream, 'fix', 'held', host)
  await until('the call is held', () => (open['held']?.length ?? 0) === 1)
  const reply = held()
  reply.events(...Array.from({ length: 100 }, (_, i) => question(`flood-${i}`)))
  await until(
    '92 were refused',
    () =>
      server.heard.filter(({ message }) => 'error' in message && String(message['id']).startsWith('flood-'))
        .length === 92,
  )
  assert.equal(host.asked.length, 8)
  reply.events(reply.answer('enough'))
  await call
})

test('the log level of a modern host is set once for the session, and again when another is wanted', async () => {
  const session = 'logs'
  const levels = (): unknown[] =>
    server.of('logging/setLevel').map(({ message }) => member(message, 'params'))
  for (const logLevel of ['warning', 'warning', undefined, 'debug', 'debug']) {
    await callFor(upstream, 'fix', 'well', testHost({ logLevel }), { session })
  }
  assert.deepEqual(levels(), [{ level: 'warning' }, { level: 'debug' }])
  assert.equal(
    server.heard.filter(({ method }) => method === 'logging/setLevel' || method === 'tools/call').at(-3)
      ?.method,
    'logging/setLevel',
  )
})
