// Ownership from outside: ids of somebody else are refused in every place where tools take ids (playbook Play 7, "BOLA/BFLA").
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type IncomingMessage, createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, after, test } from 'node:test'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { Fixture } from './harness/fixtures.ts'
import { TestGate } from './harness/gate.ts'
import { modern } from './harness/modern.ts'

const folder = mkdtempSync(join(tmpdir(), 'callgate-ownership-'))
after(() => rmSync(folder, { recursive: true, force: true }))

interface Shape {
  /** `owned` of the tool, in YAML. */
  readonly owned: string
  readonly own: object
  /** Each with an id that is not ada's, or with none. */
  readonly foreign: readonly object[]
}

/** Ten ways in which tools take ids. Orders 1 to 3 are ada's, 4 is somebody else's. */
const SHAPES: Readonly<Record<string, Shape>> = {
  plain: {
    owned: '[{ at: /id, type: order }]',
    own: { id: '1' },
    foreign: [{ id: '4' }, { id: '99' }, {}, { id: null }],
  },
  number: {
    owned: '[{ at: /id, type: order }]',
    own: { id: 2 },
    foreign: [{ id: 4 }, { id: 1.5 }, { id: true }],
  },
  nested: {
    owned: '[{ at: /order/ref/id, type: order }]',
    own: { order: { ref: { id: '1' } } },
    foreign: [{ order: { ref: { id: '4' } } }, { order: { ref: {} } }, { order: '1' }],
  },
  list: {
    owned: '[{ at: /ids, type: order }]',
    own: { ids: ['1', 2, '3'] },
    foreign: [{ ids: ['1', '4'] }, { ids: [] }, { ids: [['4']] }],
  },
  objects: {
    owned: '[{ at: /items/*/id, type: order }]',
    own: { items: [{ id: '1' }, { id: '2' }] },
    foreign: [
      { items: [{ id: '1' }, { id: '4' }] },
      { items: [{ id: '1', x: 1 }, [{ id: '4' }]] },
      { items: [{}] },
    ],
  },
  names: {
    owned: '[{ at: /changes, type: order, keys: true }]',
    own: { changes: { 1: 'a', 2: 'b' } },
    foreign: [{ changes: { 1: 'a', 4: 'b' } }, { changes: ['1'] }],
  },
  commas: {
    owned: '[{ at: /ids, type: order, split: "," }]',
    own: { ids: '1, 2' },
    foreign: [{ ids: '1,4' }, { ids: '1,' }, { ids: ',' }],
  },
  path: {
    owned: `[{ at: /path, type: order, pattern: "^/orders/([^/]+)(?:/[a-z]+)?$" }]`,
    own: { path: '/orders/1/lines' },
    foreign: [
      { path: '/orders/4/lines' },
      { path: '/orders/1/../4' },
      { path: 'orders/1' },
      { path: '/orders//1' },
    ],
  },
  query: {
    owned: `[{ at: /q, type: order, pattern: "order:([0-9]+)" }]`,
    own: { q: 'order:1 OR order:2' },
    foreign: [{ q: 'order:1 OR order:4' }, { q: 'everything' }],
  },
  either: {
    owned: '[{ at: /from, type: order }, { at: /to, type: order, required: false }]',
    own: { from: '1' },
    foreign: [{ from: '1', to: '4' }, { from: '4', to: '1' }, { to: '1' }],
  },
}

async function start(
  t: TestContext,
  types: string,
  { mode = 'enforce', own = mkdtempSync(join(folder, 'g')) } = {},
) {
  const fixture = new Fixture(
    Object.keys(SHAPES).map((name) => ({ name, description: name, inputSchema: { type: 'object' } })),
  )
  const tools = Object.entries(SHAPES).map(([name, { owned }]) => `${name}: { owned: ${owned} }`)
  const gate = await TestGate.start(
    {
      folder: own,
      servers: fixture.yaml('fix', { more: `approve: first-use\ntools: { ${tools.join(', ')} }` }),
      policy: '- { rule: everything, when: { tool: "*" }, decision: allow }\n',
      more: `listener: { port: 0 }\nownership:\n  mode: ${mode}\n  types:\n    order: ${types}\n`,
    },
    t,
  )
  const call = async (name: string, args: object, subject = 'ada') =>
    (
      await gate.rpc(
        'tools/call',
        { name: `fix__${name}`, arguments: args },
        { token: gate.mint({ subject }) },
      )
    ).body
  return { gate, call, sent: () => fixture.receivedOf('tools/call').length, own }
}

test('an id of somebody else is refused in ten shapes of tools, and so is none; those of the caller pass', async (t) => {
  verifies('play7.bola-bfla.ownership')
  const own = mkdtempSync(join(folder, 'g'))
  writeFileSync(
    join(own, 'orders.yaml'),
    ['1', '2', '3'].map((id) => `"${id}": { subjects: [ada], tenants: [default] }\n`).join('') +
      '"4": { subjects: [eve] }\n"5": { subjects: [ada], tenants: [other] }\n',
  )
  const { gate, call, sent } = await start(t, '{ source: file, path: orders.yaml }', { own })
  let passed = 0
  for (const [name, { own: args, foreign }] of Object.entries(SHAPES)) {
    assert.doesNotMatch(await call(name, args), /CG_/, name)
    assert.equal(sent(), ++passed)
    for (const each of foreign)
      assert.match(await call(name, each), /CG_OWNER_FOREIGN/, `${name} ${JSON.stringify(each)}`)
    assert.match(await call(name, args, 'eve'), /CG_OWNER_FOREIGN/, name)
    assert.equal(sent(), passed, name)
  }
  assert.match(await call('plain', { id: '5' }), /CG_OWNER_FOREIGN/, 'all that an entry names must fit')
  // What is refused tells nobody whether the id exists.
  const [foreign, unknown] = [await call('plain', { id: '4' }), await call('plain', { id: '99' })]
  const without = (answer: string) => answer.replace(/evidence \w+/, '')
  assert.equal(without(foreign), without(unknown))
  const many = { ids: Array.from({ length: 101 }, (_, i) => String(i)) }
  assert.match(await call('list', many), /CG_OWNER_FOREIGN/)
  const { body } = await modern(gate, 'tools/call', { name: 'fix__plain', arguments: { id: '4' } })
  assert.match(body, /CG_OWNER_FOREIGN/)
  // An edit counts at once, and a file that cannot be read refuses.
  writeFileSync(join(own, 'orders.yaml'), '"1": { subjects: [eve] }\n')
  assert.match(await call('plain', { id: '1' }), /CG_OWNER_FOREIGN/)
  assert.doesNotMatch(await call('plain', { id: '1' }, 'eve'), /CG_/)
  for (const broken of ['[', '- 1', '"1": {}', '"1": { subject: ada }']) {
    writeFileSync(join(own, 'orders.yaml'), broken)
    assert.match(await call('plain', { id: '1' }), /CG_OWNER_UNAVAILABLE/, broken)
  }
  rmSync(join(own, 'orders.yaml'))
  assert.match(await call('plain', { id: '1' }), /CG_OWNER_UNAVAILABLE/)
})

test('ids that name their owner are held against the token', async (t) => {
  verifies('play7.bola-bfla.ownership')
  const { call } = await start(t, '{ source: claims, equals: [subject], prefix: "{tenant}-" }')
  for (const id of ['ada', 'default-7']) assert.doesNotMatch(await call('plain', { id }), /CG_/, id)
  for (const id of ['eve', 'default-', 'default', 'other-7', 'xdefault-7', 'Ada'])
    assert.match(await call('plain', { id }), /CG_OWNER_FOREIGN/, id)
})

test('on trial nothing is refused, and the record tells what would have been', async (t) => {
  verifies('play7.bola-bfla.ownership')
  const { gate, call, sent } = await start(t, '{ source: claims, equals: [subject] }', { mode: 'observe' })
  assert.doesNotMatch(await call('plain', { id: 'eve' }), /CG_/)
  assert.doesNotMatch(await call('plain', { id: 'ada' }), /CG_/)
  assert.equal(sent(), 2)
  await gate.stop()
  const outcomes = (await gate.records()).flatMap(({ record }) => (record.kind === 'outcome' ? [record] : []))
  assert.deepEqual(
    outcomes.map(({ decision }) => decision?.observed),
    [['(ownership: order)'], []],
  )
})

interface Asked {
  readonly url: string | undefined
  readonly authorization: string | undefined
  readonly body: Record<string, unknown>
}

/** A service over HTTP that answers what the test says. */
class OwnerService {
  readonly asked: Asked[] = []
  answer: (asked: Asked) => { status?: number; body: string; afterMs?: number } = () => ({ body: '{}' })
  readonly #server = createServer((request: IncomingMessage, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { url, method, headers } = request
      assert.equal(method, 'POST')
      assert.equal(headers['content-type'], 'application/json')
      const body = JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>
      const asked = { url, authorization: headers.authorization, body }
      this.asked.push(asked)
      const { status = 200, body: said, afterMs = 0 } = this.answer(asked)
      setTimeout(() => {
        response.writeHead(status, { 'content-type': 'application/json', location: '/elsewhere' })
        response.end(said)
      }, afterMs).unref()
    })
  })

  async start(t: TestContext): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    t.after(() => {
      this.#server.closeAllConnections()
      this.#server.close()
    })
    const address = this.#server.address()
    return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
  }
}

const BROKEN = [
  { status: 500, body: '{"owned":["1"]}' },
  { status: 302, body: '{"owned":["1"]}' },
  { status: 401, body: '{"owned":["1"]}' },
  { body: 'no JSON' },
  { body: '[]' },
  { body: '{"owned":"1"}' },
  { body: '{"owned":[1]}' },
  { body: `"${'x'.repeat(2_000_000)}"` },
  { body: '{"owned":["1"]}', afterMs: 2_000 },
]

test('an endpoint of the operator says whose ids are; without a sound answer the call is refused', async (t) => {
  verifies('play7.bola-bfla.ownership')
  const service = new OwnerService()
  const url = await service.start(t)
  const own = mkdtempSync(join(folder, 'g'))
  writeFileSync(join(own, 'token'), 'good-token', { mode: 0o600 })
  const { gate, call, sent } = await start(
    t,
    `{ source: http, url: "${url}/owners", token: "file:token", timeoutMs: 300 }`,
    { own },
  )
  service.answer = ({ body }) => ({
    body: JSON.stringify({ owned: (body['ids'] as string[]).filter((id) => id < '4') }),
  })
  assert.doesNotMatch(await call('list', { ids: ['1', '2'] }), /CG_/)
  assert.deepEqual(service.asked, [
    {
      url: '/owners',
      authorization: 'Bearer good-token',
      body: {
        type: 'order',
        relation: null,
        ids: ['1', '2'],
        caller: { tenant: 'default', subject: 'ada', actor: 'test-agent' },
      },
    },
  ])
  assert.match(await call('list', { ids: ['1', '4'] }), /CG_OWNER_FOREIGN/)
  for (const broken of BROKEN) {
    service.answer = () => broken
    const answer = await call('plain', { id: '1' })
    assert.match(answer, /CG_OWNER_UNAVAILABLE/, JSON.stringify(broken).slice(0, 80))
    assert.doesNotMatch(answer, /good-token/)
  }
  assert.equal(
    service.asked.some(({ url: asked }) => asked === '/elsewhere'),
    false,
  )
  assert.equal(sent(), 1)
  assert.doesNotMatch(gate.stderr, /good-token/)
})

test('OpenFGA is asked in batches, by relation; what it could not check is of nobody', async (t) => {
  verifies('play7.bola-bfla.ownership')
  const service = new OwnerService()
  const url = await service.start(t)
  const { call, sent } = await start(
    t,
    `{ source: openfga, url: "${url}", store: 01ABC, model: 01M, user: "user:{tenant}/{subject}", relation: can_use, timeoutMs: 500 }`,
  )
  type Check = { tuple_key: { user: string; relation: string; object: string }; correlation_id: string }
  const allow = (allowed: (object: string) => object) => {
    service.answer = ({ body }) => ({
      body: JSON.stringify({
        result: Object.fromEntries(
          (body['checks'] as Check[]).map((check) => [check.correlation_id, allowed(check.tuple_key.object)]),
        ),
      }),
    })
  }
  allow((object) => ({ allowed: object !== 'order:4' }))
  assert.doesNotMatch(await call('plain', { id: '1' }), /CG_/)
  assert.deepEqual(service.asked[0], {
    url: '/stores/01ABC/batch-check',
    authorization: undefined,
    body: {
      authorization_model_id: '01M',
      checks: [
        {
          tuple_key: { user: 'user:default/ada', relation: 'can_use', object: 'order:1' },
          correlation_id: '0',
        },
      ],
    },
  })
  assert.match(await call('plain', { id: '4' }), /CG_OWNER_FOREIGN/)
  service.asked.length = 0
  const ids = Array.from({ length: 99 }, (_, i) => `x${i}`)
  assert.doesNotMatch(await call('list', { ids }), /CG_/)
  assert.deepEqual(
    service.asked.map(({ body }) => (body['checks'] as Check[]).length),
    [50, 49],
  )
  // An id that would name another object is asked of nobody.
  service.asked.length = 0
  for (const id of ['1:2', '1#can_use', 'a b', '1@x'])
    assert.match(await call('plain', { id }), /CG_OWNER_FOREIGN/)
  assert.equal(service.asked.length, 0)
  allow(() => ({ allowed: true, error: { message: 'too deep' } }))
  assert.match(await call('plain', { id: '1' }), /CG_OWNER_FOREIGN/)
  allow(() => ({ allowed: 'true' }))
  assert.match(await call('plain', { id: '1' }), /CG_OWNER_FOREIGN/)
  for (const body of ['{}', '{"result":[]}', 'x']) {
    service.answer = () => ({ body })
    assert.match(await call('plain', { id: '1' }), /CG_OWNER_(UNAVAILABLE|FOREIGN)/, body)
  }
  assert.equal(sent(), 2)
})
