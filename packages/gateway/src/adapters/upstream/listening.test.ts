import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { isJsonObject, member, type JsonObject } from '../../call/json.ts'
import { UpstreamFailed, type Upstream } from '../../ports/upstream.ts'
import { verifies } from '../../testing/verifies.ts'
import { createUpstream, type StdioServer, type UpstreamLimits } from './index.ts'
import { lives, textOf, until } from './testing/ask.ts'
import { callFor, testHost } from './testing/host.ts'
import { scripted, type Reply } from './testing/scripted-server.ts'

const folder = mkdtempSync(join(tmpdir(), 'callgate-listening-'))
after(() => rmSync(folder, { recursive: true }))

let files = 0
function talking(era: 'legacy' | 'modern', extra: Partial<StdioServer> = {}): StdioServer & { file: string } {
  const script = new URL('testing/talking-stdio.ts', import.meta.url).pathname
  const file = join(folder, `${era}-${++files}`)
  return { transport: 'stdio', command: [process.execPath, script, era, file], file, era, ...extra }
}

type Told = [method: string, params: JsonObject]

/** Listens, and keeps what is told. */
function listener(upstream: Upstream, server: string, resources: readonly string[] = [], session = 's1') {
  const told: Told[] = []
  const stop = new AbortController()
  const listening = {
    server,
    session,
    principal: undefined,
    capabilities: {},
    resources,
    onNotification: (method: string, params: JsonObject) => told.push([method, params]),
  }
  return {
    told,
    stop: () => stop.abort(),
    taken: upstream.listen(listening, stop.signal),
    heard: (method: string) => told.filter(([each]) => each === `notifications/${method}`).length,
  }
}

function open(
  servers: Parameters<typeof createUpstream>[0]['servers'],
  limits: Partial<UpstreamLimits> = {},
): Upstream {
  return createUpstream({ servers, limits: { backoffMinMs: 10, backoffMaxMs: 40, killMs: 200, ...limits } })
}

const lines = (file: string): string[] => readFileSync(file, 'utf8').trim().split('\n')

for (const era of ['legacy', 'modern'] as const) {
  test(`a session hears a ${era} child over the connection of its calls, and no other session does`, async (t) => {
    verifies('eras.listening')
    const config = talking(era)
    const upstream = open({ fix: config })
    t.after(() => upstream.close())
    const mine = listener(upstream, 'fix', ['note://one', 'note://two'])
    const other = listener(upstream, 'fix', ['note://one'], 's2')
    await Promise.all([mine.taken, other.taken])
    await callFor(upstream, 'fix', 'changes', undefined)
    await until('it was told', () => mine.heard('resources/updated') === 1)
    assert.deepEqual(mine.told.slice(0, 2), [
      ['notifications/prompts/list_changed', {}],
      ['notifications/resources/updated', { uri: 'note://one' }],
    ])
    assert.deepEqual(other.told, [])
    mine.stop()
    await callFor(upstream, 'fix', 'changes', undefined)
    assert.equal(mine.heard('resources/updated'), 1)
  })

  test(`a ${era} child that died is started and asked again by whoever listens`, async (t) => {
    const upstream = open({ fix: talking(era) })
    t.after(() => upstream.close())
    const mine = listener(upstream, 'fix')
    await mine.taken
    await assert.rejects(callFor(upstream, 'fix', 'dies', undefined), UpstreamFailed)
    for (let tries = 0; mine.heard('prompts/list_changed') === 0 && tries < 100; tries++) {
      await callFor(upstream, 'fix', 'changes', undefined)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    assert.ok(mine.heard('prompts/list_changed') > 0)
  })
}

test('a legacy child is subscribed to each resource once, and unsubscribed when the last listener has gone', async (t) => {
  const config = talking('legacy')
  const upstream = open({ fix: config })
  t.after(() => upstream.close())
  const first = listener(upstream, 'fix', ['note://one', 'note://two'])
  await first.taken
  const second = listener(upstream, 'fix', ['note://two'])
  await second.taken
  const sent = (): string[] =>
    lines(config.file).flatMap((line) => {
      const message: unknown = JSON.parse(line)
      const method = isJsonObject(message) ? String(member(message, 'method')) : ''
      const params = isJsonObject(message) ? member(message, 'params') : undefined
      if (!/^resources\/(un)?subscribe$/.test(method) || !isJsonObject(params)) return []
      return [`${method.slice(10)} ${String(params['uri'])}`]
    })
  assert.deepEqual(sent(), ['subscribe note://one', 'subscribe note://two'])
  first.stop()
  // One in place of another, in the same turn: the child hears of neither.
  second.stop()
  const third = listener(upstream, 'fix', ['note://two'])
  await third.taken
  assert.deepEqual(sent().slice(2), ['unsubscribe note://one'])
  third.stop()
  await until('it was unsubscribed', () => sent().length === 4)
  assert.equal(sent().at(-1), 'unsubscribe note://two')
})

test('a modern subscription is asked for what the server declares, and cancelled when nobody listens', async (t) => {
  const config = talking('modern')
  const upstream = open({ fix: config })
  t.after(() => upstream.close())
  const mine = listener(upstream, 'fix', ['note://one'])
  await mine.taken
  const request = lines(config.file).find((line) => line.includes('subscriptions/listen')) ?? '{}'
  assert.match(
    request,
    /"notifications":\{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true,"resourceSubscriptions":\["note:\/\/one"\]\}/,
  )
  assert.match(request, /"io\.modelcontextprotocol\/protocolVersion":"2026-07-28"/)
  const id = /"id":(\d+)/.exec(request)?.[1]
  mine.stop()
  await until('it was cancelled', () =>
    lines(config.file).some(
      (line) => line.includes('notifications/cancelled') && line.includes(`"requestId":${id}`),
    ),
  )
})

test('a subscription that the server ends is opened again', async (t) => {
  const config = talking('modern')
  const upstream = open({ fix: config })
  t.after(() => upstream.close())
  const mine = listener(upstream, 'fix')
  await mine.taken
  await callFor(upstream, 'fix', 'ends-subscription', undefined)
  await until(
    'it was opened again',
    () => lines(config.file).filter((line) => line.includes('subscriptions/listen')).length === 2,
  )
  await until('it was heard', () => {
    callFor(upstream, 'fix', 'changes', undefined).catch(() => {})
    return mine.heard('prompts/list_changed') > 0
  })
})

test('of a shared child a session is told nothing and declares nothing, and it may ask nobody', async (t) => {
  const config = talking('legacy', { shared: true })
  const upstream = open({ fix: config })
  t.after(() => upstream.close())
  const mine = listener(upstream, 'fix', ['note://one'])
  await mine.taken
  const host = testHost({ capabilities: { elicitation: { form: {} } } })
  await callFor(upstream, 'fix', 'changes', host)
  assert.match(textOf(await callFor(upstream, 'fix', 'asks', host)), /"error":\{"code":-32601/)
  await callFor(upstream, 'fix', 'tells-all-at-once', host)
  assert.deepEqual(host.progress, [{ progress: 1 }, { progress: 2 }, { progress: 3 }])
  assert.deepEqual([mine.told, host.logs, host.asked], [[], [], []])
  assert.match(lines(config.file).find((line) => line.includes('"initialize"')) ?? '', /"capabilities":\{\}/)
})

test('a child that is heard does not idle away, but gives its place to a call; a listener takes no place of another', async (t) => {
  const upstream = open({ fix: talking('legacy') }, { maxChildren: 1, idleMs: 60 })
  t.after(() => upstream.close())
  const mine = listener(upstream, 'fix')
  await mine.taken
  const pid = async (session: string): Promise<number> =>
    Number(textOf(await callFor(upstream, 'fix', 'changes', undefined, { session })))
  const first = await pid('s1')
  await new Promise((resolve) => setTimeout(resolve, 200))
  assert.equal(await pid('s1'), first)
  await assert.rejects(
    listener(upstream, 'fix', [], 's2').taken,
    (cause) => cause instanceof UpstreamFailed && cause.fault === 'busy',
  )
  assert.notEqual(await pid('s2'), first)
  assert.equal(lives(first), false)
  await until('the first session is heard again', () => {
    void pid('s1').catch(() => {})
    return mine.heard('prompts/list_changed') > 1
  })
})

test('listening to a server that cannot be reached fails; an aborted signal and the end of the gate end it silently', async () => {
  const dead = { transport: 'http', network: ['127.0.0.0/8'], url: 'http://127.0.0.1:1/mcp' } as const
  const upstream = open({ dead, fix: talking('legacy') })
  await assert.rejects(
    listener(upstream, 'dead').taken,
    (cause) => cause instanceof UpstreamFailed && cause.fault === 'unavailable',
  )
  await assert.rejects(listener(upstream, 'nobody').taken, UpstreamFailed)
  const early = listener(upstream, 'fix')
  early.stop()
  await early.taken
  const late = listener(upstream, 'fix')
  await late.taken
  await upstream.close()
})

test('the stream of a legacy HTTP server is opened with the session, taken up behind its last event, and closed at the end', async (t) => {
  const streams: Reply[] = []
  const server = await scripted({
    capabilities: { resources: { subscribe: true } },
    onGet: (reply) => {
      reply.begin()
      streams.push(reply)
    },
  })
  const upstream = open({
    fix: { transport: 'http', network: ['127.0.0.0/8'], url: server.url, era: 'legacy' },
  })
  t.after(async () => {
    await upstream.close()
    await server.close()
  })
  const mine = listener(upstream, 'fix', ['note://one'])
  await mine.taken
  const changed = '{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"note://one"}}'
  streams[0]?.events(`id: e-1\nretry: 20\ndata: ${changed}\n\n`)
  await until('it was told', () => mine.told.length === 1)
  streams[0]?.break()
  await until('it was taken up', () => streams.length === 2)
  assert.equal(server.of('GET')[1]?.headers['last-event-id'], 'e-1')
  assert.equal(
    server.of('GET')[1]?.headers['mcp-session-id'],
    server.of('resources/subscribe')[0]?.headers['mcp-session-id'],
  )
  streams[1]?.events(`id: e-2\ndata: ${changed}\n\n`)
  await until('it was told again', () => mine.told.length === 2)
  server.forget()
  streams[1]?.end()
  await until('a session was made anew, and subscribed', () => server.of('resources/subscribe').length === 2)
  await until('it has a stream', () => streams.length === 3)
  assert.equal(server.of('GET').at(-1)?.headers['last-event-id'], undefined)
  assert.equal(server.of('initialize').length, 2)
  await upstream.close()
  await until('the stream was closed', () => streams[2]?.closed === true)
})

test('a legacy HTTP server without a stream is heard on those of calls', async (t) => {
  const server = await scripted({
    on: {
      tells: (reply) => {
        reply.events({ jsonrpc: '2.0', method: 'notifications/resources/list_changed' }, reply.answer('told'))
        reply.end()
      },
    },
  })
  const upstream = open({
    fix: { transport: 'http', network: ['127.0.0.0/8'], url: server.url, era: 'legacy' },
  })
  t.after(async () => {
    await upstream.close()
    await server.close()
  })
  const mine = listener(upstream, 'fix', ['note://one'])
  await mine.taken
  assert.equal(server.of('resources/subscribe').length, 0)
  await callFor(upstream, 'fix', 'tells', undefined)
  assert.deepEqual(mine.told, [['notifications/resources/list_changed', {}]])
  assert.equal(server.of('GET').length, 1)
})

test('a server that was described is heard of changed tools although no session listens; one that announces none has no stream', async (t) => {
  verifies('eras.listening')
  const streams: Reply[] = []
  const onGet = (reply: Reply): void => {
    reply.begin()
    streams.push(reply)
  }
  const announces = await scripted({ capabilities: { tools: { listChanged: true } }, onGet })
  const silent = await scripted({ capabilities: { tools: {} }, onGet })
  const common = { transport: 'http', network: ['127.0.0.0/8'], era: 'legacy' } as const
  const upstream = open({
    announces: { ...common, url: announces.url },
    silent: { ...common, url: silent.url },
  })
  t.after(async () => {
    await upstream.close()
    await Promise.all([announces.close(), silent.close()])
  })
  const changed: string[] = []
  upstream.onToolsChanged((server) => changed.push(server))
  const signal = AbortSignal.timeout(5_000)
  for (const server of ['announces', 'silent', 'announces']) await upstream.describe(server, signal)
  await until('the stream was opened', () => streams.length === 1)
  streams[0]?.events({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' })
  await until('it was told', () => changed.length === 1)
  assert.deepEqual(changed, ['announces'])
  assert.deepEqual([announces.of('GET').length, silent.of('GET').length], [1, 0])
})
