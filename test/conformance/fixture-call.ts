import { type Json, type JsonObject, isJsonObject, member } from '../../packages/gateway/src/call/json.ts'

/** What a server may ask a host for. */
export type AskMethod = 'elicitation/create' | 'sampling/createMessage' | 'roots/list'

/** The client capability that each question needs. */
export const NEEDED: Readonly<Record<AskMethod, string>> = {
  'elicitation/create': 'elicitation',
  'sampling/createMessage': 'sampling',
  'roots/list': 'roots',
}

/** One question to the host, without an envelope: each era wraps it in its own way. */
export interface Ask {
  readonly method: AskMethod
  readonly params: JsonObject
}

/** The end of one round: a result, or questions and what to remember until they are answered. */
export type Outcome =
  | { readonly result: JsonObject }
  | { readonly ask: Readonly<Record<string, Ask>>; readonly state?: JsonObject }

/**
 * One round of a tool or prompt. It is told the same in both eras: a legacy peer answers questions while its request is
 * open, a modern one repeats the request with the answers.
 */
export interface FixtureCall {
  readonly args: JsonObject
  /** Answers by the key of their question; empty in the first round. */
  readonly inputs: JsonObject
  /** What the round before asked to remember. */
  readonly state: JsonObject | undefined
  /** Capabilities that the client declared. */
  readonly capabilities: JsonObject
  /** Ends when the client cancelled or went away. */
  readonly signal: AbortSignal
  /** Sends progress of 100, if the client asked for it. */
  progress(done: number): void
  /** Sends a log message at level `info`, if the client asked for it. */
  log(data: string): void
  /** Ends the stream of the answer early, where the transport has one that can be resumed. */
  breakOff(): void
}

export type Run = (call: FixtureCall) => Outcome | Promise<Outcome>

/** An error that the protocol itself names. */
export class RpcError extends Error {
  override readonly name = 'RpcError'
  readonly code: number
  readonly data: JsonObject | undefined

  constructor(code: number, message: string, data?: JsonObject) {
    super(message)
    this.code = code
    this.data = data
  }
}

export const INVALID_PARAMS = -32602
export const METHOD_NOT_FOUND = -32601

/** A finished tool call with one text. */
export function text(said: string): Outcome {
  return { result: { content: [{ type: 'text', text: said }] } }
}

/** JSON with the members of every object in order of name: a gateway may write them in another order. */
export function canonical(value: Json): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    isJsonObject(part) ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1))) : part,
  )
}

export function elicit(message: string, properties: JsonObject, required: readonly string[] = []): Ask {
  return {
    method: 'elicitation/create',
    params: {
      message,
      requestedSchema: { type: 'object', properties, ...(required.length === 0 ? {} : { required }) },
    },
  }
}

export function sample(prompt: string, maxTokens = 100): Ask {
  return {
    method: 'sampling/createMessage',
    params: { messages: [{ role: 'user', content: { type: 'text', text: prompt } }], maxTokens },
  }
}

export const ROOTS: Ask = { method: 'roots/list', params: {} }

/** The answer to a question, undefined when it is missing or has not the shape of an answer. */
export function answerTo(call: FixtureCall, key: string, method: AskMethod): JsonObject | undefined {
  const answer = member(call.inputs, key)
  if (!isJsonObject(answer)) return undefined
  const mark = { 'elicitation/create': 'action', 'sampling/createMessage': 'role', 'roots/list': 'roots' }
  return Object.hasOwn(answer, mark[method]) ? answer : undefined
}

export interface Tool {
  readonly description: string
  readonly inputSchema: JsonObject
  readonly run: Run
}

const NO_ARGUMENTS: JsonObject = { type: 'object', properties: {} }

/** A tool; without a schema it takes no arguments. */
export const tool = (description: string, run: Run, inputSchema: JsonObject = NO_ARGUMENTS): Tool => ({
  description,
  inputSchema,
  run,
})

/** Schema of one required text. */
export const textArgument = (name: string, description: string): JsonObject => ({
  type: 'object',
  properties: { [name]: { type: 'string', description } },
  required: [name],
})
