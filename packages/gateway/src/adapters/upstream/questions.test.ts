import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { InputRequests, InputResponses } from '../../call/input.ts'
import type { Json, JsonObject } from '../../call/json.ts'
import { Refusal } from '../../call/refusal.ts'
import { registry } from '../../errors/registry.ts'
import type { RpcId } from '../../mcp/jsonrpc.ts'
import type { HostReach } from '../../ports/upstream.ts'
import { verifies } from '../../testing/verifies.ts'
import { endQuestions, Questions, type OpenCall } from './questions.ts'

const UNREACHABLE = registry.CG_HOST_UNREACHABLE.rpc
const FORM = {
  message: 'Which region?',
  requestedSchema: { type: 'object', properties: { region: { type: 'string' } } },
}
const VISIT = { mode: 'url', message: 'Sign in', url: 'https://login.example/', elicitationId: 'e1' }
const SAMPLE = { messages: [{ role: 'user', content: { type: 'text', text: 'hi' } }], maxTokens: 5 }
const EVERYTHING = { elicitation: { form: {}, url: {} }, sampling: {} }

/** A host that waits until the test answers. */
class Host {
  readonly asked: InputRequests[] = []
  readonly signals: AbortSignal[] = []
  readonly #answers: PromiseWithResolvers<InputResponses>[] = []
  readonly reach: HostReach = {
    capabilities: EVERYTHING,
    logLevel: undefined,
    hearsLogs: false,
    onProgress: undefined,
    onLog: undefined,
    ask: (requests, signal) => {
      const answer = Promise.withResolvers<InputResponses>()
      this.asked.push(requests)
      this.signals.push(signal)
      this.#answers.push(answer)
      return answer.promise
    },
  }

  async says(index: number, response: InputResponses[string]): Promise<void> {
    this.#answers[index]?.resolve({ '1': response })
    await settled()
  }

  async accepts(index = 0): Promise<void> {
    await this.says(index, { kind: 'result', result: { action: 'accept', content: { region: 'eu' } } })
  }

  async refuses(cause: unknown): Promise<void> {
    this.#answers[0]?.reject(cause)
    await settled()
  }
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** A connection with some calls in flight. */
function connection(capabilities: JsonObject = EVERYTHING, roots?: readonly string[]) {
  const calls = new Map<number, OpenCall>()
  const replies: JsonObject[] = []
  const questions = new Questions({ server: 'crm', capabilities, roots }, calls, (bytes) => {
    replies.push(JSON.parse(bytes.toString()))
  })
  return {
    replies,
    calls,
    questions,
    call(host: Host | undefined, method = 'tools/call'): OpenCall {
      const call = { id: calls.size + 1, method, host: host?.reach, questions: undefined }
      calls.set(call.id, call)
      return call
    },
    asks(id: RpcId, method: string, params: Json, own?: OpenCall, version = '2025-11-25'): void {
      const bytes = Buffer.from(JSON.stringify(params))
      questions.answer({ kind: 'request', id, method, params: bytes }, own, version)
    },
  }
}

function errorOf(reply: JsonObject | undefined): [RpcId, number, string] {
  assert.ok(reply !== undefined && 'error' in reply, JSON.stringify(reply))
  const { id, error } = reply
  assert.ok(typeof error === 'object' && error !== null && 'code' in error && 'message' in error)
  return [typeof id === 'number' ? id : String(id), Number(error.code), String(error.message)]
}

test('a question on the stream of a call is asked of the host of that call, and its answer goes to the server', async () => {
  verifies('bridge.server-questions')
  const { calls, call, asks, replies } = connection()
  const [own, younger] = [new Host(), new Host()]
  const first = call(own)
  call(younger)
  asks('q', 'elicitation/create', FORM, first)
  assert.deepEqual(own.asked, [{ '1': { method: 'elicitation/create', params: { mode: 'form', ...FORM } } }])
  assert.deepEqual([younger.asked, replies], [[], []])
  await own.accepts()
  assert.deepEqual(replies, [
    { jsonrpc: '2.0', id: 'q', result: { action: 'accept', content: { region: 'eu' } } },
  ])
  assert.equal(calls.size, 2)
})

test('a question beside all streams is asked on behalf of the youngest call that may ask', async () => {
  const { call, asks } = connection()
  const [older, youngest, lists] = [new Host(), new Host(), new Host()]
  call(older)
  call(youngest, 'prompts/get')
  call(lists, 'tools/list')
  call(undefined)
  asks(0, 'sampling/createMessage', SAMPLE)
  assert.deepEqual(
    [older, youngest, lists].map((host) => host.asked.length),
    [0, 1, 0],
  )
})

test('with no call in flight whose host can be asked the server gets an error of ours, out of the range of the protocol', () => {
  const { call, asks, replies } = connection()
  asks(1, 'elicitation/create', FORM)
  const hostless = call(undefined)
  asks(2, 'elicitation/create', FORM, hostless)
  assert.deepEqual(
    replies.map((reply) => errorOf(reply).slice(0, 2)),
    [
      [1, UNREACHABLE],
      [2, UNREACHABLE],
    ],
  )
  assert.ok(UNREACHABLE > -32000)
})

const cases: readonly (readonly [string, JsonObject, string, JsonObject, number | undefined])[] = [
  ['a form with nothing declared', {}, 'elicitation/create', FORM, -32601],
  ['a form with sampling declared', { sampling: {} }, 'elicitation/create', FORM, -32601],
  ['sampling with forms declared', { elicitation: {} }, 'sampling/createMessage', SAMPLE, -32601],
  ['a URL with forms declared', { elicitation: { form: {} } }, 'elicitation/create', VISIT, -32602],
  ['a form with URLs declared', { elicitation: { url: {} } }, 'elicitation/create', FORM, -32602],
  ['tools in sampling', { sampling: {} }, 'sampling/createMessage', { ...SAMPLE, tools: [] }, -32602],
  ['a form without a message', { elicitation: {} }, 'elicitation/create', { mode: 'form' }, -32602],
  ['another method', EVERYTHING, 'tasks/get', {}, -32601],
  ['roots where the operator set none', EVERYTHING, 'roots/list', {}, -32601],
  ['a form with forms declared', { elicitation: { form: {} } }, 'elicitation/create', FORM, undefined],
  ['a form, declared as before 2025-11-25', { elicitation: {} }, 'elicitation/create', FORM, undefined],
  ['a URL with URLs declared', { elicitation: { url: {} } }, 'elicitation/create', VISIT, undefined],
  ['sampling with sampling declared', { sampling: {} }, 'sampling/createMessage', SAMPLE, undefined],
]
for (const [what, capabilities, method, params, code] of cases) {
  test(`${what} is ${code === undefined ? 'asked' : `refused with ${code}`}`, () => {
    verifies('bridge.capability-rule')
    const { call, asks, replies } = connection(capabilities)
    const host = new Host()
    asks(7, method, params, call(host))
    assert.equal(host.asked.length, code === undefined ? 1 : 0)
    assert.deepEqual(
      replies.map((reply) => errorOf(reply)[1]),
      code === undefined ? [] : [code],
    )
  })
}

test('roots are those of the operator and no host is asked; ping is answered by the gate', () => {
  const { call, asks, replies } = connection(EVERYTHING, ['file:///srv/only'])
  const host = new Host()
  asks(1, 'roots/list', {}, call(host))
  asks(2, 'ping', {})
  assert.deepEqual(replies, [
    { jsonrpc: '2.0', id: 1, result: { roots: [{ uri: 'file:///srv/only' }] } },
    { jsonrpc: '2.0', id: 2, result: {} },
  ])
  assert.equal(host.asked.length, 0)
})

test('what the gate refuses is told by its code and safe sentence; any other failure says nothing of itself', async () => {
  const failures: readonly (readonly [unknown, number, string])[] = [
    [new Refusal('CG_HOST_SILENT'), registry.CG_HOST_SILENT.rpc, registry.CG_HOST_SILENT.publicText],
    [new Refusal('CG_HOST_UNREACHABLE', { publicText: 'safe' }), UNREACHABLE, 'safe'],
    [new Error('a secret'), UNREACHABLE, registry.CG_HOST_UNREACHABLE.publicText],
  ]
  for (const [cause, code, text] of failures) {
    const { call, asks, replies } = connection()
    const host = new Host()
    asks(1, 'elicitation/create', FORM, call(host))
    await host.refuses(cause)
    assert.deepEqual(errorOf(replies[0]), [1, code, text])
  }
  const { call, asks, replies } = connection()
  const own = call(new Host())
  const throwing: OpenCall = {
    ...own,
    host: {
      ...new Host().reach,
      ask: () => {
        throw new Refusal('CG_HOST_UNREACHABLE')
      },
    },
  }
  asks(1, 'elicitation/create', FORM, throwing)
  await settled()
  assert.equal(errorOf(replies[0])[1], UNREACHABLE)
})

test('an error of the host reaches the server as the host said it', async () => {
  const { call, asks, replies } = connection()
  const host = new Host()
  asks(1, 'sampling/createMessage', SAMPLE, call(host))
  await host.says(0, { kind: 'error', code: -1, message: 'User rejected sampling request' })
  assert.deepEqual(errorOf(replies[0]), [1, -1, 'User rejected sampling request'])
})

test('an answer with several parts is an error for a server of before 2025-11-25, with one part it is that part', async () => {
  const part = { type: 'text', text: 'hi' }
  const answer = (content: Json): InputResponses[string] => ({
    kind: 'result',
    result: { role: 'assistant', model: 'm', content },
  })
  for (const [content, version, expected] of [
    [[part], '2025-06-18', part],
    [[part, part], '2025-11-25', [part, part]],
    [[part, part], '2025-06-18', undefined],
  ] as const) {
    const { call, asks, replies } = connection()
    const host = new Host()
    asks(1, 'sampling/createMessage', SAMPLE, call(host), version)
    await host.says(0, answer(content))
    const result = replies[0]?.['result']
    assert.deepEqual(
      typeof result === 'object' && result !== null && 'content' in result ? result.content : undefined,
      expected,
    )
  }
})

test('eight questions of one call wait at once, the ninth is refused until one is answered; another call has its own eight', async () => {
  const { call, asks, replies } = connection()
  const host = new Host()
  const own = call(host)
  for (let id = 1; id <= 9; id++) asks(id, 'elicitation/create', FORM, own)
  assert.equal(host.asked.length, 8)
  assert.deepEqual(errorOf(replies[0]).slice(0, 2), [9, UNREACHABLE])
  asks(9, 'elicitation/create', FORM, call(host))
  assert.equal(host.asked.length, 9)
  await host.accepts(3)
  asks(10, 'elicitation/create', FORM, own)
  assert.equal(host.asked.length, 10)
})

test('a second question with the id of one that waits is refused, and the first is answered once', async () => {
  const { call, asks, replies } = connection()
  const host = new Host()
  const own = call(host)
  asks(1, 'elicitation/create', FORM, own)
  asks(1, 'sampling/createMessage', SAMPLE, own)
  assert.deepEqual(errorOf(replies[0]).slice(0, 2), [1, -32600])
  await host.accepts()
  assert.equal(replies.length, 2)
  assert.equal(host.asked.length, 1)
})

test('a question that the server withdraws is taken from the host, and gets no answer even if the host gives one', async () => {
  const { call, asks, replies, questions } = connection()
  const host = new Host()
  asks('q', 'elicitation/create', FORM, call(host))
  questions.withdraw('other')
  assert.equal(host.signals[0]?.aborted, false)
  questions.withdraw('q')
  assert.equal(host.signals[0]?.aborted, true)
  await host.accepts()
  assert.deepEqual(replies, [])
})

test('with the end of a call its questions are taken from the host, and the server gets an error for each', async () => {
  const { call, asks, replies } = connection()
  const host = new Host()
  const own = call(host)
  asks(1, 'elicitation/create', FORM, own)
  asks(2, 'elicitation/create', FORM, own)
  endQuestions(own)
  await settled()
  assert.ok(host.signals.every((signal) => signal.aborted))
  assert.deepEqual(
    replies.map((reply) => errorOf(reply).slice(0, 2)),
    [
      [1, UNREACHABLE],
      [2, UNREACHABLE],
    ],
  )
  await host.accepts()
  assert.equal(replies.length, 2)
})
