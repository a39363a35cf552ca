import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AnsweredCall, RecordedCall } from '../../call/call.ts'
import type { HostLink, InputRequests, InputResponses } from '../../call/input.ts'
import { type JsonObject, isJsonObject, member } from '../../call/json.ts'
import { Refusal } from '../../call/refusal.ts'
import { MAX_ROUNDS, createForwardStage, type ForwardOptions } from './forward.ts'
import type { Upstream, UpstreamRequest } from '../../ports/upstream.ts'
import { answerOf, onceCall } from '../../testing/calls.ts'
import { memoryKeyRing } from '../../testing/key-ring.ts'
import { verifies } from '../../testing/verifies.ts'
import { createRequestStates } from './request-state.ts'
import { createTaskIds } from './task-ids.ts'

const NOW = 1_800_000_000_000
const FORM = {
  method: 'elicitation/create',
  params: {
    mode: 'form',
    message: 'Which account?',
    requestedSchema: { type: 'object', properties: { name: { type: 'string' } } },
  },
}
const URL_VISIT = {
  method: 'elicitation/create',
  params: { mode: 'url', message: 'Log in', url: 'https://crm.example/login' },
}
const ROOTS = { method: 'roots/list', params: {} }
const ACCEPTED = { action: 'accept', content: { name: 'Ada' } }
const OPERATORS = { roots: [{ uri: 'file:///srv' }] }
const HOSTS = { roots: [{ uri: 'file:///home/eve' }] }
const ALL = { elicitation: { form: {}, url: {} }, sampling: {}, roots: {} }

/** A server that answers with these results, one after the other, and what it was asked. */
class Script {
  readonly requests: UpstreamRequest[] = []
  readonly #answers: readonly JsonObject[]

  constructor(...answers: readonly JsonObject[]) {
    this.#answers = answers
  }

  get upstream(): Upstream {
    const nobody = (): never => assert.fail('not asked')
    return {
      request: (request) => {
        this.requests.push(request)
        const value = this.#answers[Math.min(this.requests.length, this.#answers.length) - 1] ?? {}
        const kind = Object.hasOwn(value, 'code') ? 'error' : 'result'
        return Promise.resolve({ ...answerOf(value), kind })
      },
      describe: nobody,
      listen: nobody,
      onToolsChanged: nobody,
      close: nobody,
    }
  }

  /** What came with the last request. */
  get responses(): JsonObject | undefined {
    const bytes = this.requests.at(-1)?.retry?.inputResponses
    return bytes === undefined ? undefined : (JSON.parse(bytes.toString()) as JsonObject)
  }
}

const asks = (inputRequests: JsonObject, requestState?: string): JsonObject => ({
  resultType: 'input_required',
  inputRequests,
  ...(requestState === undefined ? {} : { requestState }),
})

function hostThat(
  answers: InputResponses,
  { capabilities = ALL, asked = [] }: { capabilities?: JsonObject; asked?: InputRequests[] } = {},
): HostLink {
  return {
    capabilities,
    logLevel: undefined,
    progress: undefined,
    log: () => undefined,
    ask(requests) {
      asked.push(requests)
      return Promise.resolve(answers)
    },
  }
}

const called = (change: Partial<RecordedCall>): RecordedCall => ({
  ...onceCall({ class: 'read', ...change }),
  recorded: 'outcome-only',
  ...change,
})

const legacyCall = (host: HostLink): RecordedCall =>
  called({ era: 'legacy', protocolVersion: '2025-11-25', host })
const modernCall = (host: HostLink, retry?: RecordedCall['retry']): RecordedCall =>
  called({ era: 'modern', protocolVersion: '2026-07-28', host, retry })

const states = createRequestStates(memoryKeyRing(), () => NOW)

function forwardTo(script: Script, change: Partial<ForwardOptions> = {}) {
  return createForwardStage({
    upstream: script.upstream,
    states,
    taskIds: createTaskIds(memoryKeyRing()),
    declared: (_, { roots: _roots, ...host }) => host,
    roots: () => undefined,
    logLevel: () => undefined,
    recordIntent: () => Promise.resolve(),
    ...change,
  })
}

async function run(
  script: Script,
  call: RecordedCall,
  change?: Partial<ForwardOptions>,
): Promise<JsonObject> {
  const { answer }: AnsweredCall = await forwardTo(script, change).run(call, new AbortController().signal)
  return answer.value
}

async function refused(
  script: Script,
  call: RecordedCall,
  change?: Partial<ForwardOptions>,
): Promise<string> {
  const error: unknown = await run(script, call, change).then(
    () => assert.fail('answered'),
    (thrown: unknown) => thrown,
  )
  assert.ok(error instanceof Refusal, String(error))
  return error.code
}

function stateIn(value: JsonObject): string {
  const state = member(value, 'requestState')
  assert.ok(typeof state === 'string', JSON.stringify(value))
  return state
}

test('a legacy host is asked, and the server gets its answers with its own state', async () => {
  verifies('bridge.mrtr')
  const script = new Script(asks({ who: FORM }, 'server-state'), { content: [] })
  const asked: InputRequests[] = []
  const host = hostThat({ who: { kind: 'result', result: ACCEPTED } }, { asked })
  assert.deepEqual(await run(script, legacyCall(host)), { content: [] })
  assert.deepEqual(Object.keys(asked[0] ?? {}), ['who'])
  assert.deepEqual(script.responses, { who: ACCEPTED })
  assert.equal(script.requests[1]?.retry?.requestState, 'server-state')
})

test('a server may ask again, but not for ever', async () => {
  const host = hostThat({ who: { kind: 'result', result: ACCEPTED } })
  const questions = Array.from({ length: MAX_ROUNDS }, () => asks({ who: FORM }))
  assert.deepEqual(await run(new Script(...questions, { content: [] }), legacyCall(host)), { content: [] })
  const endless = new Script(asks({ who: FORM }))
  assert.equal(await refused(endless, legacyCall(host)), 'CG_UPSTREAM_PROTOCOL')
  assert.equal(endless.requests.length, MAX_ROUNDS + 1)
})

test('of a read that asks an intent is durable first, once a call, and without one nobody is asked', async () => {
  verifies('call.intent-first')
  const order: string[] = []
  const host: HostLink = {
    ...hostThat({}),
    ask() {
      order.push('asked')
      return Promise.resolve({ who: { kind: 'result', result: ACCEPTED } })
    },
  }
  const recordIntent = async (): Promise<void> => {
    await Promise.resolve()
    order.push('recorded')
  }
  const twice = new Script(asks({ who: FORM }), asks({ who: FORM }), { content: [] })
  await run(twice, legacyCall(host), { recordIntent })
  assert.deepEqual(order, ['recorded', 'asked', 'asked'])

  order.length = 0
  const down = (): Promise<void> =>
    Promise.reject(new Refusal('CG_EVIDENCE_UNAVAILABLE', { internal: 'full' }))
  const script = new Script(asks({ who: FORM }))
  assert.equal(await refused(script, legacyCall(host), { recordIntent: down }), 'CG_EVIDENCE_UNAVAILABLE')
  assert.deepEqual(order, [])

  // What has an intent already needs no second one.
  const write = { ...legacyCall(host), recorded: 'intent' as const }
  await run(new Script(asks({ who: FORM }), { content: [] }), write, { recordIntent: down })
  assert.deepEqual(order, ['asked'])
})

test('a legacy server that asks in the middle of a read has the intent first as well', async () => {
  const order: string[] = []
  const script = new Script({ content: [] })
  const { upstream } = script
  const asking: Upstream = {
    ...upstream,
    async request(request, signal) {
      await request.host?.ask({ '1': { method: 'elicitation/create', params: FORM.params } }, signal)
      return upstream.request(request, signal)
    },
  }
  const host: HostLink = {
    ...hostThat({}),
    ask() {
      order.push('asked')
      return Promise.resolve({ '1': { kind: 'result', result: ACCEPTED } })
    },
  }
  const recordIntent = async (): Promise<void> => void order.push('recorded')
  await run(script, legacyCall(host), { upstream: asking, recordIntent })
  assert.deepEqual(order, ['recorded', 'asked'])
})

test('roots are the operator’s: without any a server that asks for them breaks the protocol, whatever the host declared', async () => {
  verifies('bridge.capability-rule')
  verifies('wire.roots')
  for (const make of [legacyCall, (host: HostLink) => modernCall(host)]) {
    const asked: InputRequests[] = []
    const host = hostThat({ r: { kind: 'result', result: HOSTS } }, { asked })
    assert.equal(await refused(new Script(asks({ r: ROOTS })), make(host)), 'CG_UPSTREAM_PROTOCOL')
    assert.deepEqual(asked, [])
  }
})

test('the operator’s roots answer for every host', async () => {
  verifies('wire.roots')
  const roots = () => ['file:///srv']
  const asked: InputRequests[] = []
  const host = hostThat({}, { asked })
  for (const call of [legacyCall(host), modernCall({ ...host, capabilities: { elicitation: {} } })]) {
    const script = new Script(asks({ r: ROOTS }), { content: [] })
    assert.deepEqual(await run(script, call, { roots }), { content: [] })
    assert.deepEqual(script.responses, { r: OPERATORS })
  }
  assert.deepEqual(asked, [], 'no host was asked')
})

test('a modern host that declared roots sees the question, and its answer is not passed on', async () => {
  verifies('wire.roots')
  const roots = () => ['file:///srv']
  const host = hostThat({})
  const question = await run(new Script(asks({ r: ROOTS, who: FORM }, 'server-state')), modernCall(host), {
    roots,
  })
  assert.deepEqual(Object.keys(member(question, 'inputRequests') as JsonObject), ['r', 'who'])
  assert.notEqual(stateIn(question), 'server-state')

  const script = new Script({ content: [] })
  const retry = { requestState: stateIn(question), responses: { r: HOSTS, who: ACCEPTED, stray: ACCEPTED } }
  await run(script, modernCall(host, retry), { roots })
  assert.deepEqual(script.responses, { r: OPERATORS, who: ACCEPTED })
  assert.equal(script.requests[0]?.retry?.requestState, 'server-state')
})

test('a state opens for the call that it was given to, and for no other', async () => {
  verifies('bridge.mrtr')
  const host = hostThat({})
  const requestState = stateIn(await run(new Script(asks({ who: FORM })), modernCall(host)))
  const retry = { requestState, responses: { who: ACCEPTED } }
  const again = modernCall(host, retry)
  const script = new Script({ content: [] })
  await run(script, again)
  assert.deepEqual(script.responses, { who: ACCEPTED })
  const others: RecordedCall[] = [
    { ...again, session: { ...again.session, id: 'another' } },
    { ...again, args: { other: true } },
    { ...again, requested: 'another' },
    { ...again, retry: { ...retry, requestState: `${requestState.slice(0, -2)}AA` } },
    { ...again, retry: { ...retry, requestState: 'server-state' } },
  ]
  for (const other of others) assert.equal(await refused(new Script({}), other), 'CG_WIRE_STATE')
})

test('an answer that is none is refused, an open one the server asks again', async () => {
  const host = hostThat({})
  const requestState = stateIn(await run(new Script(asks({ who: FORM })), modernCall(host)))
  for (const who of [{ action: 'maybe' }, { content: {} }, 'accept']) {
    const call = modernCall(host, { requestState, responses: { who } })
    assert.equal(await refused(new Script({}), call), 'CG_WIRE_PARAMS')
  }
  const script = new Script({ content: [] })
  await run(script, modernCall(host, { requestState, responses: {} }))
  assert.deepEqual(script.responses, {})
})

test('what a user was sent to a URL for stays there', async () => {
  const host = hostThat({})
  const requestState = stateIn(await run(new Script(asks({ visit: URL_VISIT })), modernCall(host)))
  const script = new Script({ content: [] })
  await run(
    script,
    modernCall(host, { requestState, responses: { visit: { ...ACCEPTED, content: { secret: 'x' } } } }),
  )
  assert.deepEqual(script.responses, { visit: { action: 'accept' } })
})

test('of answers that came before their questions only those pass that the server may ask for', async () => {
  verifies('wire.roots')
  verifies('bridge.capability-rule')
  const sampled = { role: 'assistant', content: { type: 'text', text: 'hi' }, model: 'm' }
  const responses = { a: ACCEPTED, s: sampled, r: HOSTS, x: { anything: 1 } }
  const sent = async (capabilities: JsonObject): Promise<JsonObject | undefined> => {
    const script = new Script({ content: [] })
    const retry = { requestState: undefined, responses }
    await run(script, modernCall(hostThat({}, { capabilities }), retry), { roots: () => ['file:///srv'] })
    return script.responses
  }
  assert.deepEqual(await sent({ elicitation: {} }), { a: ACCEPTED })
  assert.deepEqual(await sent({ elicitation: { url: {} } }), { a: { action: 'accept' } })
  assert.deepEqual(await sent({ sampling: {} }), { s: sampled })
  assert.deepEqual(await sent({ elicitation: {}, sampling: {} }), { a: ACCEPTED, s: sampled })
  assert.equal(await sent({ roots: {} }), undefined)
  assert.equal(await sent({}), undefined)
})

test('an error that asks for a visit is a question to a modern host and an error to a legacy one', async () => {
  verifies('bridge.mrtr')
  const error = {
    code: -32042,
    message: 'log in first',
    data: { elicitations: [{ ...URL_VISIT.params, elicitationId: 'e-1' }] },
  }
  const host = hostThat({})
  const question = await run(new Script(error), modernCall(host))
  const asked = member(question, 'inputRequests')
  assert.ok(isJsonObject(asked))
  assert.deepEqual(Object.values(asked), [{ ...URL_VISIT }])
  assert.deepEqual(await run(new Script(error), legacyCall(host)), error)
  // The call is made anew: that server keeps no state of ours.
  const script = new Script({ content: [] })
  const retry = { requestState: stateIn(question), responses: { '1': { action: 'accept' } } }
  assert.deepEqual(await run(script, modernCall(host, retry)), { content: [] })
  assert.equal(script.requests[0]?.retry?.requestState, undefined)
})
