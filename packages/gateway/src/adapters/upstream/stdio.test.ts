import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { member, type JsonObject } from '../../call/json.ts'
import { UpstreamFailed } from '../../ports/upstream.ts'
import { createUpstream } from './index.ts'
import { callTool, hostile, PATIENCE_MS, textOf, until } from './testing/ask.ts'

const folder = mkdtempSync(join(tmpdir(), 'callgate-stdio-'))
writeFileSync(join(folder, 'note.txt'), 'hello from disk')

const entry = (name: string): string =>
  fileURLToPath(import.meta.resolve(`@modelcontextprotocol/server-${name}/dist/index.js`))
const modern = fileURLToPath(new URL('testing/modern-stdio.ts', import.meta.url))

const upstream = createUpstream({
  servers: {
    fs: { transport: 'stdio', command: [process.execPath, entry('filesystem'), folder] },
    mem: {
      transport: 'stdio',
      command: [process.execPath, entry('memory')],
      env: { MEMORY_FILE_PATH: join(folder, 'memory.jsonl') },
    },
    all: { transport: 'stdio', command: [process.execPath, entry('everything')], shared: true },
    modern: { transport: 'stdio', command: [process.execPath, modern, 'reject'] },
    late: { transport: 'stdio', command: [process.execPath, modern, 'reject', '500'] },
    'late-dual': { transport: 'stdio', command: [process.execPath, modern, 'serve', '500'] },
    'probe-last': { ...hostile('answers-probe-last'), era: 'auto' },
    'silent-to-probe': { ...hostile('silent-to-probe'), era: 'auto' },
    'pinned-modern': { ...hostile('well'), era: 'modern' },
    'dual-legacy': { transport: 'stdio', command: [process.execPath, modern, 'serve'], era: 'legacy' },
  },
  limits: { probeMs: 400 },
})
const told: string[][] = []
upstream.onToolsChanged((server, tools) => {
  if (server === 'fs' && tools !== undefined) told.push(tools.map((tool) => String(member(tool, 'name'))))
})
after(async () => {
  await upstream.close()
  rmSync(folder, { recursive: true })
})
const patience = (): AbortSignal => AbortSignal.timeout(PATIENCE_MS)

test('a legacy server over stdio is found by auto, listed and called', async () => {
  const described = await upstream.describe('fs', patience())
  assert.equal(described.era, 'legacy')
  assert.equal(described.protocolVersion, '2025-11-25')
  assert.equal(member(described.serverInfo, 'name'), 'secure-filesystem-server')
  assert.equal(described.tools.length, 14)
  const answer = await callTool(upstream, 'fs', 'read_text_file', {
    args: { path: join(folder, 'note.txt') },
  })
  assert.equal(textOf(answer), 'hello from disk')
})

test('server-memory writes to the file that its configured variable names', async () => {
  const entities = [{ name: 'gate', entityType: 'thing', observations: ['stands'] }]
  await callTool(upstream, 'mem', 'create_entities', { args: { entities } })
  const read = await callTool(upstream, 'mem', 'read_graph')
  assert.match(textOf(read), /"gate"/)
  assert.match(readFileSync(join(folder, 'memory.jsonl'), 'utf8'), /"gate"/)
})

test('server-everything lists, calls, reads and gets; an unknown tool is its own error answer', async () => {
  const described = await upstream.describe('all', patience())
  assert.ok(described.tools.length >= 10)
  assert.ok((described.instructions ?? '').length > 0)
  assert.equal(textOf(await callTool(upstream, 'all', 'echo', { args: { message: 'ü' } })), 'Echo: ü')
  const base = {
    server: 'all',
    session: 's1',
    principal: undefined,
    meta: {},
    host: undefined,
    argsBytes: undefined,
  }
  const listed = await upstream.request({ ...base, method: 'resources/list', head: {} }, patience())
  const resources = member(listed.value, 'resources')
  assert.ok(Array.isArray(resources) && resources.length > 0)
  const uri = 'demo://resource/dynamic/text/1'
  const read = await upstream.request({ ...base, method: 'resources/read', head: { uri } }, patience())
  assert.ok(Array.isArray(member(read.value, 'contents')))
  const got = await upstream.request(
    { ...base, method: 'prompts/get', head: { name: 'simple-prompt' } },
    patience(),
  )
  assert.ok(Array.isArray(member(got.value, 'messages')))
  const missing = await upstream.request(
    { ...base, method: 'prompts/get', head: { name: 'none' } },
    patience(),
  )
  assert.equal(missing.kind, 'error')
  assert.equal(member(missing.value, 'code'), -32602)
})

test('a modern server over stdio is found by auto, listed, called, read and got', async () => {
  const server = 'modern'
  const described = await upstream.describe(server, patience())
  assert.equal(described.era, 'modern')
  assert.equal(described.protocolVersion, '2026-07-28')
  assert.equal(member(described.serverInfo, 'name'), 'modern-fixture')
  assert.equal(described.instructions, 'be modern')
  assert.deepEqual(
    described.tools.map((tool) => member(tool, 'name')),
    ['echo', 'slow'],
  )
  assert.equal(textOf(await callTool(upstream, server, 'echo', { args: { message: 'hi' } })), 'hi')
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
  const got = await upstream.request({ ...base, method: 'prompts/get', head: { name: 'hello' } }, patience())
  assert.match(JSON.stringify(got.value), /hello/)
})

test('the configured era is spoken and nothing else: a dual server as legacy, a legacy server never as modern', async () => {
  const described = await upstream.describe('dual-legacy', patience())
  assert.equal(described.era, 'legacy')
  await assert.rejects(
    upstream.describe('pinned-modern', patience()),
    (cause) =>
      cause instanceof UpstreamFailed && cause.fault === 'protocol' && /modern era/.test(cause.message),
  )
})

for (const server of ['all', 'modern']) {
  test(`progress reaches the call that asked for it, without a token (${server})`, async () => {
    const heard: JsonObject[] = []
    const name = server === 'all' ? 'trigger-long-running-operation' : 'slow'
    await callTool(upstream, server, name, {
      args: server === 'all' ? { duration: 0.06, steps: 3 } : {},
      meta: { progressToken: 'of the host' },
      onProgress: (params) => heard.push(params),
    })
    assert.ok(heard.length >= 3)
    assert.deepEqual(
      heard.slice(0, 3).map((params) => params['progress']),
      [1, 2, 3],
    )
    assert.ok(heard.every((params) => !Object.hasOwn(params, 'progressToken')))
  })

  test(`a cancelled call ends at once and its connection goes on (${server})`, async () => {
    const stop = new AbortController()
    const name = server === 'all' ? 'trigger-long-running-operation' : 'slow'
    const call = callTool(upstream, server, name, {
      args: server === 'all' ? { duration: 2, steps: 50 } : {},
      onProgress: () => stop.abort(),
      signal: stop.signal,
    })
    await assert.rejects(call, (cause) => cause instanceof UpstreamFailed && cause.fault === 'cancelled')
    const echo = await callTool(upstream, server, 'echo', { args: { message: 'still here' } })
    assert.match(textOf(echo), /still here/)
  })
}

test('a deadline is a timeout, a pre-aborted signal sends nothing', async () => {
  const args = { duration: 5, steps: 5 }
  const late = callTool(upstream, 'all', 'trigger-long-running-operation', {
    args,
    signal: AbortSignal.timeout(30),
  })
  await assert.rejects(late, (cause) => cause instanceof UpstreamFailed && cause.fault === 'timeout')
  const never = callTool(upstream, 'all', 'echo', { signal: AbortSignal.abort() })
  await assert.rejects(never, (cause) => cause instanceof UpstreamFailed && cause.fault === 'cancelled')
})

test('concurrent calls of one session get their own answers', async () => {
  const messages = Array.from({ length: 200 }, (_, i) => `message ${i}`)
  const answers = await Promise.all(
    messages.map((message) => callTool(upstream, 'modern', 'echo', { args: { message } })),
  )
  assert.deepEqual(answers.map(textOf), messages)
})

test('the tools that a session sees are reported once its own connection is made', async () => {
  await until('the tools were reported', () => told.length > 0)
  assert.equal(told[0]?.length, 14)
})

test('a modern server that is slow to start is found although the probe met silence', async () => {
  for (const server of ['late', 'late-dual']) {
    assert.equal((await upstream.describe(server, patience())).era, 'modern', server)
    assert.equal(textOf(await callTool(upstream, server, 'echo', { args: { message: 'hi' } })), 'hi')
  }
})

test('a server of both eras that answers `initialize` first is modern, and one that never answers the probe is not', async () => {
  assert.equal((await upstream.describe('probe-last', patience())).era, 'modern')
  assert.equal((await upstream.describe('silent-to-probe', patience())).era, 'legacy')
})
