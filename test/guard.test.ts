// The author's own server refuses a foreign id that the gate lets pass, and every call that is not the gate's (playbook Play 7).
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { type RequestListener, type Server, createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { McpServer, createMcpHandler } from '@modelcontextprotocol/server'
import { z } from 'zod'
import {
  type GuardOptions,
  authInfoOf,
  callerOf,
  createGuard,
  keysFile,
  owned,
} from '../packages/guard/src/index.ts'
import { createOrdersServer } from '../packages/guard/src/testing/worked-example.ts'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { TestGate } from './harness/gate.ts'
import { modern } from './harness/modern.ts'

const ISSUER = 'urn:callgate:dev-issuer'
const order = (subject: string, item: string) => ({ tenant: 'default', issuer: ISSUER, subject, item })
const ORDERS = new Map([
  ['17', order('ada', 'the book of ada')],
  ['18', order('eve', 'the pen of eve')],
])

const folder = mkdtempSync(join(tmpdir(), 'callgate-guard-'))
const jwks = join(folder, 'gate', 'state', 'keys', 'assertion.jwks.json')
const optionsOf = (server: string, more: Partial<GuardOptions> = {}): GuardOptions => ({
  issuer: 'urn:callgate',
  server,
  keys: keysFile(jwks),
  ...more,
})

/** A server behind a wire that somebody else holds: it keeps what passes, and may change it. */
class Wire {
  readonly bodies: string[] = []
  readonly statuses: number[] = []
  change = (body: string): string => body
  readonly #servers: Server[] = []

  async start(server: Server): Promise<string> {
    const behind = await this.#listen(server)
    return this.#listen(
      createServer((request, response) => {
        if (request.method !== 'POST') return void response.writeHead(405).end()
        const chunks: Buffer[] = []
        request.on('data', (chunk: Buffer) => chunks.push(chunk))
        request.on('end', () => {
          const body = Buffer.concat(chunks).toString()
          if (body.includes('tools/call')) this.bodies.push(body)
          void this.#pass(behind, request.headers, body).then(async (answer) => {
            if (body.includes('tools/call')) this.statuses.push(answer.status)
            response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' })
            response.end(await answer.text())
          })
        })
      }),
    )
  }

  #pass(url: string, from: NodeJS.Dict<string | string[]>, body: string): Promise<Response> {
    const headers = new Headers()
    for (const [name, value] of Object.entries(from))
      if (/^(accept|content-type|mcp-)/.test(name)) headers.set(name, String(value))
    return fetch(url, { method: 'POST', headers, body: this.change(body) })
  }

  async #listen(server: Server): Promise<string> {
    this.#servers.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/mcp`
  }

  close(): void {
    for (const server of this.#servers) {
      server.closeAllConnections()
      server.close()
    }
  }
}

/** The same tool by version 2 of the SDK, whose servers speak the modern era, and without `guarded`. */
function modernServer(options: GuardOptions): Server {
  const guard = createGuard(options)
  const handler = createMcpHandler(() => {
    const server = new McpServer({ name: 'orders', version: '2.0.0' })
    server.registerTool(
      'get_order',
      { description: 'Reads one order.', inputSchema: z.object({ id: z.string() }) },
      async ({ id }, context) => {
        const { item } = await owned(callerOf(context), id, (wanted) => {
          const found = ORDERS.get(wanted)
          if (found === undefined) return undefined
          const { tenant, issuer, subject } = found
          return { owner: { tenant, person: { issuer, subject } }, object: found }
        })
        return { content: [{ type: 'text', text: item }] }
      },
    )
    return server
  })
  const listener: RequestListener = (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks)
      const headers = new Headers(
        Object.entries(request.headers).map(([name, value]) => [name, String(value)] as [string, string]),
      )
      guard
        .admit(body)
        .then(({ message, caller }) =>
          handler.fetch(new Request('http://127.0.0.1/mcp', { method: 'POST', headers, body }), {
            parsedBody: message,
            ...(caller === undefined ? {} : { authInfo: authInfoOf(caller) }),
          }),
        )
        .catch(() => new Response('{}', { status: 403 }))
        .then(async (answer) => {
          response.writeHead(answer.status, Object.fromEntries(answer.headers))
          response.end(Buffer.from(await answer.arrayBuffer()))
        })
        .catch(() => response.destroy())
    })
  }
  return createServer(listener)
}

const stranger = { ...generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }), kid: 'x' }
/** Servers by what is wrong with each; every one has the tool `get_order`. */
const SERVERS = {
  shop: createOrdersServer(optionsOf('shop'), ORDERS),
  shop2: modernServer(optionsOf('shop2')),
  bare: createOrdersServer(optionsOf('bare'), ORDERS),
  stranger: createOrdersServer(optionsOf('stranger', { keys: { keys: [stranger] } }), ORDERS),
  audience: createOrdersServer(optionsOf('elsewhere'), ORDERS),
  gate: createOrdersServer(optionsOf('gate', { issuer: 'https://other.example' }), ORDERS),
  late: createOrdersServer(optionsOf('late', { now: () => Date.now() + 90_000 }), ORDERS),
}
type Name = keyof typeof SERVERS
const wires = Object.fromEntries(Object.keys(SERVERS).map((name) => [name, new Wire()])) as Record<Name, Wire>
const urls: Record<string, string> = {}
let gate: TestGate

before(async () => {
  for (const [name, server] of Object.entries(SERVERS)) urls[name] = await wires[name as Name].start(server)
  gate = await TestGate.start({
    folder: join(folder, 'gate'),
    servers: Object.entries(urls)
      .map(
        ([name, url]) =>
          `${name}: { url: "${url}", network: ["127.0.0.0/8"], approve: first-use, assertCaller: ${name !== 'bare'} }`,
      )
      .join('\n'),
  })
})
after(async () => {
  await gate.close()
  for (const wire of Object.values(wires)) wire.close()
  rmSync(folder, { recursive: true, force: true })
})

const call = (server: Name, id: string, subject = 'ada') =>
  gate.call(`${server}__get_order`, { id }, { token: gate.mint({ subject }) })

/** As somebody does who reaches the server's port. */
async function direct(server: Name, body: string): Promise<{ status: number; text: string }> {
  const answer = await fetch(urls[server] ?? '', {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
    body,
  })
  return { status: answer.status, text: await answer.text() }
}

test('behind the gate a server gives each caller his own objects, and refuses those of others', async () => {
  verifies('play7.bola-bfla')
  verifies('play7.bola-bfla.guard')
  for (const server of ['shop', 'shop2'] as const) {
    assert.equal((await call(server, '17')).text, 'the book of ada', server)
    assert.equal((await call(server, '18', 'eve')).text, 'the pen of eve', server)
    const foreign = await call(server, '18')
    const unknown = await call(server, '99')
    assert.deepEqual([foreign.isError, foreign.text], [true, unknown.text], server)
    assert.match(foreign.text, /no such object of this caller/)
    assert.doesNotMatch(foreign.text, /CG_/, 'the gate let it pass')
  }
  const token = gate.mint({ subject: 'ada' })
  const asked = (id: string) =>
    modern(gate, 'tools/call', { name: 'shop2__get_order', arguments: { id } }, { token })
  assert.match((await asked('17')).body, /the book of ada/)
  assert.match((await asked('18')).body, /no such object/)
})

test('a call that the gate did not assert for this server, now, reaches no tool', async () => {
  verifies('play7.bola-bfla.guard')
  for (const server of ['bare', 'stranger', 'audience', 'gate', 'late'] as const) {
    const { answer } = await call(server, '17')
    assert.match(answer.body, /"error":\{"code":403/, server)
    assert.doesNotMatch(answer.body, /the book of ada/)
    assert.deepEqual(wires[server].statuses, [403], server)
  }
})

test('what is changed on the way, comes again, or comes around the gate is refused', async () => {
  verifies('play7.bola-bfla.guard')
  for (const server of ['shop', 'shop2'] as const) {
    const wire = wires[server]
    wire.change = (body) => body.replace('"18"', '"17"')
    const changed = await call(server, '18')
    assert.doesNotMatch(changed.answer.body, /the book of ada/, 'an id of ada in the place of one of eve')
    assert.equal(wire.statuses.at(-1), 403)
    wire.change = (body) => body
    assert.equal((await call(server, '17')).text, 'the book of ada')
    const sent = wire.bodies.at(-1) ?? ''
    assert.equal((await direct(server, sent)).status, 403, 'again')
    const bare = sent.replace(/"callgate\/caller":"[^"]+",?/, '')
    assert.notEqual(bare, sent)
    const around = await direct(server, bare)
    assert.equal(around.status, 403, 'around the gate')
    assert.doesNotMatch(around.text, /ada/)
    assert.equal((await direct(server, '{"jsonrpc":"2.0","id":1,"method":"resources/read"}')).status, 403)
  }
  const { status } = await direct('shop', `"${'x'.repeat(5_000_000)}"`)
  assert.equal(status, 413)
})

test('the worked example of the README is the server that these tests run', () => {
  const read = (path: string) => readFileSync(new URL(`../packages/guard/${path}`, import.meta.url), 'utf8')
  const [, example] = /```ts\n([\s\S]*?)```/.exec(read('README.md')) ?? []
  assert.equal(example, read('src/testing/worked-example.ts'))
})
