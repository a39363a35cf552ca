import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { openDevIssuer } from '../packages/gateway/src/adapters/keys/dev-issuer.ts'
import { readRunFile } from '../packages/gateway/src/cli/locate.ts'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { Fixture, textTool } from './harness/fixtures.ts'
import { type GateOptions, ROOT, TestGate } from './harness/gate.ts'
import { type ManyServers, startMany } from './harness/many-servers.ts'

// A hundred servers: 97 live with 105 tools each, one refuses, one exits, and one hangs until it is released.
const BIN = join(ROOT, 'packages', 'gateway', 'bin', 'callgate.mjs')
const TOOLS = 105
const LIVING_HTTP = 94
const SLOW = 7
const SLOW_MS = 4_000
const LIST_TIMEOUT_MS = 5_000
const LIVING = (LIVING_HTTP + 3) * TOOLS
const HANGS = 99
/** Of the wait that is due: 1.5 by `npm run proof -- 3`; other tests on the same cores stretch the time that CI sees. */
const MOST = process.env['CALLGATE_PROOF_MANY_TOOLS'] === undefined ? 6 : 1.5
const stdio = [0, 1, 2].map(() => new Fixture(Array.from({ length: TOOLS }, (_, i) => textTool(`tool-${i}`))))
const exited = new Fixture([textTool('echo')])
const folder = mkdtempSync(join(tmpdir(), 'callgate-many-'))
let crowd: ManyServers
let options: GateOptions
let gate: TestGate
let url = ''
/** How long the cold list of each took. */
let cold: { tester: Listed; cautious: Listed }

interface Listed {
  readonly names: readonly string[]
  readonly pages: readonly number[]
  readonly meta: unknown
  readonly firstPageMs: number
  readonly ms: number
}

/** Every page of the tools that a caller sees. */
async function list(clientId: string): Promise<Listed> {
  const audience = `${url}/mcp`
  const { token } = openDevIssuer(join(folder, 'state')).mint({ audience, subject: 'someone', clientId })
  const since = performance.now()
  const names: string[] = []
  const pages: number[] = []
  let meta: unknown
  let firstPageMs = 0
  let cursor: string | undefined
  do {
    const params = cursor === undefined ? {} : { cursor }
    const response = await fetch(audience, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params }),
    })
    const text = await response.text()
    assert.ok(text.length < 1_200_000, 'a page is about a mebibyte at most')
    const { result } = JSON.parse(text) as {
      result: { tools: { name: string }[]; nextCursor?: string; _meta?: unknown }
    }
    if (pages.length === 0) [meta, firstPageMs] = [result._meta, performance.now() - since]
    names.push(...result.tools.map(({ name }) => name))
    pages.push(result.tools.length)
    cursor = result.nextCursor
  } while (cursor !== undefined)
  return { names, pages, meta, firstPageMs, ms: performance.now() - since }
}

/** The servers that a list says cannot be asked. */
const away = (meta: unknown): unknown =>
  (meta as Record<string, unknown> | undefined)?.['dev.callgate/unavailable']

/** What `tail` says of the servers that are not well, sorted: on a busy machine one that is may be late too, and is told of. */
function told(): string[] {
  const { stdout } = spawnSync(process.execPath, [BIN, 'tail', '--lines', '20000', '--no-follow'], {
    env: { ...process.env, CALLGATE_STATE: join(folder, 'state') },
    encoding: 'utf8',
    maxBuffer: 64 * 1_048_576,
  })
  return stdout
    .split('\n')
    .flatMap((line) => /gate: (server (?:exited|hangs|refused) is .*)/.exec(line)?.[1] ?? [])
    .sort()
}

before(async () => {
  crowd = await startMany({
    tools: TOOLS,
    listMs: (server) => (server === HANGS ? 'hangs' : server === SLOW ? SLOW_MS : 20),
  })
  const refusing = createServer().listen(0, '127.0.0.1')
  await once(refusing, 'listening')
  const address = refusing.address()
  const refused = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}/mcp`
  refusing.close()
  const http = (id: string, at: string) =>
    `${id}: { url: "${at}", network: [127.0.0.0/8], approve: first-use, listTimeoutMs: ${LIST_TIMEOUT_MS} }`
  options = {
    folder,
    servers: [
      ...Array.from({ length: LIVING_HTTP }, (_, i) => http(`s${i}`, crowd.url(i))),
      ...stdio.map((fixture, i) => fixture.yaml(`child${i}`)),
      http('refused', refused),
      exited.yaml('exited', { behaviour: 'dead' }),
      http('hangs', crowd.url(HANGS)),
    ].join('\n'),
    // The cautious one may use every server but two, so it does not wait for the one that hangs, nor learn of it.
    policy: [
      '- { rule: all, when: { tool: "*" }, decision: allow }',
      '- { rule: not-these, when: { server: [hangs, exited], actor: cautious }, decision: deny }',
    ].join('\n'),
  }
  const starting = TestGate.start(options)
  while (url === '') {
    await sleep(10)
    url = readRunFile(join(folder, 'state'))?.url ?? ''
  }
  const [tester, cautious] = await Promise.all([list('tester'), list('cautious')])
  cold = { tester, cautious }
  crowd.release()
  gate = await starting
})
after(async () => {
  await gate.close()
  await crowd.close()
  for (const { folder: each } of [...stdio, exited]) rmSync(each, { recursive: true, force: true })
  rmSync(folder, { recursive: true, force: true })
})

test('the cold list takes at most 1.5 x the slowest living server, or the deadline of one that hangs', () => {
  verifies('hosts.list-deadline')
  const { tester, cautious } = cold
  assert.deepEqual([tester.names.length, cautious.names.length], [LIVING, LIVING])
  assert.ok(cautious.firstPageMs >= SLOW_MS * 0.9, 'it waited for the slowest that lives')
  assert.ok(tester.firstPageMs >= LIST_TIMEOUT_MS * 0.7, 'it waited for the one that hangs')
  assert.ok(
    cautious.firstPageMs < tester.firstPageMs,
    'who may not use it does not wait for the one that hangs',
  )
  assert.ok(cautious.firstPageMs <= SLOW_MS * MOST, `${cautious.firstPageMs} ms`)
  assert.ok(tester.firstPageMs <= LIST_TIMEOUT_MS * MOST, `${tester.firstPageMs} ms`)
})

test('the cold list names the servers that are dead or hang, to those whom policy gives something of them', () => {
  verifies('hosts.unavailable-named')
  assert.deepEqual(away(cold.tester.meta), [
    { server: 'exited', reason: 'unavailable' },
    { server: 'hangs', reason: 'timeout' },
    { server: 'refused', reason: 'unavailable' },
  ])
  assert.deepEqual(away(cold.cautious.meta), [{ server: 'refused', reason: 'unavailable' }])
})

test('10,000 tools come in pages that together show each once, in one order', () => {
  verifies('hosts.list-pages')
  const { names, pages } = cold.tester
  assert.ok(pages.every((size) => size > 0 && size <= 1_000))
  assert.ok(pages.length >= 11)
  assert.deepEqual(new Set(names).size, names.length)
  assert.deepEqual(names, cold.cautious.names)
})

test('a server that hung is listed once it answers, and `tail` has one line for each that went and one for its return', async () => {
  verifies('hosts.unavailable-told')
  let warm = await list('tester')
  // It is asked again in its own time, which is later where the first lists took long.
  for (let i = 0; i < 60 && warm.names.length < LIVING + TOOLS; i++) {
    await sleep(500)
    warm = await list('tester')
  }
  assert.equal(warm.names.length, LIVING + TOOLS)
  assert.deepEqual(away(warm.meta), [
    { server: 'exited', reason: 'unavailable' },
    { server: 'refused', reason: 'unavailable' },
  ])
  const lines = told()
  assert.equal(lines.length, 4, lines.join('\n'))
  assert.match(lines[0] ?? '', /^server exited is unavailable: .*exit/)
  assert.equal(lines[1], 'server hangs is back')
  assert.match(lines[2] ?? '', /^server hangs is unavailable: .*has not listed its tools within 5000 ms$/)
  assert.match(lines[3] ?? '', /^server refused is unavailable: .*ECONNREFUSED/)
})

test('a warm list asks no server', async () => {
  verifies('hosts.list-deadline')
  const before = crowd.asked.length
  const children = stdio.map((fixture) => fixture.received.length)
  const [tester, cautious] = await Promise.all([list('tester'), list('cautious')])
  assert.deepEqual([tester.names.length, cautious.names.length], [LIVING + TOOLS, LIVING])
  assert.equal(crowd.asked.length, before)
  assert.deepEqual(
    stdio.map((fixture) => fixture.received.length),
    children,
  )
  assert.ok(tester.ms < cold.tester.ms)
})

test('a gate that starts again lists what was approved at once, with every HTTP server gone', async () => {
  verifies('hosts.list-deadline')
  const { names } = await list('tester')
  await gate.close()
  await crowd.close()
  gate = await TestGate.start(options)
  ;({ url } = gate)
  const again = await list('tester')
  assert.deepEqual(again.names, names)
  assert.equal((away(again.meta) as unknown[]).length, LIVING_HTTP + 3, 'and says who cannot be asked')
})
