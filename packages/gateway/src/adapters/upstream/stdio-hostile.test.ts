import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { member } from '../../call/json.ts'
import { UpstreamFailed, type UpstreamFault } from '../../ports/upstream.ts'
import { verifies } from '../../testing/verifies.ts'
import { createUpstream, type StdioServer } from './index.ts'
import { callTool, hostile, lives, PATIENCE_MS, textOf, until } from './testing/ask.ts'

process.env['CALLGATE_TEST_SECRET'] = 'a secret of the gate'

const folder = mkdtempSync(join(tmpdir(), 'callgate-hostile-'))
const at = (name: string): string => join(folder, name)

const behaviours = [
  'giant-line',
  'duplicate-keys',
  'dies-mid-call',
  'half-answer',
  'floods-notifications',
  'floods-blank-lines',
  'banner',
  'dies-once',
  'dies-at-start',
  'odd-version',
  'endless-list',
] as const

const servers: Record<string, StdioServer> = {
  ...Object.fromEntries(behaviours.map((behaviour) => [behaviour, hostile(behaviour)])),
  'never-answers': hostile('never-answers', at('cancels')),
  stubborn: hostile('stubborn'),
  grandchild: hostile('grandchild', at('grandchildren')),
  shared: { ...hostile('well'), shared: true },
  well: hostile('well'),
  deaf: hostile('well', at('deaf')),
  environment: { ...hostile('environment'), env: { GIVEN: 'by configuration' } },
  argv: hostile('argv', '$(touch pwned)', '; touch pwned', '`touch pwned`', 'a b'),
  asks: hostile('asks'),
  'asks-roots': { ...hostile('asks'), roots: ['file:///srv/only'] },
  missing: { transport: 'stdio', command: ['/nowhere/no-such-program'] },
  'dies-of-probe': { ...hostile('dies-of-probe', at('probes')), era: 'auto' },
  'silent-to-probe': { ...hostile('silent-to-probe'), era: 'auto' },
}

const upstream = createUpstream({
  servers,
  limits: { maxBytes: 500_000, probeMs: 100, killMs: 200, backoffMinMs: 20, maxPages: 5 },
})
after(async () => {
  await upstream.close()
  rmSync(folder, { recursive: true })
})

function failsWith(fault: UpstreamFault, text: RegExp): (cause: unknown) => boolean {
  return (cause) => {
    assert.ok(cause instanceof UpstreamFailed, String(cause))
    assert.equal(cause.fault, fault, cause.message)
    assert.match(cause.message, text)
    return true
  }
}

const refused: readonly (readonly [string, UpstreamFault, RegExp])[] = [
  ['giant-line', 'too_large', /longer than 500000 bytes/],
  ['duplicate-keys', 'protocol', /twice/],
  ['floods-notifications', 'protocol', /more than 5000 unasked messages/],
  ['floods-blank-lines', 'protocol', /more than 5000 unasked messages/],
  ['dies-mid-call', 'unknown_fate', /exited with code 7 before it answered/],
  ['half-answer', 'unknown_fate', /exited with code 0 before it answered/],
]
for (const [behaviour, fault, text] of refused) {
  test(`a server that does \`${behaviour}\` fails its call with ${fault}`, async () => {
    await assert.rejects(callTool(upstream, behaviour, 'act'), failsWith(fault, text))
  })
}

test('near misses pass: a large answer, 500 notifications, 500 blank lines, wrong ids beside the right one, a second answer, banner, 2 MB of stderr', async () => {
  assert.equal(textOf(await callTool(upstream, 'well', 'large-answer')).length, 400_000)
  assert.equal(textOf(await callTool(upstream, 'well', 'some-notifications')), 'after a few')
  assert.equal(textOf(await callTool(upstream, 'well', 'some-blank-lines')), 'after a few')
  assert.equal(textOf(await callTool(upstream, 'well', 'wrong-id')), 'the right one')
  assert.equal(textOf(await callTool(upstream, 'well', 'twice')), 'the first')
  assert.match(textOf(await callTool(upstream, 'banner', 'act')), /^\d+ 1$/)
  assert.equal(textOf(await callTool(upstream, 'well', 'floods-stderr')), 'after the flood')
})

test('a child that closed its standard input and lives on is replaced, once its call was told so', async () => {
  assert.equal(textOf(await callTool(upstream, 'deaf', 'closes-stdin')), 'deaf from now on')
  await until('the child is deaf', () => existsSync(at('deaf')))
  await assert.rejects(
    callTool(upstream, 'deaf', 'act'),
    failsWith('unavailable', /closed its standard input/),
  )
  assert.equal(textOf(await callTool(upstream, 'deaf', 'some-notifications')), 'after a few')
})

test('bytes of a result are handed on as they came, arguments reach the server as they were given', async () => {
  verifies('wire.rule-4')
  const answer = await callTool(upstream, 'well', 'splice')
  assert.equal(Buffer.from(answer.bytes).toString(), '{"n":1.50,  "future":{"x":[1e2]}}')
  const request = {
    server: 'well',
    session: 's1',
    principal: undefined,
    method: 'tools/call',
    head: { name: 'echo-line' },
    argsBytes: Buffer.from('{"n":1.50,  "x":"\\u0061"}'),
    meta: { 'vendor/x': 1, progressToken: 'host', 'io.modelcontextprotocol/clientInfo': { name: 'host' } },
    host: undefined,
  }
  const line = textOf(await upstream.request(request, AbortSignal.timeout(PATIENCE_MS)))
  assert.match(
    line,
    /"params":\{"name":"echo-line","arguments":\{"n":1\.50, {2}"x":"\\u0061"\},"_meta":\{"vendor\/x":1\}\}\}$/,
  )
})

test('a call to a server that never answers ends by its signal, and the server is told', async () => {
  const stop = new AbortController()
  const call = callTool(upstream, 'never-answers', 'act', { signal: stop.signal })
  await until('the call arrived', () => existsSync(at('cancels')))
  stop.abort()
  await assert.rejects(call, failsWith('cancelled', /was cancelled/))
  await until('the cancel arrived', () => /cancelled/.test(readFileSync(at('cancels'), 'utf8')))
  assert.match(
    readFileSync(at('cancels'), 'utf8'),
    /"method":"notifications\/cancelled","params":\{"requestId":\d+/,
  )
})

test('a child sees PATH, HOME, LANG, TMPDIR and its configured variables, no secret of the gate', async () => {
  verifies('wire.rule-5')
  const env: unknown = JSON.parse(textOf(await callTool(upstream, 'environment', 'act')))
  assert.ok(typeof env === 'object' && env !== null && 'GIVEN' in env)
  // Node hands this one to every child by itself while coverage is measured.
  const allowed = new Set(['PATH', 'HOME', 'LANG', 'TMPDIR', 'GIVEN', 'NODE_V8_COVERAGE'])
  assert.deepEqual(
    Object.keys(env).filter((name) => !allowed.has(name)),
    [],
  )
  assert.equal(env.GIVEN, 'by configuration')
})

// CVE-2026-42271 (LiteLLM), CVE-2026-30623: a command line that a shell reads is remote code.
test('arguments of the command reach the program as they are: no shell reads them', async () => {
  verifies('wire.rule-5')
  const argv: unknown = JSON.parse(textOf(await callTool(upstream, 'argv', 'act')))
  assert.deepEqual(argv, ['$(touch pwned)', '; touch pwned', '`touch pwned`', 'a b'])
  assert.equal(existsSync('pwned'), false)
})

test('a server gets answers to ping and, from the configuration alone, roots/list; sampling is unknown', async () => {
  verifies('wire.capabilities')
  const plain: unknown = JSON.parse(textOf(await callTool(upstream, 'asks', 'act')))
  assert.deepEqual(plain, [
    '{"jsonrpc":"2.0","id":"q1","result":{}}',
    '{"jsonrpc":"2.0","id":"q2","error":{"code":-32601,"message":"method not found"}}',
    '{"jsonrpc":"2.0","id":3,"error":{"code":-32601,"message":"method not found"}}',
  ])
  const rooted: unknown = JSON.parse(textOf(await callTool(upstream, 'asks-roots', 'act')))
  assert.ok(Array.isArray(rooted))
  assert.equal(rooted[1], '{"jsonrpc":"2.0","id":"q2","result":{"roots":[{"uri":"file:///srv/only"}]}}')
})

async function pid(server: string, session: string): Promise<string | undefined> {
  return textOf(await callTool(upstream, server, 'act', { session })).split(' ')[0]
}

test('each session has a child of its own; `shared` gives one to all', async () => {
  verifies('wire.rule-3')
  assert.equal(await pid('well', 's1'), await pid('well', 's1'))
  assert.notEqual(await pid('well', 's1'), await pid('well', 's2'))
  assert.equal(await pid('shared', 'a'), await pid('shared', 'b'))
})

test('a child that died is started again for the next call', async () => {
  const first = textOf(await callTool(upstream, 'dies-once', 'act'))
  await assert.rejects(
    callTool(upstream, 'dies-once', 'act', { args: { do: 'die' } }),
    failsWith('unknown_fate', /7/),
  )
  const again = textOf(await callTool(upstream, 'dies-once', 'act'))
  assert.match(again, /^alive \d+$/)
  assert.notEqual(first, again)
})

test('a server that cannot start says why, with its last words made safe; a missing program is named', async () => {
  await assert.rejects(
    callTool(upstream, 'dies-at-start', 'act'),
    failsWith('unavailable', /exited with code 3.*last words: `\\u\{1b\}\[31mcannot open the database/),
  )
  await assert.rejects(
    callTool(upstream, 'missing', 'act'),
    failsWith('unavailable', /could not be started.*ENOENT/),
  )
})

test('a version that the gate does not speak and a list without end are protocol faults', async () => {
  await assert.rejects(callTool(upstream, 'odd-version', 'act'), failsWith('protocol', /does not speak/))
  const signal = AbortSignal.timeout(PATIENCE_MS)
  await assert.rejects(upstream.describe('endless-list', signal), failsWith('too_large', /more than 5 pages/))
})

test('a server that dies of the probe is started again and spoken to as legacy; a silent one stays the same child', async () => {
  assert.match(textOf(await callTool(upstream, 'dies-of-probe', 'act')), /^\d+ 1$/)
  assert.equal(readFileSync(at('probes'), 'utf8').trim().split('\n').length, 2)
  assert.match(textOf(await callTool(upstream, 'silent-to-probe', 'act')), /^\d+ 1$/)
})

test('three changes of a list in a row are told once, with the tools that the session now sees', async () => {
  const told: (readonly string[] | undefined)[] = []
  upstream.onToolsChanged((server, tools) => {
    if (server === 'well') told.push(tools?.map((tool) => String(member(tool, 'name'))))
  })
  await Promise.all([1, 2, 3].map(() => callTool(upstream, 'well', 'changes-tools')))
  await until('the notice came', () => told.length > 0)
  assert.deepEqual(told, [['act']])
})

test('an unknown server is unavailable', async () => {
  await assert.rejects(callTool(upstream, 'nobody', 'act'), failsWith('unavailable', /not configured/))
})

test('a gate that exits without close leaves no child, not even one that ignores SIGTERM and the end of stdin', async () => {
  const script = new URL('testing/exits-without-close.ts', import.meta.url).pathname
  const orphan = Number(execFileSync(process.execPath, [script], { encoding: 'utf8' }))
  assert.ok(orphan > 1)
  await until('the child ended', () => !lives(orphan))
})

test('close leaves no process: not the child, not one that ignores SIGTERM, not a grandchild', async () => {
  const own = createUpstream({ servers, limits: { killMs: 200 } })
  const pids: number[] = []
  for (const server of ['well', 'stubborn', 'grandchild']) {
    pids.push(Number(textOf(await callTool(own, server, 'act')).split(' ')[0]))
  }
  pids.push(Number(readFileSync(at('grandchildren'), 'utf8').trim().split('\n').at(-1)))
  assert.equal(pids.filter(lives).length, 4)
  await own.close()
  await until('all processes ended', () => pids.filter(lives).length === 0)
  await assert.rejects(callTool(own, 'well', 'act'), failsWith('unavailable', /closing/))
})
