import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { Counts } from './harness/counts.ts'
import { Fixture } from './harness/fixtures.ts'
import { type HttpAnswer, TestGate } from './harness/gate.ts'
import { type RawAnswer, RawConnection, requestText, sendRaw } from './harness/raw.ts'

const MIB = 1_048_576
/** A body over the cap is known by the chunk that crosses it: one read of a socket, and the head of the request. */
const ONE_READ = 65_536 + 2_048

const fixture = new Fixture([
  { name: 'echo', description: 'Echoes', inputSchema: { type: 'object', additionalProperties: true } },
])
const folder = mkdtempSync(join(tmpdir(), 'callgate-bombs-'))
const counts = new Counts(folder)
let gate: TestGate
let token = ''

before(async () => {
  gate = await TestGate.start({
    folder,
    servers: fixture.yaml('fix'),
    more: 'listener: { port: 0, headersTimeoutMs: 400, requestTimeoutMs: 900, idleTimeoutMs: 600, maxConnections: 64 }',
    env: counts.env,
  })
  token = gate.mint()
})
after(async () => {
  await gate.close()
  rmSync(folder, { recursive: true, force: true })
  rmSync(fixture.folder, { recursive: true, force: true })
})

const HEAD = ['Content-Type: application/json', 'Accept: application/json']
const withToken = (): string[] => [...HEAD, `Authorization: Bearer ${token}`]

/** Bytes of one tools/call around the text of its arguments. */
const callText = (args: string): string =>
  `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"fix__echo","arguments":${args}}}`

interface Attack {
  readonly answer: RawAnswer
  /** Bytes that the gate read of it. */
  readonly read: number
  /** Texts that JSON.parse was given meanwhile. */
  readonly parsed: number
  /** Looks at /healthz meanwhile; each was answered with 200. */
  readonly healthy: number
}

/** Sends an attack over a connection of its own, and looks at /healthz all the while. */
async function attack(
  head: readonly string[],
  body: readonly (string | Buffer)[],
  ms = 4_000,
): Promise<Attack> {
  const parsedBefore = counts.parsed.length
  const connection = await RawConnection.open(gate.url)
  const port = connection.socket.localPort ?? 0
  let healthy = 0
  const looking = (async () => {
    do {
      const health = await gate.http('GET', '/healthz', {})
      assert.equal(health.status, 200)
      healthy++
      await sleep(20)
    } while (!connection.closed)
  })()
  connection.write(requestText(gate.url, 'POST', '/mcp', head))
  for (const part of body) connection.write(part)
  const answer = await connection.answer(ms)
  connection.close()
  await looking
  while (counts.readFrom(port) === undefined) await sleep(10)
  return { answer, read: counts.readFrom(port) ?? 0, parsed: counts.parsed.length - parsedBefore, healthy }
}

/** The body in chunked coding, in pieces of 64 KiB. */
function chunked(body: Buffer): Buffer[] {
  const parts: Buffer[] = []
  for (let at = 0; at < body.length; at += 65_536) {
    const part = body.subarray(at, at + 65_536)
    parts.push(Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from('\r\n'))
  }
  return [...parts, Buffer.from('0\r\n\r\n')]
}

const declared = (body: Buffer): string[] => [...withToken(), `Content-Length: ${body.length}`]

const codeOf = (answer: RawAnswer | HttpAnswer): unknown => {
  const body = JSON.parse(answer.body) as { code?: string; error?: { data?: { code?: string } } }
  return body.code ?? body.error?.data?.code
}

function manyKeys(count: number): string {
  return `{${Array.from({ length: count }, (_, i) => `"${i.toString(36)}":0`).join(',')}}`
}

const BOMBS: readonly (readonly [string, Buffer])[] = [
  ['a depth of 5,000,000', Buffer.from(callText('['.repeat(5_000_000)))],
  ['200,000 keys', Buffer.from(callText(manyKeys(200_000)))],
  ['an array of 10 MB', Buffer.from(callText(`{"a":[${'0,'.repeat(5_000_000)}0]}`))],
]

for (const [name, body] of BOMBS) {
  test(`${name} is refused unread when its length is declared`, async () => {
    verifies('spine.bombs')
    const { answer, read, parsed, healthy } = await attack(declared(body), [body])
    assert.deepEqual([answer.status, codeOf(answer)], [413, 'CG_WIRE_TOO_LARGE'])
    assert.ok(read <= MIB, `read ${read}`)
    assert.equal(parsed, 0)
    assert.ok(healthy > 0)
  })

  test(`${name} is refused at the cap when it comes in chunks`, async () => {
    verifies('spine.bombs')
    const { answer, read, parsed, healthy } = await attack(
      [...withToken(), 'Transfer-Encoding: chunked'],
      chunked(body),
    )
    assert.deepEqual([answer.status, codeOf(answer)], [413, 'CG_WIRE_TOO_LARGE'])
    assert.ok(read <= MIB + ONE_READ, `read ${read}`)
    assert.equal(parsed, 0)
    assert.ok(healthy > 0)
  })
}

const SMALL: readonly (readonly [string, string, string])[] = [
  ['a depth bomb of just under 1 MiB', callText('['.repeat(1_048_000)), 'CG_WIRE_DEPTH'],
  ['120,000 keys in just under 1 MiB', callText(manyKeys(120_000)), 'CG_WIRE_KEYS'],
  ['the same key twice', callText('{"a":1,"a":2}'), 'CG_WIRE_DUPLICATE_KEY'],
  ['an escaped twin key', callText(String.raw`{"a":1,"\u0061":2}`), 'CG_WIRE_DUPLICATE_KEY'],
  [
    'an odd-case twin of an envelope key',
    '{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}',
    'CG_WIRE_TWIN_KEY',
  ],
  [
    'an odd-case twin of a params key',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","Name":"b"}}',
    'CG_WIRE_TWIN_KEY',
  ],
  ['an odd-case key without its twin', '{"jsonrpc":"2.0","id":1,"METHOD":"ping"}', 'CG_WIRE_TWIN_KEY'],
  ['a depth of 65', callText(`{"a":${'['.repeat(62)}${']'.repeat(62)}}`), 'CG_WIRE_DEPTH'],
  ['10,001 keys', callText(manyKeys(10_001 - 6)), 'CG_WIRE_KEYS'],
  ['half a surrogate pair', callText(String.raw`{"a":"\ud800"}`), 'CG_WIRE_SURROGATE'],
  ['a trailing comma', callText('{"a":1,}'), 'CG_WIRE_SYNTAX'],
]

for (const [name, body, code] of SMALL) {
  test(`${name} is refused with ${code} and never parsed`, async () => {
    verifies('spine.bombs')
    verifies('spine.scan-caps')
    const parsedBefore = counts.parsed.length
    const answer = await post(body)
    assert.equal(answer.status, 400)
    const { error } = answer.json() as { error: { code: number; data: { code: string } } }
    assert.equal(error.data.code, code)
    assert.ok(error.code === -32_700 || error.code > -32_000, `${error.code}`)
    assert.equal(counts.parsed.length - parsedBefore, 0)
  })
}

test('invalid UTF-8 is refused with CG_WIRE_UTF8 and never parsed', async () => {
  const parsedBefore = counts.parsed.length
  const body = Buffer.concat([
    Buffer.from('{"jsonrpc":"2.0","id":1,"method":"'),
    Buffer.from([0xc0, 0xaf]),
    Buffer.from('"}'),
  ])
  const answer = await post(body)
  assert.deepEqual([answer.status, codeOf(answer)], [400, 'CG_WIRE_UTF8'])
  assert.equal(counts.parsed.length - parsedBefore, 0)
})

function post(body: string | Buffer, more: Record<string, string> = {}): Promise<HttpAnswer> {
  return gate.http(
    'POST',
    '/mcp',
    { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...more },
    body,
  )
}

const AT_THE_CAP: readonly (readonly [string, string])[] = [
  ['a depth of 64', `{"a":${'['.repeat(61)}${']'.repeat(61)}}`],
  ['10,000 keys', manyKeys(10_000 - 6)],
]

for (const [name, args] of AT_THE_CAP) {
  test(`${name} reaches the server`, async () => {
    verifies('spine.scan-caps')
    const answer = await post(callText(args))
    const { result } = answer.json() as { result: { isError?: boolean; content: { text: string }[] } }
    assert.notEqual(result.isError, true, answer.body.slice(0, 200))
    assert.match(result.content[0]?.text ?? '', /^\d+ \{/)
  })
}

for (const [encoding, bomb] of [
  ['br', brotliCompressSync(Buffer.alloc(64 * MIB, 0x20))],
  ['gzip', gzipSync(Buffer.alloc(MIB, 0x20))],
  ['identity, br', Buffer.from('{}')],
] as const) {
  test(`a body in the coding \`${encoding}\` of ${bomb.length} bytes is refused unread`, async () => {
    verifies('wire.no-compression')
    verifies('spine.bombs')
    const { answer, read, parsed } = await attack(
      [...withToken(), `Content-Encoding: ${encoding}`, `Content-Length: ${bomb.length}`],
      [bomb],
    )
    assert.deepEqual([answer.status, codeOf(answer)], [415, 'CG_WIRE_CONTENT_ENCODING'])
    assert.ok(read < 4_096)
    assert.equal(parsed, 0)
  })
}

test('a body in the coding `identity` is read', async () => {
  verifies('wire.no-compression')
  const answer = await post(callText('{}'), { 'content-encoding': 'identity' })
  assert.equal(answer.status, 200)
})

test('a host that asks before it sends gets the refusal instead of an invitation', async () => {
  verifies('spine.bombs')
  const { answer, read } = await attack(
    [...withToken(), 'Content-Length: 10000000', 'Expect: 100-continue'],
    [],
  )
  assert.deepEqual([answer.status, codeOf(answer)], [413, 'CG_WIRE_TOO_LARGE'])
  assert.doesNotMatch(answer.text, /100 Continue/)
  assert.ok(read < 4_096)
})

test('a host that asks before it sends is invited when its body is small', async () => {
  const body = callText('{}')
  const connection = await RawConnection.open(gate.url)
  connection.write(
    requestText(gate.url, 'POST', '/mcp', [
      ...withToken(),
      `Content-Length: ${body.length}`,
      'Expect: 100-continue',
    ]),
  )
  assert.ok(await connection.until(() => connection.text.startsWith('HTTP/1.1 100 Continue'), 2_000))
  connection.write(body)
  assert.ok(
    await connection.until(
      () => connection.text.includes('"isError"') || connection.text.includes('"content"'),
      2_000,
    ),
  )
  connection.close()
})

test('headers that come too slowly end with 408', async () => {
  verifies('wire.timeouts')
  verifies('spine.bombs')
  const connection = await RawConnection.open(gate.url)
  const drip = setInterval(() => connection.write('X-A: b\r\n'), 100)
  connection.write(`POST /mcp HTTP/1.1\r\nHost: ${new URL(gate.url).host}\r\n`)
  const health = await gate.http('GET', '/healthz', {})
  const ended = await connection.until(() => connection.closed, 5_000)
  clearInterval(drip)
  assert.equal(health.status, 200)
  assert.ok(ended)
  assert.match(connection.text, /^HTTP\/1\.1 408 /)
})

test('a body that comes too slowly ends with 408, and nothing of it is parsed', async () => {
  verifies('wire.timeouts')
  verifies('spine.bombs')
  const parsedBefore = counts.parsed.length
  const connection = await RawConnection.open(gate.url)
  connection.write(requestText(gate.url, 'POST', '/mcp', [...withToken(), 'Content-Length: 100000']))
  const drip = setInterval(() => connection.write('{'), 100)
  const health = await gate.http('GET', '/healthz', {})
  const ended = await connection.until(() => connection.closed, 6_000)
  clearInterval(drip)
  assert.equal(health.status, 200)
  assert.ok(ended)
  assert.match(connection.text, /^HTTP\/1\.1 408 /)
  assert.equal(counts.parsed.length - parsedBefore, 0)
})

test('a connection that says nothing is closed, before its first request and after', async () => {
  verifies('wire.timeouts')
  const silent = await RawConnection.open(gate.url)
  const idle = await RawConnection.open(gate.url)
  idle.write(requestText(gate.url, 'GET', '/healthz'))
  assert.equal((await idle.answer()).status, 200)
  assert.ok(await silent.until(() => silent.closed, 5_000))
  assert.ok(await idle.until(() => idle.closed, 5_000))
})

test('connections over the cap are closed at once, and those under it are served', async () => {
  verifies('wire.timeouts')
  const connections = await Promise.all(Array.from({ length: 80 }, () => RawConnection.open(gate.url)))
  await connections[79]?.until(() => connections.filter(({ closed }) => closed).length >= 16, 300)
  assert.ok(connections.filter(({ closed }) => closed).length >= 16)
  const open = connections.find(({ closed }) => !closed) ?? assert.fail('none is open')
  open.write(requestText(gate.url, 'GET', '/healthz'))
  assert.equal((await open.answer()).status, 200)
  for (const connection of connections) connection.close()
  assert.ok(await hasRoom(), 'connections that end make room for others')
})

/** Waits until the gate has seen that connections ended: half its cap of new ones are all served. */
async function hasRoom(): Promise<boolean> {
  const health = requestText(gate.url, 'GET', '/healthz')
  for (const until = performance.now() + 5_000; performance.now() < until;) {
    const answers = await Promise.all(Array.from({ length: 32 }, () => sendRaw(gate.url, health)))
    if (answers.every(({ status }) => status === 200)) return true
  }
  return false
}

test('a connection that is owed more than 16 answers is closed, with or without a token; 16 are all given', async () => {
  const answers = (text: string): number => text.split('HTTP/1.1 ').length - 1
  for (const head of [HEAD, withToken()]) {
    const one = requestText(gate.url, 'POST', '/mcp', head, '{"jsonrpc":"2.0","id":1,"method":"tools/list"}')
    const connection = await RawConnection.open(gate.url)
    connection.write(one.repeat(16))
    assert.ok(await connection.until(() => answers(connection.text) === 16, 5_000))
    assert.equal(connection.closed, false)
    connection.write(one.repeat(17))
    assert.ok(await connection.until(() => connection.closed, 5_000))
    assert.ok(answers(connection.text) < 33)
  }
})
