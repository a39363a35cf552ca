import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { member, type JsonObject } from '../../call/json.ts'
import { UpstreamFailed } from '../../ports/upstream.ts'
import { verifies } from '../../testing/verifies.ts'
import { createUpstream } from './index.ts'
import { callTool, PATIENCE_MS, textOf, until } from './testing/ask.ts'
import { listenLegacy, listenModern } from './testing/http-servers.ts'
import { cancelled } from './testing/modern-server.ts'

const modern = await listenModern()
const dual = await listenModern('stateless')
const legacy = await listenLegacy((session) => (session === 0 ? [] : ['only-for-some']))
const upstream = createUpstream({
  servers: {
    modern: { transport: 'http', network: ['127.0.0.0/8'], url: modern.url },
    dual: { transport: 'http', network: ['127.0.0.0/8'], url: dual.url },
    legacy: { transport: 'http', network: ['127.0.0.0/8'], url: legacy.url, roots: ['file:///srv/only'] },
    'legacy-pinned': { transport: 'http', network: ['127.0.0.0/8'], url: dual.url, era: 'legacy' },
    'modern-pinned': { transport: 'http', network: ['127.0.0.0/8'], url: legacy.url, era: 'modern' },
    dead: { transport: 'http', network: ['127.0.0.0/8'], url: 'http://127.0.0.1:1/mcp' },
  },
})
after(async () => {
  await upstream.close()
  await Promise.all([modern.close(), dual.close(), legacy.close()])
})
const patience = (): AbortSignal => AbortSignal.timeout(PATIENCE_MS)

for (const server of ['modern', 'dual']) {
  test(`a modern HTTP server (${server}) is found by auto, listed, called, read and got`, async () => {
    const described = await upstream.describe(server, patience())
    assert.equal(described.era, 'modern')
    assert.equal(member(described.serverInfo, 'name'), 'modern-fixture')
    assert.equal(described.tools.length, 2)
    assert.equal(textOf(await callTool(upstream, server, 'echo', { args: { message: 'hü' } })), 'hü')
    const base = {
      server,
      session: 's1',
      principal: undefined,
      meta: {},
      host: undefined,
      argsBytes: undefined,
    }
    const read = await upstream.request(
      { ...base, method: 'resources/read', head: { uri: 'note://one' } },
      patience(),
    )
    assert.match(JSON.stringify(read.value), /a note/)
    const got = await upstream.request(
      { ...base, method: 'prompts/get', head: { name: 'hello' } },
      patience(),
    )
    assert.match(JSON.stringify(got.value), /hello/)
  })
}

test('a modern request carries its metadata in the body, the same in the headers, and nothing of a host', async () => {
  verifies('wire.capabilities')
  await callTool(upstream, 'modern', 'echo', {
    args: { message: 'x' },
    meta: { traceparent: '00-1-2-01', 'io.modelcontextprotocol/clientInfo': { name: 'host' } },
  })
  const last = modern.seen.at(-1)
  assert.ok(last !== undefined)
  assert.equal(last.headers['mcp-protocol-version'], '2026-07-28')
  assert.equal(last.headers['mcp-method'], 'tools/call')
  assert.equal(last.headers['mcp-name'], 'echo')
  assert.equal(last.headers['accept-encoding'], 'identity')
  assert.equal(last.headers.authorization, undefined)
  assert.equal(last.headers['mcp-session-id'], undefined)
  const sent: unknown = JSON.parse(last.body)
  assert.ok(typeof sent === 'object' && sent !== null && 'params' in sent)
  assert.deepEqual(sent.params, {
    name: 'echo',
    arguments: { message: 'x' },
    _meta: {
      traceparent: '00-1-2-01',
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': {},
      'io.modelcontextprotocol/clientInfo': { name: 'callgate', version: '0.1.0' },
    },
  })
})

test('an unknown method and an unknown prompt of a modern server are its own error answers', async () => {
  const base = {
    server: 'modern',
    session: 's1',
    principal: undefined,
    meta: {},
    host: undefined,
    argsBytes: undefined,
  }
  const unknown = await upstream.request({ ...base, method: 'vendor/thing', head: {} }, patience())
  assert.equal(unknown.kind, 'error')
  assert.equal(member(unknown.value, 'code'), -32601)
  const prompt = await upstream.request({ ...base, method: 'prompts/get', head: { name: 'näm' } }, patience())
  assert.equal(prompt.kind, 'error')
  assert.equal(member(prompt.value, 'code'), -32602)
})

test('a legacy HTTP server is found by auto; each Callgate session keeps its own session there', async () => {
  verifies('wire.rule-3')
  const described = await upstream.describe('legacy', patience())
  assert.equal(described.era, 'legacy')
  assert.equal(described.protocolVersion, '2025-11-25')
  await callTool(upstream, 'legacy', 'count', { session: 'a' })
  await callTool(upstream, 'legacy', 'count', { session: 'a' })
  await callTool(upstream, 'legacy', 'count', { session: 'b' })
  const ids = legacy.seen
    .filter((seen) => seen.body.includes('"count"'))
    .map((seen) => String(seen.headers['mcp-session-id']))
  assert.equal(ids.length, 3)
  assert.equal(ids[0], ids[1])
  assert.notEqual(ids[0], ids[2])
  assert.ok(legacy.seen.every((seen) => seen.headers['mcp-protocol-version'] !== undefined))
})

test('tools that differ between two principals are reported (rug pull)', async () => {
  const told: string[][] = []
  upstream.onToolsChanged((server, tools) => {
    if (server === 'legacy') told.push((tools ?? []).map((tool) => String(member(tool, 'name'))))
  })
  await callTool(upstream, 'legacy', 'count', { session: 'c' })
  await until('the tools were reported', () => told.length > 0)
  assert.ok(told[0]?.includes('only-for-some'))
})

test('a session that the server forgot is made again once, and the call runs once', async () => {
  await callTool(upstream, 'legacy', 'count', { session: 'd' })
  const before = legacy.ran()
  legacy.forget()
  const answers = await Promise.all(
    [1, 2, 3].map(() => callTool(upstream, 'legacy', 'count', { session: 'd' })),
  )
  assert.deepEqual(answers.map(textOf).sort(), [before + 1, before + 2, before + 3].map(String))
  assert.equal(legacy.ran(), before + 3)
  assert.equal(legacy.sessions.size, 1)
})

test('roots are those of the configuration, asked over the stream of a call', async () => {
  assert.equal(textOf(await callTool(upstream, 'legacy', 'roots')), 'file:///srv/only')
})

for (const server of ['modern', 'legacy']) {
  test(`progress comes over the stream of the call (${server})`, async () => {
    const heard: JsonObject[] = []
    await callTool(upstream, server, 'slow', { onProgress: (params) => heard.push(params) })
    assert.ok(heard.length >= 20)
    assert.equal(heard[0]?.['progress'], 1)
    assert.ok(heard.every((params) => !Object.hasOwn(params, 'progressToken')))
  })
}

test('a cancel reaches a modern server as a closed stream and a legacy one as a notification', async () => {
  for (const server of ['modern', 'legacy']) {
    const stop = new AbortController()
    const call = callTool(upstream, server, 'slow', { onProgress: () => stop.abort(), signal: stop.signal })
    await assert.rejects(call, (cause) => cause instanceof UpstreamFailed && cause.fault === 'cancelled')
    const reached = server === 'modern' ? cancelled : legacy.cancelled
    await until(`the cancel reached ${server}`, () => reached.length === 1)
  }
  await until('the dropped stream was seen', () => legacy.aborted.some((body) => body.includes('"slow"')))
})

test('the configured era is spoken and nothing else', async () => {
  assert.equal((await upstream.describe('legacy-pinned', patience())).era, 'legacy')
  await assert.rejects(
    upstream.describe('modern-pinned', patience()),
    (cause) =>
      cause instanceof UpstreamFailed && cause.fault === 'protocol' && /modern era/.test(cause.message),
  )
})

test('a server that nobody answers for is unavailable, never of unknown fate', async () => {
  await assert.rejects(
    callTool(upstream, 'dead', 'echo'),
    (cause) =>
      cause instanceof UpstreamFailed && cause.fault === 'unavailable' && /ECONNREFUSED/.test(cause.message),
  )
})

test('sockets are kept alive: 200 calls one after the other open no new one', async () => {
  const before = modern.sockets()
  for (let i = 0; i < 200; i++) await callTool(upstream, 'modern', 'echo', { args: { message: String(i) } })
  assert.ok(modern.sockets() - before <= 1)
})

test('closing ends the sessions at legacy servers', async () => {
  const own = createUpstream({
    servers: { legacy: { transport: 'http', network: ['127.0.0.0/8'], url: legacy.url } },
  })
  await callTool(own, 'legacy', 'count')
  const deleted = (): number => legacy.seen.filter((seen) => seen.method === 'DELETE').length
  const before = deleted()
  await own.close()
  assert.equal(deleted(), before + 1)
})

test('a URL that is not plain http or https is refused before anything is opened', () => {
  for (const url of ['ftp://127.0.0.1/', 'file:///etc/passwd', 'http://user:pw@127.0.0.1/']) {
    assert.throws(
      () => createUpstream({ servers: { x: { transport: 'http', network: ['127.0.0.0/8'], url } } }),
      /must be http or https/,
    )
  }
})
