import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type { InputRequests } from '../call/input.ts'
import { isJsonObject, type JsonObject } from '../call/json.ts'
import { Refusal } from '../call/refusal.ts'
import { createRequestStates } from '../stages/forward/request-state.ts'
import { receivedCall } from '../testing/calls.ts'
import { memoryKeyRing } from '../testing/key-ring.ts'
import { verifies } from '../testing/verifies.ts'
import { CallLink, type LinkOptions, PARKED } from './call-link.ts'
import type { Channel } from './channel.ts'
import { Questions } from './questions.ts'
import type { Request } from './turn.ts'

const FORM = { mode: 'form', message: 'your name', requestedSchema: { type: 'object', properties: {} } }
const ONE: InputRequests = { a: { method: 'elicitation/create', params: FORM } }
const CALL = { id: 'call', session: 'mine', binding: 'binding' }

/** The way back to a host that keeps what it was sent. */
class FakeChannel implements Channel {
  readonly place = undefined
  readonly sent: JsonObject[] = []
  readonly listeners: (() => void)[] = []
  streams = true

  reply(status: number, body: Buffer): void {
    assert.equal(status, 200)
    this.#keep(body)
    this.streams = false
  }
  push(message: Buffer): boolean {
    if (this.streams) this.#keep(message)
    return this.streams
  }
  onGone(listener: () => void): void {
    this.listeners.push(listener)
  }
  /** The host closes the stream. */
  goes(): void {
    this.streams = false
    for (const listener of this.listeners) listener()
  }
  accept = (): never => assert.fail('not accepted')
  refuse = (): never => assert.fail('not refused')
  keepAlive = (): undefined => undefined

  #keep(message: Buffer): void {
    const value: unknown = JSON.parse(message.toString())
    assert.ok(isJsonObject(value))
    this.sent.push(value)
  }
}

/** The link of one call, with everything around it in memory. */
function linked(era: 'legacy' | 'modern', change: Partial<LinkOptions> = {}) {
  const channel = new FakeChannel()
  const questions = new Questions()
  const states = createRequestStates(memoryKeyRing(), () => 1_000)
  const waits: string[] = []
  const gone: string[] = []
  const { caller } = receivedCall()
  const request: Request = {
    channel,
    endpoint: caller.endpoint,
    caller,
    message: {
      id: 1,
      method: 'tools/call',
      params: {},
      meta: {},
      argsBytes: Buffer.alloc(0),
      exactNumbers: true,
    },
    id: 1,
    spoken: { era, version: era === 'modern' ? '2026-07-28' : '2025-11-25' },
    agreed: undefined,
    rawHeaders: [],
  }
  const services = {
    questions,
    states,
    wait: (call: string) => {
      waits.push(call)
      return () => void waits.push(`${call} ended`)
    },
    gone: (call: string) => void gone.push(call),
  }
  const options = { capabilities: {}, logLevel: undefined, progressToken: undefined, ...change }
  return { link: new CallLink(request, services, options), channel, questions, states, waits, gone }
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error: unknown = await promise.then(
    () => 'answered',
    (thrown: unknown) => thrown,
  )
  return error instanceof Refusal ? error.code : String(error)
}

const signal = (): AbortSignal => new AbortController().signal
const yes = { kind: 'result', result: { action: 'accept' } } as const

test('a legacy host is asked by a request on the stream of its call, and the call waits meanwhile', async () => {
  verifies('bridge.answers')
  const { link, channel, questions, waits } = linked('legacy')
  const answers = link.ask(ONE, CALL, signal())
  const [asked] = channel.sent
  assert.deepEqual(
    { ...asked, id: '' },
    { jsonrpc: '2.0', id: '', method: 'elicitation/create', params: FORM },
  )
  assert.deepEqual(waits, ['call'])
  assert.equal(questions.answer('theirs', String(asked?.['id']), yes), false)
  assert.equal(questions.answer('mine', String(asked?.['id']), yes), true)
  assert.deepEqual(await answers, { a: yes })
  assert.deepEqual(waits, ['call', 'call ended'])
})

test('a host that goes ends its questions, however many, by one listener; so does the end of the call', async () => {
  verifies('bridge.disconnect')
  const { link, channel } = linked('legacy')
  const asks = Array.from({ length: 20 }, () => link.ask(ONE, CALL, signal()))
  assert.equal(channel.listeners.length, 1)
  channel.goes()
  assert.deepEqual(new Set(await Promise.all(asks.map(codeOf))), new Set(['CG_HOST_SILENT']))

  const other = linked('legacy')
  const end = new AbortController()
  const ask = other.link.ask(ONE, CALL, end.signal)
  end.abort()
  assert.equal(await codeOf(ask), 'CG_HOST_SILENT')
  const [asked, cancelled] = other.channel.sent
  assert.deepEqual(cancelled, {
    jsonrpc: '2.0',
    method: 'notifications/cancelled',
    params: { requestId: asked?.['id'] },
  })
})

test('a legacy host without a stream cannot be asked', async () => {
  const { link, channel } = linked('legacy')
  channel.streams = false
  assert.equal(await codeOf(link.ask(ONE, CALL, signal())), 'CG_HOST_UNREACHABLE')
  assert.deepEqual(channel.sent, [])
})

test('a modern host is asked by the answer, and its next request carries the call on', async () => {
  verifies('bridge.answers')
  verifies('bridge.parked-state')
  const { link, channel, questions, states, gone } = linked('modern')
  const answers = link.ask(ONE, CALL, signal())
  const [question] = channel.sent
  assert.ok(isJsonObject(question?.['result']))
  const { requestState, ...rest } = question['result']
  assert.deepEqual([question['id'], rest], [1, { resultType: 'input_required', inputRequests: ONE }])
  assert.ok(typeof requestState === 'string' && requestState.startsWith(PARKED))
  const sealed = requestState.slice(PARKED.length)
  assert.equal(states.open(sealed, 'theirs', 'binding'), undefined)
  assert.equal(states.open(sealed, 'mine', 'binding')?.call, 'call')
  assert.equal(link.open, undefined, 'nothing can be answered while the host has the question')

  const back = new FakeChannel()
  const resumed = { channel: back, id: 2, progressToken: undefined, responses: { a: yes, stray: yes } }
  assert.equal(questions.resume('call', 'mine', resumed), true)
  assert.deepEqual(await answers, { a: yes })
  assert.deepEqual(link.open, { channel: back, id: 2 })
  back.goes()
  assert.deepEqual(gone, ['call'])
})

test('what a modern host leaves open is asked again, whatever the server named it', async () => {
  verifies('bridge.mrtr')
  const { link, channel, questions } = linked('modern')
  const request = { method: 'elicitation/create', params: FORM } as const
  const answers = link.ask({ a: request, ['__proto__']: request }, CALL, signal())
  const back = new FakeChannel()
  questions.resume('call', 'mine', { channel: back, id: 2, progressToken: undefined, responses: { a: yes } })
  await turn()
  assert.deepEqual(keysAsked(channel), ['a', '__proto__'])
  assert.deepEqual(keysAsked(back), ['__proto__'])
  const last = new FakeChannel()
  const responses = { ['__proto__']: yes }
  questions.resume('call', 'mine', { channel: last, id: 3, progressToken: undefined, responses })
  assert.deepEqual(Object.entries(await answers), [
    ['a', yes],
    ['__proto__', yes],
  ])
})

function keysAsked({ sent }: FakeChannel): string[] {
  const result = sent[0]?.['result']
  assert.ok(isJsonObject(result) && isJsonObject(result['inputRequests']))
  return Object.keys(result['inputRequests'])
}

test('progress carries the token of the request that the host waits for', async () => {
  verifies('bridge.answers')
  const { link, channel, questions } = linked('modern', { progressToken: 'first' })
  link.progress?.({ progress: 1 })
  const answers = link.ask(ONE, CALL, signal())
  link.progress?.({ progress: 2 })
  const back = new FakeChannel()
  questions.resume('call', 'mine', { channel: back, id: 2, progressToken: 'second', responses: { a: yes } })
  await answers
  link.progress?.({ progress: 3 })
  const tokens = (sent: readonly JsonObject[]) =>
    sent.flatMap(({ params }) =>
      isJsonObject(params) ? [[params['progress'], params['progressToken']]] : [],
    )
  assert.deepEqual([tokens(channel.sent), tokens(back.sent)], [[[1, 'first']], [[3, 'second']]])
})

test('a host that asked for no progress, or takes no stream, gets none', () => {
  assert.equal(linked('legacy').link.progress, undefined)
  assert.notEqual(linked('legacy', { progressToken: 0 }).link.progress, undefined)
})

test('log messages reach a modern host from the severity on that its request named, a legacy one as they come', () => {
  verifies('bridge.answers')
  for (const [era, logLevel, levels] of [
    ['modern', undefined, []],
    ['modern', 'warning', ['warning', 'error']],
    ['legacy', undefined, ['debug', 'warning', 'error']],
  ] as const) {
    const { link, channel } = linked(era, { logLevel })
    for (const level of ['debug', 'warning', 'error']) link.log({ level, data: 'x' })
    const told = channel.sent.map(({ params }) => (isJsonObject(params) ? params['level'] : undefined))
    assert.deepEqual(told, levels)
  }
})

test('a modern host is not given a question that its call cannot wait for', async () => {
  verifies('bridge.answers')
  const { link, channel } = linked('modern')
  assert.equal(await codeOf(link.ask(ONE, CALL, AbortSignal.abort())), 'CG_HOST_SILENT')
  assert.deepEqual(channel.sent, [])
  assert.equal(link.open?.channel, channel, 'the call can still be answered')
})
