import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { type HttpAnswer, TestGate } from './harness/gate.ts'
import { errorOf, modern, resultOf } from './harness/modern.ts'
import { BIG, type SeenRequest, TASKS, TasksServer } from './harness/tasks-server.ts'

const CAPABILITIES = 'io.modelcontextprotocol/clientCapabilities'
const ID = 'the-servers-own-id'
const TASK = {
  taskId: ID,
  status: 'working',
  statusMessage: 'half done',
  createdAt: '2026-11-23T10:30:00Z',
  lastUpdatedAt: '2026-11-23T10:30:01Z',
  ttlMs: 60_000,
  pollIntervalMs: 100,
}
const STATE = { resultType: 'complete', ...TASK }
const FORM = {
  method: 'elicitation/create',
  params: {
    mode: 'form',
    message: 'Who?',
    requestedSchema: { type: 'object', properties: { name: { type: 'string' } } },
  },
}
const ROOTS = { method: 'roots/list', params: {} }
const ACCEPTED = { action: 'accept', content: { name: 'Ada' } }
const POLICY = '- rule: allow-everything\n  when: { tool: "*" }\n  decision: allow\n'

const server = await TasksServer.start()
const plain = await TasksServer.start()
const old = await TasksServer.start('legacy')
let gate: TestGate

before(async () => {
  gate = await TestGate.start({
    servers: [
      server.yaml('fix', '  clientCapabilities: [tasks, elicitation.form]\n  roots: [/srv]'),
      plain.yaml('plain'),
      old.yaml('old', '  clientCapabilities: [tasks]'),
    ].join('\n'),
    policy: POLICY,
  })
})

beforeEach(() => {
  for (const each of [server, plain, old]) {
    each.seen.length = 0
    each.answers = { 'tools/call': { ...TASK, resultType: 'task' }, 'tasks/get': STATE }
  }
})

after(async () => {
  await gate.close()
  for (const each of [server, plain, old]) each.close()
})

interface Asking {
  readonly path?: string
  readonly token?: string
  readonly capabilities?: object
  readonly headers?: Record<string, string>
}

function ask(
  method: string,
  params: Record<string, unknown>,
  { capabilities = { ...TASKS, elicitation: { form: {} } }, headers, ...options }: Asking = {},
): Promise<HttpAnswer> {
  const { taskId } = params
  return modern(gate, method, params, {
    ...options,
    meta: { [CAPABILITIES]: capabilities },
    headers: { ...(typeof taskId === 'string' ? { 'mcp-name': taskId } : {}), ...headers },
  })
}

/** Makes a task by `job` and gives back the id that its host gets. */
async function begin(options: Asking = {}): Promise<string> {
  const name = options.path === undefined ? 'fix__job' : 'job'
  const { taskId } = resultOf(await ask('tools/call', { name, arguments: {} }, options))
  assert.equal(typeof taskId, 'string')
  return String(taskId)
}

test('a task is made, polled, asked, answered and completed, under an id that only the gate can read', async () => {
  verifies('bridge.tasks')
  server.answers['tools/call'] = { ...TASK, resultType: 'task', requestState: 'x', _meta: { a: 1 }, extra: 1 }
  const made = await ask('tools/call', { name: 'fix__job', arguments: {} })
  const created = resultOf(made)
  const taskId = String(created['taskId'])
  assert.deepEqual(created, { ...TASK, resultType: 'task', taskId })
  assert.doesNotMatch(made.body, new RegExp(ID))

  server.answers['tasks/get'] = { ...STATE, requestState: 'x', inputRequests: { a: FORM }, extra: 1 }
  assert.deepEqual(resultOf(await ask('tasks/get', { taskId })), { ...STATE, taskId })
  const [polled] = server.came('tasks/get')
  assert.equal(polled?.params['taskId'], ID)
  assert.equal(polled?.headers['mcp-name'], ID)

  server.answers['tasks/get'] = { ...STATE, status: 'input_required', inputRequests: { name: FORM } }
  const waiting = resultOf(await ask('tasks/get', { taskId }))
  assert.deepEqual(waiting['inputRequests'], { name: FORM })

  server.answers['tasks/update'] = { resultType: 'complete', taskId: ID, extra: 1 }
  const inputResponses = { name: ACCEPTED, stray: { roots: [{ uri: 'file:///home/eve' }] } }
  const updated = await ask('tasks/update', { taskId, inputResponses, requestState: 'x' })
  assert.deepEqual(resultOf(updated), { resultType: 'complete' })
  const { _meta, ...sent } = server.came('tasks/update')[0]?.params ?? {}
  assert.deepEqual(sent, { taskId: ID, inputResponses: { name: ACCEPTED } })

  const result = {
    content: [{ type: 'resource_link', uri: 'note://one', name: 'n' }],
    structuredContent: { big: 'BIG' },
  }
  server.answers['tasks/get'] = { ...STATE, status: 'completed', result }
  const done = await ask('tasks/get', { taskId })
  const { content } = resultOf(done)['result'] as { content: { uri: string }[] }
  assert.equal(content[0]?.uri, 'fix+note://one')
  assert.ok(done.body.includes(`"big":${BIG}`))

  const error = { code: -32603, message: 'no more' }
  server.answers['tasks/get'] = { ...STATE, status: 'failed', error }
  assert.deepEqual(resultOf(await ask('tasks/get', { taskId }))['error'], error)
})

test('on the endpoint of one server a task keeps the names of that server, and cancel reaches it', async () => {
  const path = '/mcp/fix'
  const taskId = await begin({ path })
  server.answers['tasks/get'] = {
    ...STATE,
    status: 'completed',
    result: { content: [{ type: 'resource_link', uri: 'note://one', name: 'n' }], n: 'BIG' },
  }
  const done = await ask('tasks/get', { taskId }, { path })
  assert.ok(done.body.includes('"uri":"note://one"') && done.body.includes(`"n":${BIG}`))
  server.answers['tasks/cancel'] = { resultType: 'complete' }
  assert.deepEqual(resultOf(await ask('tasks/cancel', { taskId }, { path })), { resultType: 'complete' })
  assert.equal(server.came('tasks/cancel')[0]?.params['taskId'], ID)
})

test('a task lives longer than the session of its host', async () => {
  const taskId = await begin({ token: gate.mint({ sid: 'one' }) })
  const later = await ask('tasks/get', { taskId }, { token: gate.mint({ sid: 'two' }) })
  assert.equal(resultOf(later)['status'], 'working')
})

test('for another principal, on another endpoint and forged an id is one and the same unknown task', async () => {
  verifies('bridge.tasks')
  const taskId = await begin()
  const bare = await begin({ path: '/mcp/fix' })
  server.seen.length = 0
  const tries: [string, Asking][] = [
    [taskId, { token: gate.mint({ subject: 'eve' }) }],
    [taskId, { token: gate.mint({ clientId: 'other-agent' }) }],
    [taskId, { path: '/mcp/fix' }],
    [taskId, { path: '/mcp/plain' }],
    [bare, {}],
    [`${taskId.slice(0, -2)}AA`, {}],
    [ID, {}],
  ]
  for (const [id, options] of tries)
    for (const method of ['tasks/get', 'tasks/update', 'tasks/cancel']) {
      const refused = await ask(method, { taskId: id, inputResponses: {} }, options)
      const { code, message } = errorOf(refused)
      assert.deepEqual([refused.status, code, message], [400, -32602, 'the task is not known'])
    }
  assert.deepEqual(server.seen, [])
  assert.equal(resultOf(await ask('tasks/get', { taskId }))['status'], 'working')
})

test('a host that does not declare tasks with the request is told what is missing, a legacy one knows no such method', async () => {
  verifies('bridge.tasks')
  const taskId = await begin()
  for (const method of ['tasks/get', 'tasks/update', 'tasks/cancel']) {
    const refused = await ask(method, { taskId, inputResponses: {} }, { capabilities: {} })
    assert.equal(refused.status, 400)
    assert.equal(errorOf(refused).code, -32021)
    assert.deepEqual(errorOf(refused).data?.['requiredCapabilities'], TASKS)
    const legacy = await gate.rpc(method, { taskId })
    assert.equal(errorOf(legacy).code, -32601)
  }
  assert.deepEqual(errorOf(await ask('tasks/update', { taskId })).code, -32602)
  assert.equal(server.came('tasks/get').length, 0)
})

test('a task that was not declared to the server is a broken protocol, whoever did not declare it', async () => {
  verifies('bridge.capability-rule')
  const call = (name: string, capabilities?: object): Promise<HttpAnswer> =>
    ask('tools/call', { name, arguments: {} }, capabilities === undefined ? {} : { capabilities })
  for (const answer of [
    await call('plain__look'),
    await call('old__look'),
    await call('old__look', {}),
    await call('fix__look', {}),
    await gate.rpc('tools/call', { name: 'fix__look', arguments: {} }),
  ])
    assert.match(answer.body, /CG_UPSTREAM_PROTOCOL/)
  assert.match((await call('plain__job')).body, /CG_UPSTREAM_UNKNOWN_FATE/)
  const told = (request: SeenRequest | undefined): unknown => {
    const meta = request?.params['_meta'] as Record<string, unknown> | undefined
    return meta?.[CAPABILITIES]
  }
  const declared = [...plain.came('tools/call'), server.came('tools/call')[0]].map(told)
  assert.deepEqual(declared, [{}, {}, { roots: {} }])
  // One connection serves a host with tasks and without: they differ in nothing that this server is told.
  assert.equal(old.came('initialize').length, 1)
  for (const { params } of old.came('initialize')) assert.deepEqual(params['capabilities'], {})
  assert.equal((await begin()).includes(ID), false)
  assert.deepEqual(told(server.came('tools/call').at(-1)), { ...TASKS, elicitation: { form: {} }, roots: {} })
})

test('a legacy host that says the extension is not taken at its word', async () => {
  const token = gate.mint({ subject: 'legacy' })
  const headers = {
    authorization: `Bearer ${token}`,
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
  }
  const post = (message: object, more = {}): Promise<HttpAnswer> =>
    gate.http('POST', '/mcp', { ...headers, ...more }, JSON.stringify({ jsonrpc: '2.0', id: 1, ...message }))
  const params = {
    protocolVersion: '2025-11-25',
    capabilities: TASKS,
    clientInfo: { name: 'h', version: '1' },
  }
  const hello = await post({ method: 'initialize', params })
  assert.equal(resultOf(hello)['capabilities'] instanceof Object, true)
  assert.doesNotMatch(hello.body, /io\.modelcontextprotocol\/tasks/)
  const session = { 'mcp-session-id': String(hello.headers['mcp-session-id']) }
  const answer = await post(
    { method: 'tools/call', params: { name: 'fix__look', arguments: {} } },
    { ...session, 'mcp-protocol-version': '2025-11-25' },
  )
  assert.match(answer.body, /CG_UPSTREAM_PROTOCOL/)
})

test('discovery shows tasks where a server offers them and the operator grants them', async () => {
  const shown = async (path: string): Promise<unknown> =>
    (resultOf(await ask('server/discover', {}, { path }))['capabilities'] as { extensions?: unknown })
      .extensions
  assert.deepEqual(await shown('/mcp'), TASKS.extensions)
  assert.deepEqual(await shown('/mcp/fix'), TASKS.extensions)
  assert.equal(await shown('/mcp/plain'), undefined)
  assert.equal(await shown('/mcp/old'), undefined)
})

test('`Mcp-Name` must be the id that the body holds', async () => {
  const taskId = await begin()
  for (const named of [ID, '']) {
    const refused = await ask('tasks/get', { taskId }, { headers: { 'mcp-name': named } })
    assert.equal(errorOf(refused).code, -32020)
  }
})

test('questions about roots are answered by the gate alone, after its intent is recorded', async () => {
  const taskId = await begin()
  server.answers['tasks/update'] = { resultType: 'complete' }
  server.answers['tasks/get'] = {
    ...STATE,
    status: 'input_required',
    inputRequests: { r: ROOTS, name: FORM },
  }
  const both = resultOf(await ask('tasks/get', { taskId }))
  assert.deepEqual(both['inputRequests'], { name: FORM })
  assert.equal(both['status'], 'input_required')
  assert.deepEqual(server.came('tasks/update')[0]?.params['inputResponses'], {
    r: { roots: [{ uri: 'file:///srv' }] },
  })
  server.answers['tasks/get'] = { ...STATE, status: 'input_required', inputRequests: { r: ROOTS } }
  const alone = resultOf(await ask('tasks/get', { taskId }))
  assert.deepEqual([alone['status'], alone['inputRequests']], ['working', undefined])
  // Counted refusals of the tests before may be written at any time.
  const calls = (await gate.records()).map(({ record }) => record.kind).filter((kind) => kind !== 'refusals')
  assert.deepEqual(calls.slice(-2), ['intent', 'outcome'])
})

test('what a poll may not bring breaks the protocol: another task, an undeclared question, a wrong type', async () => {
  verifies('bridge.tasks')
  const taskId = await begin()
  const { ttlMs: _, ...timeless } = STATE
  const wrong: Record<string, unknown>[] = [
    { ...STATE, taskId: 'another' },
    { ...STATE, resultType: 'task' },
    { ...STATE, status: 'input_required' },
    {
      ...STATE,
      status: 'input_required',
      inputRequests: {
        s: { method: 'sampling/createMessage', params: { messages: [], maxTokens: 1 } },
      },
    },
    { ...STATE, status: 'dreaming' },
    { ...STATE, status: 'completed' },
    { ...STATE, status: 'completed', result: { resultType: 'input_required' } },
    { ...STATE, status: 'failed', error: 'no' },
    {
      ...STATE,
      status: 'failed',
      error: {
        code: -32042,
        message: 'm',
        data: { elicitations: [{ mode: 'url', message: 'm', url: 'https://evil.example/' }] },
      },
    },
    { ...STATE, createdAt: 'now' },
    { ...STATE, statusMessage: 1 },
    { ...STATE, pollIntervalMs: 0.5 },
    timeless,
  ]
  for (const answer of wrong) {
    server.answers['tasks/get'] = answer
    assert.equal(
      errorOf(await ask('tasks/get', { taskId })).data?.['code'],
      'CG_UPSTREAM_PROTOCOL',
      JSON.stringify(answer),
    )
  }
  for (const id of ['x'.repeat(1_023), '', 7]) {
    server.answers['tools/call'] = { ...TASK, resultType: 'task', taskId: id }
    assert.match(
      (await ask('tools/call', { name: 'fix__look', arguments: {} })).body,
      /CG_UPSTREAM_PROTOCOL/,
      String(id),
    )
  }
  const longest = 'x'.repeat(1_022)
  server.answers['tools/call'] = { ...TASK, resultType: 'task', taskId: longest }
  server.answers['tasks/get'] = { ...STATE, taskId: longest, statusMessage: 'm'.repeat(2_000), ttlMs: null }
  const near = resultOf(await ask('tasks/get', { taskId: await begin() }))
  assert.equal(String(near['statusMessage']).length, 1_024)
})

test('the fate of an update follows the class of its tool, and an error of the server goes on as it came', async () => {
  const taskId = await begin()
  server.answers['tasks/cancel'] = { resultType: 'task', ...TASK }
  assert.equal(errorOf(await ask('tasks/cancel', { taskId })).data?.['code'], 'CG_UPSTREAM_UNKNOWN_FATE')
  server.answers['tasks/get'] = { code: -32602, message: 'expired' }
  assert.deepEqual(errorOf(await ask('tasks/get', { taskId })), { code: -32602, message: 'expired' })
})

test('what is done with a task is recorded as done with its tool, an update before it happens, and all of it verifies', async () => {
  verifies('bridge.tasks')
  const taskId = await begin()
  server.answers['tasks/cancel'] = { resultType: 'complete' }
  const before = (await gate.records()).length
  await ask('tasks/get', { taskId })
  await ask('tasks/cancel', { taskId })
  const records = (await gate.records()).slice(before).map(({ record }) => record)
  const told = records.flatMap((record) =>
    record.kind === 'intent' || record.kind === 'outcome'
      ? [[record.kind, record.call.method, record.call.server, record.call.tool, record.call.class]]
      : [],
  )
  assert.deepEqual(told, [
    ['outcome', 'tasks/get', 'fix', 'job', 'read'],
    ['intent', 'tasks/cancel', 'fix', 'job', 'write'],
    ['outcome', 'tasks/cancel', 'fix', 'job', 'write'],
  ])
  const verified = await gate.verify()
  assert.deepEqual(verified.problems, [])
})

test('a principal who lost the tool by a change of policy has lost its tasks', async () => {
  verifies('bridge.tasks')
  const taskId = await begin()
  const file = join(gate.folder, 'policy.yaml')
  const judged = async (code: string | undefined): Promise<void> => {
    for (let i = 0; i < 50; i++) {
      const answer = await ask('tasks/get', { taskId })
      if (errorOf(answer).data?.['code'] === code) return
      await sleep(100)
    }
    assert.fail(`the task was never judged as ${code}`)
  }
  writeFileSync(file, `${POLICY}- rule: no-jobs\n  when: { tool: fix.job, class: write }\n  decision: deny\n`)
  await judged('CG_POLICY_NO_ALLOW')
  server.seen.length = 0
  for (const method of ['tasks/update', 'tasks/cancel'])
    assert.equal(
      errorOf(await ask(method, { taskId, inputResponses: {} })).data?.['code'],
      'CG_POLICY_NO_ALLOW',
    )
  assert.deepEqual(server.seen, [])
  writeFileSync(file, POLICY)
  await judged(undefined)
})
