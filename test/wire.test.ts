import assert from 'node:assert/strict'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { Fixture, textTool } from './harness/fixtures.ts'
import { ROOT, TestGate } from './harness/gate.ts'
import { errorOf, modern, resultOf } from './harness/modern.ts'
import { type RawAnswer, RawConnection, requestText, sendRaw } from './harness/raw.ts'

const SCHEMA = { type: 'object', properties: { text: { type: 'string' } } }
const well = new Fixture([
  textTool('echo'),
  textTool('slow'),
  textTool('forbidden'),
  textTool('typed', { outputSchema: SCHEMA }),
  textTool('unlisted'),
  textTool(`a.name.with.dots-and-${'x'.repeat(60)}`),
  textTool(`a_name_with_dots-and-${'x'.repeat(60)}`),
])
const POLICY = `- rule: allow-most
  when: { tool: ["fix.echo", "fix.slow", "fix.forbidden", "fix.typed", "fix.a?name*", "ev.trigger-long-running-operation"] }
  decision: allow
- rule: the-secret-name-of-a-rule
  when: { tool: ["fix.forbidden", "fix.typed"], cond: "args.text == 'the-secret-of-a-rule'" }
  decision: deny
- rule: allow-open-notes
  when: { resource: "note://open" }
  decision: allow
- rule: allow-greeting
  when: { prompt: "fix.greet" }
  decision: allow
`

let gate: TestGate
let one: string

before(async () => {
  const everything = join(ROOT, 'node_modules/@modelcontextprotocol/server-everything/dist/index.js')
  gate = await TestGate.start({
    servers: `${well.yaml('fix')}\nev:\n  command: [node, ${everything}, stdio]\n  approve: first-use`,
    policy: POLICY,
  })
  one = gate.mint({ path: '/mcp/fix' })
})
after(async () => {
  await gate.close()
  rmSync(well.folder, { recursive: true, force: true })
})

const send = (method: string, path: string, headers: readonly string[] = [], body = ''): Promise<RawAnswer> =>
  sendRaw(gate.url, requestText(gate.url, method, path, headers, body))

const authorized = (): string[] => [
  `Authorization: Bearer ${gate.mint()}`,
  'Content-Type: application/json',
  'Accept: application/json, text/event-stream',
]

const PING = '{"jsonrpc":"2.0","id":1,"method":"ping"}'
const JSON_TYPE = 'Content-Type: application/json'

// Every path and every way to be refused, with the status of each.
const ANSWERS: readonly (readonly [string, number, () => Promise<RawAnswer>])[] = [
  ['health', 200, () => send('GET', '/healthz')],
  ['health without its body', 200, () => sendRaw(gate.url, requestText(gate.url, 'HEAD', '/healthz'), 200)],
  ['health that is told something', 405, () => send('POST', '/healthz', [JSON_TYPE], '{}')],
  ['no such path', 404, () => send('GET', '/')],
  ['a path beside ours', 404, () => send('POST', '/mcp/', authorized(), PING)],
  ['a server that is not there', 404, () => send('POST', '/mcp/nobody', authorized(), PING)],
  ['metadata', 200, () => send('GET', '/.well-known/oauth-protected-resource')],
  ['metadata of the aggregate', 200, () => send('GET', '/.well-known/oauth-protected-resource/mcp')],
  ['metadata of a server', 200, () => send('GET', '/.well-known/oauth-protected-resource/mcp/fix')],
  ['metadata of no server', 404, () => send('GET', '/.well-known/oauth-protected-resource/mcp/nobody')],
  [
    'metadata that is told something',
    405,
    () => send('POST', '/.well-known/oauth-protected-resource', [JSON_TYPE], '{}'),
  ],
  ['a ping', 200, () => send('POST', '/mcp', authorized(), PING)],
  [
    'a notification',
    202,
    () => send('POST', '/mcp', authorized(), '{"jsonrpc":"2.0","method":"notifications/initialized"}'),
  ],
  ['no token', 401, () => send('POST', '/mcp', [JSON_TYPE], PING)],
  ['GET /mcp', 405, () => send('GET', '/mcp')],
  ['DELETE /mcp', 405, () => send('DELETE', '/mcp')],
  ['OPTIONS /mcp', 405, () => send('OPTIONS', '/mcp')],
  ['OPTIONS *', 404, () => send('OPTIONS', '*')],
  ['TRACE /mcp', 405, () => send('TRACE', '/mcp')],
  ['an accept header without JSON', 406, () => send('POST', '/mcp', [JSON_TYPE, 'Accept: text/html'], PING)],
  ['a form', 415, () => send('POST', '/mcp', ['Content-Type: application/x-www-form-urlencoded'], 'a=b')],
  ['a compressed body', 415, () => send('POST', '/mcp', [JSON_TYPE, 'Content-Encoding: gzip'], 'x')],
  ['a body over the cap', 413, () => send('POST', '/mcp', [JSON_TYPE, 'Content-Length: 1048577'])],
  ['a body that is no JSON', 400, () => send('POST', '/mcp', authorized(), '{')],
  ['a query', 404, () => send('GET', '/healthz?token=abc')],
  ['another host', 403, () => send('GET', '/healthz', ['Host: evil.example'])],
  ['no host', 403, () => sendRaw(gate.url, 'GET /healthz HTTP/1.1\r\n\r\n')],
  ['no host in HTTP/1.0', 403, () => sendRaw(gate.url, 'GET /healthz HTTP/1.0\r\n\r\n')],
  [
    'two hosts',
    403,
    () => send('GET', '/healthz', [`Host: ${new URL(gate.url).host}`, 'Host: evil.example']),
  ],
  ['another origin', 403, () => send('GET', '/healthz', ['Origin: https://evil.example'])],
  [
    'an expectation that nobody knows',
    417,
    () => send('POST', '/mcp', [...authorized(), 'Expect: wonders'], PING),
  ],
  ['what is no HTTP', 400, () => sendRaw(gate.url, 'hello\r\n\r\n')],
  ['TLS on a plain listener', 400, () => sendRaw(gate.url, Buffer.from('16030100a5010000a10303', 'hex'))],
  [
    'two lengths',
    400,
    () => send('POST', '/mcp', [...authorized(), 'Content-Length: 5', 'Content-Length: 6']),
  ],
  [
    'a length and chunks',
    400,
    () =>
      send('POST', '/mcp', [...authorized(), 'Content-Length: 5', 'Transfer-Encoding: chunked'], '0\r\n\r\n'),
  ],
  ['a header over the cap', 431, () => send('GET', '/healthz', [`X-Large: ${'x'.repeat(40_000)}`])],
  ['a protocol switch', 405, () => send('GET', '/mcp', ['Upgrade: websocket', 'Connection: upgrade'])],
]

for (const [name, status, ask] of ANSWERS) {
  test(`${name} is answered with ${status}, never sniffed, stored or framed, and names no software`, async () => {
    verifies('play7.misconfig')
    const answer = await ask()
    assert.equal(answer.status, status, answer.text)
    hasHygiene(answer)
  })
}

function hasHygiene({ headers, text }: RawAnswer): void {
  assert.equal(headers['x-content-type-options'], 'nosniff', text)
  assert.equal(headers['cache-control'], 'no-store')
  assert.match(headers['content-security-policy'] ?? '', /frame-ancestors 'none'/)
  assert.equal(headers['server'], undefined)
  assert.equal(headers['x-powered-by'], undefined)
  assert.equal(headers['access-control-allow-origin'], undefined)
}

test('a tunnel is not opened', async () => {
  const answer = await sendRaw(
    gate.url,
    `CONNECT evil.example:443 HTTP/1.1\r\nHost: ${new URL(gate.url).host}\r\n\r\n`,
    1_000,
  )
  assert.doesNotMatch(answer.text, /^HTTP\/1\.1 2/)
})

test('methods that a path does not take are told which it takes', async () => {
  verifies('mcp.legacy')
  for (const method of ['GET', 'DELETE', 'PUT']) {
    const answer = await send(method, '/mcp')
    assert.deepEqual([answer.status, answer.headers['allow']], [405, 'POST'])
  }
  assert.equal((await send('POST', '/healthz', [JSON_TYPE], '{}')).headers['allow'], 'GET, HEAD')
})

test('bytes behind a running answer end its connection and never stand inside it', async () => {
  const connection = await RawConnection.open(gate.url)
  const body = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"fix__slow","arguments":{}}}`
  connection.write(requestText(gate.url, 'POST', '/mcp', authorized(), body))
  connection.write('this is no HTTP\r\n\r\n')
  await connection.until(() => connection.closed, 3_000)
  assert.ok(connection.closed)
  assert.ok((connection.text.match(/HTTP\/1\.1/g) ?? []).length <= 1, connection.text)
})

for (const [name, lines, ok] of [
  ['the address itself', () => [`Host: ${new URL(gate.url).host}`], true],
  ['localhost', () => [`Host: localhost:${new URL(gate.url).port}`], true],
  ['LOCALHOST', () => [`Host: LOCALHOST:${new URL(gate.url).port}`], true],
  ['localhost without the port', () => ['Host: localhost'], false],
  ['another port', () => ['Host: localhost:1'], false],
  ['a name that ends like ours', () => [`Host: evil.localhost:${new URL(gate.url).port}`], false],
  ['a name that begins like ours', () => [`Host: localhost:${new URL(gate.url).port}.evil.example`], false],
  ['our name behind a user', () => [`Host: evil@localhost:${new URL(gate.url).port}`], false],
  ['0.0.0.0', () => [`Host: 0.0.0.0:${new URL(gate.url).port}`], false],
  ['an empty host', () => ['Host: '], false],
  ['a forwarded host', () => ['Host: evil.example', `X-Forwarded-Host: ${new URL(gate.url).host}`], false],
] as const) {
  test(`the host \`${name}\` is ${ok ? 'served' : 'refused'}: DNS rebinding, CVE-2025-66414, CVE-2025-49596`, async () => {
    verifies('wire.host-origin')
    const answer = await send('POST', '/mcp', [...authorized(), ...lines()], PING)
    assert.equal(answer.status, ok ? 200 : 403)
    if (!ok) assert.equal((JSON.parse(answer.body) as { code: string }).code, 'CG_WIRE_HOST')
  })
}

for (const origin of ['https://evil.example', 'null', 'http://localhost:1', 'http://127.0.0.1']) {
  test(`the origin \`${origin}\` is refused, and without one the same request is served`, async () => {
    verifies('wire.host-origin')
    const answer = await send('POST', '/mcp', [...authorized(), `Origin: ${origin}`], PING)
    assert.deepEqual(
      [answer.status, (JSON.parse(answer.body) as { code: string }).code],
      [403, 'CG_WIRE_ORIGIN'],
    )
    assert.equal((await send('POST', '/mcp', authorized(), PING)).status, 200)
  })
}

test('a request target in absolute form is no way around the host list', async () => {
  verifies('wire.host-origin')
  const ours = new URL(gate.url).host
  const evil = await send('POST', 'http://evil.example/mcp', authorized(), PING)
  assert.equal(evil.status, 404)
  assert.equal(
    (await send('POST', `http://${ours}/mcp`, [...authorized(), 'Host: evil.example'], PING)).status,
    403,
  )
})

test('an allowed host, origin and public name are served, and nothing like them', async () => {
  verifies('wire.host-origin')
  const other = await TestGate.start({
    servers: '{}',
    more: 'listener: { port: 0, publicUrl: "https://gate.example", allowedHosts: ["gate.internal:9000"], allowedOrigins: ["https://console.example"] }',
  })
  try {
    const status = async (...headers: string[]): Promise<number> =>
      (await sendRaw(other.url, requestText(other.url, 'GET', '/healthz', headers))).status
    assert.equal(await status('Host: gate.example'), 200)
    assert.equal(await status('Host: gate.internal:9000'), 200)
    assert.equal(await status('Host: gate.internal'), 403)
    assert.equal(await status('Host: gate.example.'), 403)
    assert.equal(await status('Origin: https://console.example'), 200)
    assert.equal(await status('Origin: https://console.example.evil.example'), 403)
    assert.equal(await status('Origin: http://console.example'), 403)
  } finally {
    await other.close()
  }
})

// Eras: told by the body, never by headers.

const legacy = (
  body: object,
  headers: Record<string, string> = {},
  path = '/mcp',
): ReturnType<TestGate['http']> =>
  gate.http(
    'POST',
    path,
    {
      authorization: `Bearer ${gate.mint({ path })}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...headers,
    },
    JSON.stringify({ jsonrpc: '2.0', ...body }),
  )

const initialize = (protocolVersion: string): object => ({
  id: 1,
  method: 'initialize',
  params: { protocolVersion, capabilities: {}, clientInfo: { name: 'test', version: '1' } },
})

for (const version of ['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25']) {
  test(`initialize with ${version} is answered with that version`, async () => {
    verifies('mcp.legacy')
    const answer = await legacy(initialize(version))
    assert.equal(answer.status, 200)
    assert.equal(resultOf(answer)['protocolVersion'], version)
    assert.match(String(answer.headers['mcp-session-id']), /^[\x21-\x7e]{1,1024}$/)
  })
}

test('initialize with a version that nobody knows, or a modern one, is answered with the latest legacy one', async () => {
  verifies('mcp.legacy')
  for (const version of ['1999-01-01', '2026-07-28']) {
    assert.equal(resultOf(await legacy(initialize(version)))['protocolVersion'], '2025-11-25')
  }
})

test('initialize is legacy whatever its headers say: mcp-remote sends Mcp-Method, a dual-era host its version', async () => {
  verifies('mcp.legacy')
  for (const headers of [
    { 'mcp-method': 'initialize' },
    { 'mcp-protocol-version': '2026-07-28' },
    { 'mcp-protocol-version': '1999-01-01' },
  ]) {
    const answer = await legacy(initialize('2025-11-25'), headers)
    assert.equal(answer.status, 200, answer.body)
    assert.equal(resultOf(answer)['protocolVersion'], '2025-11-25')
  }
})

test('initialize without a version is refused, and the error answers its id', async () => {
  const answer = await legacy({ id: 'seven', method: 'initialize', params: {} })
  assert.deepEqual([answer.status, errorOf(answer).code, answer.json()['id']], [200, -32_602, 'seven'])
})

test('a legacy call needs no version header, and takes any legacy one', async () => {
  verifies('mcp.legacy')
  for (const headers of [{}, { 'mcp-protocol-version': '2025-03-26' }]) {
    const answer = await legacy({ id: 1, method: 'tools/list' }, headers)
    assert.equal(answer.status, 200)
    assert.ok(Array.isArray(resultOf(answer)['tools']))
    assert.equal(resultOf(answer)['resultType'], undefined)
  }
})

test('a legacy call with a version that nobody speaks is refused with -32022 and the versions that are spoken', async () => {
  const answer = await legacy({ id: 1, method: 'tools/list' }, { 'mcp-protocol-version': '1999-01-01' })
  const { code, data } = errorOf(answer)
  assert.deepEqual([answer.status, code], [400, -32_022])
  assert.deepEqual(data?.['supported'], [
    '2026-07-28',
    '2025-11-25',
    '2025-06-18',
    '2025-03-26',
    '2024-11-05',
  ])
})

test('a legacy host meets an unknown method as a plain error, a modern one as 404', async () => {
  verifies('mcp.legacy')
  verifies('mcp.modern')
  const old = await legacy({ id: 1, method: 'vendor/thing', params: {} })
  assert.deepEqual([old.status, errorOf(old).code], [200, -32_601])
  const fresh = await modern(gate, 'vendor/thing')
  assert.deepEqual([fresh.status, errorOf(fresh).code], [404, -32_601])
})

test('a ping is legacy, a discovery modern, and each is unknown to the other era', async () => {
  assert.equal((await legacy({ id: 1, method: 'ping' })).status, 200)
  assert.equal((await modern(gate, 'ping')).status, 404)
  assert.equal((await modern(gate, 'initialize')).status, 404)
  const discovered = await modern(gate, 'server/discover')
  const versions = ['2026-07-28', '2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05']
  assert.deepEqual(resultOf(discovered)['supportedVersions'], versions)
  const bare = await legacy({ id: 1, method: 'server/discover' })
  assert.deepEqual([bare.status, errorOf(bare).code], [400, -32_602])
})

test('a modern host discovers, lists and calls at a legacy server, and every result is complete', async () => {
  verifies('mcp.modern')
  verifies('mcp.bridge-modern-legacy')
  const listed = resultOf(await modern(gate, 'tools/list'))
  assert.deepEqual([listed['resultType'], listed['cacheScope']], ['complete', 'private'])
  assert.ok(Number(listed['ttlMs']) <= 5_000)
  const called = resultOf(await modern(gate, 'tools/call', { name: 'fix__echo', arguments: { text: 'hi' } }))
  assert.equal(called['resultType'], 'complete')
  const path = '/mcp/fix'
  const read = resultOf(await modern(gate, 'resources/read', { uri: 'note://open' }, { path }))
  assert.deepEqual([read['resultType'], read['ttlMs'], read['cacheScope']], ['complete', 0, 'private'])
  const got = resultOf(await modern(gate, 'prompts/get', { name: 'greet' }, { path }))
  assert.equal(got['resultType'], 'complete')
})

for (const [name, headers] of [
  ['no version', { 'mcp-protocol-version': '' }],
  ['a legacy version', { 'mcp-protocol-version': '2025-11-25' }],
  ['no method', { 'mcp-method': '' }],
  ['another method', { 'mcp-method': 'tools/list' }],
  ['no name', { 'mcp-name': '' }],
  ['another name', { 'mcp-name': 'fix__forbidden' }],
  ['a name in broken base64', { 'mcp-name': '=?base64?!!?=' }],
] as const) {
  test(`modern headers with ${name} are refused with -32020`, async () => {
    verifies('mcp.modern')
    const answer = await modern(gate, 'tools/call', { name: 'fix__echo', arguments: {} }, { headers })
    assert.deepEqual([answer.status, errorOf(answer).code], [400, -32_020])
  })
}

test('a modern name may be wrapped in base64', async () => {
  verifies('mcp.modern')
  const headers = { 'mcp-name': `=?base64?${Buffer.from('fix__echo').toString('base64')}?=` }
  const answer = await modern(gate, 'tools/call', { name: 'fix__echo', arguments: {} }, { headers })
  assert.equal(answer.status, 200)
})

test('a modern version that nobody speaks is refused with -32022, what is supported and what was asked', async () => {
  verifies('mcp.modern')
  const answer = await modern(gate, 'tools/list', {}, { version: '2027-01-01' })
  const { code, data } = errorOf(answer)
  assert.deepEqual([answer.status, code, data?.['requested']], [400, -32_022, '2027-01-01'])
  assert.ok(JSON.stringify(data?.['supported']).includes('2026-07-28'))
})

test('a modern request without client capabilities is refused with -32602', async () => {
  verifies('mcp.modern')
  const answer = await modern(
    gate,
    'tools/list',
    {},
    { meta: { 'io.modelcontextprotocol/clientCapabilities': undefined } },
  )
  assert.deepEqual([answer.status, errorOf(answer).code], [400, -32_602])
})

for (const [name, body] of [
  ['an empty batch', '[]'],
  [
    'an answer with a result and an error',
    '{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":"x"}}',
  ],
  ['an answer without an id', '{"jsonrpc":"2.0","result":{}}'],
  ['a null id', '{"jsonrpc":"2.0","id":null,"method":"ping"}'],
  ['a fractional id', '{"jsonrpc":"2.0","id":1.5,"method":"ping"}'],
  ['another version of JSON-RPC', '{"jsonrpc":"1.0","id":1,"method":"ping"}'],
  ['a method that is no text', '{"jsonrpc":"2.0","id":1,"method":["ping"]}'],
  ['a member that JSON-RPC does not know', '{"jsonrpc":"2.0","id":1,"method":"ping","extra":1}'],
  ['a text', '"ping"'],
] as const) {
  test(`${name} is refused with -32600`, async () => {
    const answer = await send('POST', '/mcp', authorized(), body)
    const { error } = JSON.parse(answer.body) as { error: { code: number } }
    assert.deepEqual([answer.status, error.code], [400, -32_600])
  })
}

test('an answer that nobody asked for is taken and means nothing; a modern host has none to give', async () => {
  verifies('bridge.answers')
  for (const body of [
    '{"jsonrpc":"2.0","id":1,"result":{}}',
    '{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x"}}',
  ]) {
    assert.equal((await send('POST', '/mcp', authorized(), body)).status, 202)
    const modernHeaders = [...authorized(), 'mcp-protocol-version: 2026-07-28']
    assert.equal((await send('POST', '/mcp', modernHeaders, body)).status, 400)
  }
})

// What a refusal looks like.

const EVIDENCE = /\[evidence ([0-9A-Z]{26})\]/

test('a call that policy denies is a tool result with code and evidence id, also where the tool has an output schema', async () => {
  verifies('wire.policy-denial')
  for (const tool of ['fix__forbidden', 'fix__typed']) {
    const { text, isError, answer } = await gate.call(tool, { text: 'the-secret-of-a-rule' })
    assert.deepEqual([answer.status, isError], [200, true])
    assert.match(text, /^CG_POLICY_DENIED: /)
    const evidence = EVIDENCE.exec(text)?.[1]
    const { record } =
      (await gate.records()).findLast(({ record: { id } }) => id === evidence) ?? assert.fail('no record')
    assert.ok(record.kind === 'outcome' && record.code === 'CG_POLICY_DENIED')
    assert.deepEqual(record.decision?.rules, ['the-secret-name-of-a-rule'])
    assert.equal((await gate.call(tool, { text: 'harmless' })).isError, false)
  }
})

test('a modern host meets a denial as a complete result', async () => {
  verifies('wire.policy-denial')
  const answer = await modern(gate, 'tools/call', {
    name: 'fix__forbidden',
    arguments: { text: 'the-secret-of-a-rule' },
  })
  const result = resultOf(answer)
  assert.deepEqual([answer.status, result['isError'], result['resultType']], [200, true, 'complete'])
})

test('no refusal tells a rule, an argument or a stack', async () => {
  verifies('wire.no-oracle')
  const path = '/mcp/fix'
  const answers = await Promise.all([
    gate.call('fix__forbidden', { text: 'the-secret-of-a-rule' }),
    gate.call('fix__echo', { text: { 'secret-argument': true } }),
    gate.call('fix__echo', { text: 'x', 'secret-argument': 'secret-value' }),
    gate.call('fix__secret-tool', { text: 'secret-argument' }),
    gate.call('fix__unlisted', { text: 'secret-argument' }),
  ])
  const bodies = [
    ...answers.map(({ answer }) => answer.body),
    (await gate.rpc('resources/read', { uri: 'note://secret-argument' }, { path, token: one })).body,
    (await gate.rpc('prompts/get', { name: 'secret-argument' }, { path, token: one })).body,
    (await send('POST', '/mcp', authorized(), '{"jsonrpc":"2.0","id":1,"method":"secret-argument')).body,
  ]
  for (const body of bodies) {
    assert.match(body, /CG_/)
    assert.doesNotMatch(
      body,
      /the-secret|secret-value|secret-tool|args\.|\bat .*:\d+:\d+|node:internal|\.ts\b/,
    )
  }
})

test('arguments that do not fit the schema are refused as a result that names the place', async () => {
  verifies('play7.mass-assignment')
  const { text, isError } = await gate.call('fix__echo', { text: 'x', is_admin: true })
  assert.ok(isError)
  assert.match(text, /^CG_SCHEMA_VIOLATION: .*is_admin.*\[evidence /)
  assert.equal((await gate.call('fix__echo', { text: 'x' })).isError, false)
})

test('an unknown tool is -32602, a hidden one is refused whoever asks', async () => {
  verifies('play3.allow-lists')
  const unknown = await gate.rpc('tools/call', { name: 'fix__nothing', arguments: {} })
  assert.deepEqual(
    [unknown.status, errorOf(unknown).code, errorOf(unknown).data?.['code']],
    [200, -32_602, 'CG_CATALOG_UNKNOWN_TOOL'],
  )
  const listed = resultOf(await gate.rpc('tools/list', {}))['tools'] as { name: string }[]
  assert.ok(!listed.some(({ name }) => name === 'fix__unlisted'))
  const hidden = await gate.call('fix__unlisted', { text: 'x' })
  assert.ok(hidden.isError)
  assert.match(hidden.text, /^CG_POLICY_NO_ALLOW: /)
})

test('a resource or prompt that policy does not allow is an error with a code of ours, and absent from the list', async () => {
  verifies('wire.policy-denial')
  const ask = (method: string, params: object): ReturnType<TestGate['rpc']> =>
    gate.rpc(method, params, { path: '/mcp/fix', token: one })
  for (const [method, params] of [
    ['resources/read', { uri: 'note://secret' }],
    ['prompts/get', { name: 'hidden' }],
  ] as const) {
    const answer = await ask(method, params)
    const { code = 0, data } = errorOf(answer)
    assert.equal(answer.status, 200)
    assert.ok(code < -32_768 || code > -32_000, `${code}`)
    assert.equal(data?.['code'], 'CG_POLICY_NO_ALLOW')
    assert.match(String(data?.['evidence']), /^[0-9A-Z]{26}$/)
  }
  assert.deepEqual(resultOf(await ask('resources/list', {}))['resources'], [
    { uri: 'note://open', name: 'open' },
  ])
  assert.deepEqual(resultOf(await ask('prompts/list', {}))['prompts'], [{ name: 'greet' }])
  assert.ok('contents' in resultOf(await ask('resources/read', { uri: 'note://open' })))
  assert.ok('messages' in resultOf(await ask('prompts/get', { name: 'greet' })))
})

test('on the aggregated endpoint resources and prompts carry their server, in lists, reads and results', async () => {
  verifies('bridge.aggregated-names')
  const listed = async (method: string, member: string): Promise<object[]> =>
    resultOf(await gate.rpc(method, {}))[member] as object[]
  const resources = (await listed('resources/list', 'resources')) as { uri: string }[]
  assert.ok(resources.some(({ uri }) => uri === 'fix+note://open'))
  assert.ok(!resources.some(({ uri }) => uri.includes('secret')), 'what policy hides stays hidden')
  const prompts = (await listed('prompts/list', 'prompts')) as { name: string }[]
  assert.ok(prompts.some(({ name }) => name === 'fix__greet'))
  const read = resultOf(await gate.rpc('resources/read', { uri: 'fix+note://open' }))
  assert.equal((read['contents'] as { uri: string }[])[0]?.uri, 'fix+note://open')
  assert.ok('messages' in resultOf(await gate.rpc('prompts/get', { name: 'fix__greet' })))
  for (const [method, params] of [
    ['resources/read', { uri: 'note://open' }],
    ['resources/read', { uri: 'nobody+note://open' }],
    ['prompts/get', { name: 'greet' }],
  ] as const) {
    assert.match(String(errorOf(await gate.rpc(method, params)).data?.['code']), /^CG_CATALOG_UNKNOWN_/)
  }
})

test('a list refuses a cursor that is no string, of tools as of everything else; one that is goes on', async () => {
  verifies('hosts.list-pages')
  const made = Buffer.from(JSON.stringify({ fix: 'page two' })).toString('base64url')
  for (const [path, good] of [
    ['/mcp', made],
    ['/mcp/fix', 'page two'],
  ] as const) {
    for (const method of ['resources/list', 'resources/templates/list', 'prompts/list', 'tools/list']) {
      const ask = (params: object): ReturnType<TestGate['rpc']> => gate.rpc(method, params, { path })
      for (const cursor of [null, 0, true, {}, [good]]) {
        const { code, data } = errorOf(await ask({ cursor }))
        assert.deepEqual([code, data?.['code']], [-32_602, 'CG_WIRE_PARAMS'], `${path} ${method}`)
      }
      // The place in a list of tools is one that the gate gave: see tool-list.test.ts.
      assert.deepEqual(errorOf(await ask(method === 'tools/list' ? {} : { cursor: good })), {})
    }
  }
})

test('a resource whose URI is longer than any record could hold is refused before it is read', async () => {
  verifies('call.outcome-always')
  const uri = `note://open?${'x'.repeat(40_000)}`
  const answer = await gate.rpc('resources/read', { uri }, { path: '/mcp/fix', token: one })
  assert.deepEqual([answer.status, errorOf(answer).code], [200, -32_602])
  assert.equal(well.received.filter(({ line }) => line.includes('xxxx')).length, 0)
})

test('arguments that are null are refused: null is not the empty object that was judged', async () => {
  verifies('wire.rule-4')
  const answer = await gate.rpc('tools/call', { name: 'fix__echo', arguments: null })
  assert.equal(errorOf(answer).code, -32_602)
})

test('a number that would be judged as another one is refused, in a prompt as in a tool', async () => {
  verifies('wire.rule-4')
  const ask = (path: string, method: string, name: string, number: string): Promise<RawAnswer> =>
    sendRaw(
      gate.url,
      requestText(
        gate.url,
        'POST',
        path,
        [`Authorization: Bearer ${gate.mint({ path })}`, JSON_TYPE],
        `{"jsonrpc":"2.0","id":1,"method":"${method}","params":{"name":"${name}","arguments":{"text":${number}}}}`,
      ),
    )
  assert.match((await ask('/mcp', 'tools/call', 'fix__echo', '9007199254740993')).body, /CG_SCHEMA_NUMBER/)
  assert.match((await ask('/mcp/fix', 'prompts/get', 'greet', '9007199254740993')).body, /CG_SCHEMA_NUMBER/)
  assert.match((await ask('/mcp/fix', 'prompts/get', 'greet', '9007199254740992')).body, /"messages"/)
})

// Names.

test('aggregated names are unique, short and stable, and each calls its own tool; a server endpoint gives bare ones', async () => {
  verifies('mcp.names')
  const names = async (path: string): Promise<string[]> =>
    (resultOf(await gate.rpc('tools/list', {}, { path }))['tools'] as { name: string }[]).map(
      ({ name }) => name,
    )
  const first = await names('/mcp')
  assert.deepEqual(await names('/mcp'), first)
  assert.equal(new Set(first).size, first.length)
  for (const name of first) assert.match(name, /^(fix|ev)__[A-Za-z0-9_-]{1,41}$/)
  assert.equal(first.length, 7)
  assert.deepEqual(
    (await names('/mcp/fix')).filter((name) => !name.startsWith('a')),
    ['echo', 'forbidden', 'slow', 'typed'],
  )
  for (const name of first.filter((each) => each.startsWith('fix__a'))) {
    assert.equal((await gate.call(name, { text: 'x' })).isError, false)
  }
})

test('progress opens a stream that carries the hygiene headers, and the answer is its last event', async () => {
  verifies('play7.misconfig')
  const answer = await gate.rpc('tools/call', {
    name: 'ev__trigger-long-running-operation',
    arguments: { duration: 0.3, steps: 3 },
    _meta: { progressToken: 'mine' },
  })
  assert.match(String(answer.headers['content-type']), /^text\/event-stream/)
  assert.equal(answer.headers['x-content-type-options'], 'nosniff')
  assert.equal(answer.headers['cache-control'], 'no-store')
  const events = answer.body.split('\n\n').filter((event) => event.includes('data:'))
  assert.ok(events.length >= 2)
  for (const event of events.slice(0, -1))
    assert.match(event, /"notifications\/progress".*"progressToken":"mine"/)
  assert.match(events.at(-1) ?? '', /"id":1,"result":/)

  // Bytes behind the request end the stream and never stand inside it.
  const params = {
    name: 'ev__trigger-long-running-operation',
    arguments: { duration: 1, steps: 20 },
    _meta: { progressToken: 1 },
  }
  const connection = await RawConnection.open(gate.url)
  connection.write(
    requestText(
      gate.url,
      'POST',
      '/mcp',
      [`Authorization: Bearer ${gate.mint()}`, JSON_TYPE, 'Accept: text/event-stream, application/json'],
      JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params }),
    ),
  )
  assert.ok(await connection.until(() => connection.text.includes('notifications/progress'), 3_000))
  connection.write('this is no HTTP\r\n\r\n')
  assert.ok(await connection.until(() => connection.closed, 3_000))
  assert.equal(connection.text.match(/HTTP\/1\.1/g)?.length, 1)
})

// Cancelling.

test('a legacy host cancels by message: the server is told, the call recorded as cancelled', async () => {
  verifies('call.cancel')
  verifies('mcp.legacy')
  const token = gate.mint({ sid: 'cancelling' })
  const seen = well.receivedOf('tools/call').length
  const running = gate.rpc('tools/call', { name: 'fix__slow', arguments: {} }, { token, id: 'to-cancel' })
  await until(() => well.receivedOf('tools/call').length > seen)
  const told = await gate.http(
    'POST',
    '/mcp',
    { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    JSON.stringify({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'to-cancel' } }),
  )
  assert.equal(told.status, 202)
  assert.match((await running).body, /CG_CALL_CANCELLED/)
  assert.ok(
    (await gate.records()).some(({ record }) => record.kind === 'outcome' && record.outcome === 'cancelled'),
  )
  await until(() => well.receivedOf('notifications/cancelled').length > 0)
})

test('a stranger cannot cancel the call of another', async () => {
  verifies('call.cancel')
  const running = gate.rpc(
    'tools/call',
    { name: 'fix__slow', arguments: {} },
    { id: 'mine', token: gate.mint({ subject: 'alice' }) },
  )
  await sleep(100)
  await gate.http(
    'POST',
    '/mcp',
    { authorization: `Bearer ${gate.mint({ subject: 'mallory' })}`, 'content-type': 'application/json' },
    JSON.stringify({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'mine' } }),
  )
  assert.match((await running).body, /slow but sure/)
})

test('a modern host cancels by closing its connection', async () => {
  verifies('call.cancel')
  verifies('mcp.modern')
  const before_ = well.receivedOf('notifications/cancelled').length
  const token = gate.mint({ sid: 'closing' })
  const body = JSON.stringify({
    jsonrpc: '2.0',
    id: 1,
    method: 'tools/call',
    params: {
      name: 'fix__slow',
      arguments: {},
      _meta: {
        'io.modelcontextprotocol/protocolVersion': '2026-07-28',
        'io.modelcontextprotocol/clientCapabilities': {},
      },
    },
  })
  const headers = {
    authorization: `Bearer ${token}`,
    'content-type': 'application/json',
    'mcp-protocol-version': '2026-07-28',
    'mcp-method': 'tools/call',
    'mcp-name': 'fix__slow',
  }
  const seen = well.receivedOf('tools/call').length
  const running = request(`${gate.url}/mcp`, { method: 'POST', headers, agent: false })
  running.on('error', () => undefined)
  running.end(body)
  await until(() => well.receivedOf('tools/call').length > seen)
  running.destroy()
  await until(() => well.receivedOf('notifications/cancelled').length > before_)
})

async function until(condition: () => boolean, ms = 3_000): Promise<void> {
  const deadline = performance.now() + ms
  while (!condition()) {
    assert.ok(performance.now() < deadline, 'it did not happen')
    await sleep(10)
  }
}

// The end of a gate.

test('a gate that is told to stop answers what is in flight, refuses what is new with 503, and exits 0', async () => {
  const fixture = new Fixture([textTool('slow')])
  const stopping = await TestGate.start({ servers: fixture.yaml('fix') })
  const token = stopping.mint()
  const lines = [`Authorization: Bearer ${token}`, JSON_TYPE]
  const slow = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"fix__slow","arguments":{}}}'
  const busy = await RawConnection.open(stopping.url)
  // Two requests in a row over one connection: the second is met when the first is answered, and then the gate stops.
  busy.write(requestText(stopping.url, 'POST', '/mcp', lines, slow))
  await until(() => fixture.receivedOf('tools/call').length > 0)
  const other = stopping.call('fix__slow', {}, { token })
  await sleep(300)
  const ended = stopping.stop()
  await sleep(50)
  busy.write(requestText(stopping.url, 'POST', '/mcp', lines, slow))
  await busy.until(() => busy.text.includes('HTTP/1.1 503'), 3_000)
  assert.match(busy.text, /slow but sure[\s\S]*HTTP\/1\.1 503 [\s\S]*CG_WIRE_DRAINING/)
  assert.match(busy.text, /Retry-After: \d+/)
  assert.equal((await other).text, 'slow but sure')
  await ended
  assert.deepEqual([stopping.process.exitCode, stopping.process.signalCode], [0, null])
  await assert.rejects(RawConnection.open(stopping.url))
  await stopping.close()
  rmSync(fixture.folder, { recursive: true, force: true })
})

test('a port that is taken is named with the fix, and the gate exits 1', async () => {
  verifies('spine.prerequisites')
  const squatter = createServer()
  await new Promise<void>((resolve) => squatter.listen(0, '127.0.0.1', resolve))
  const address = squatter.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const failed = await TestGate.start({ servers: '{}', more: `listener: { port: ${port} }` }).catch(
    (error: unknown) => error,
  )
  squatter.close()
  assert.ok(failed instanceof Error)
  assert.match(failed.message, new RegExp(`ended with 1: .*port \`${port}\`[\\s\\S]*CALLGATE_PORT`))
})
