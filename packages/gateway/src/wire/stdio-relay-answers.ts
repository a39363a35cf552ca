import { isJsonObject, type JsonObject, member, stringMember } from '../call/json.ts'
import { type RpcId, encodeError } from '../mcp/jsonrpc.ts'
import { SseDecoder } from '../mcp/sse.ts'

/** Own JSON-RPC code for a request that the gate did not answer; outside -32768..-32000. */
const UNANSWERED = -31_900

/** One HTTP request of the relay. */
export interface Sent {
  readonly method: 'GET' | 'POST'
  /** Without what every request has: token, content type and what is accepted. */
  readonly headers: Readonly<Record<string, string>>
  /** Empty for GET. */
  readonly body: Uint8Array
  readonly signal: AbortSignal
}

/** What the gate answered: its status, the headers that mean something here, and the body as it comes. */
export interface Posted {
  readonly status: number
  readonly contentType: string
  /** `Mcp-Session-Id`. */
  readonly sessionId: string | undefined
  readonly body: AsyncIterable<Uint8Array>
}

/** Media type of a stream of events. */
export const EVENTS = 'text/event-stream'

/** JSON-RPC messages of an answer: one body, or the data of each event of a stream. */
export async function* messagesOf({ status, contentType, body }: Posted): AsyncIterable<Buffer> {
  if (contentType.startsWith(EVENTS)) {
    const decoder = new SseDecoder({ maxEventBytes: MAX_EVENT_BYTES })
    for await (const chunk of body) for (const event of decoder.push(chunk)) yield event.data
    return
  }
  const whole = await wholeOf(body)
  // Problems of HTTP itself (401, 413 ...) are no JSON-RPC: they become the error of the request.
  if (!contentType.startsWith('application/json')) {
    if (status >= 400) throw new Error(`the gate answered ${status}${detailOf(whole)}`)
    return
  }
  yield whole
}

/** Longest event: a result of 8 MiB in its envelope. */
const MAX_EVENT_BYTES = 9 * 1024 * 1024

/** Reads what nobody wants to the end, so that its connection serves again. */
export async function drain({ body }: Posted): Promise<void> {
  await wholeOf(body)
}

async function wholeOf(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks)
}

function detailOf(problem: Buffer): string {
  const detail = stringMember(objectOf(problem), 'detail')
  return detail === undefined ? '' : `: ${detail}`
}

/** The error of a request that got no answer. @param why what the person at the host reads */
export function unanswered(id: RpcId, why: string): Buffer {
  return encodeError(id, UNANSWERED, `callgate: ${why}`)
}

/**
 * The same error as the answer to each request of a line, where the gate could not tell which one it answers.
 * @returns undefined for any other message
 */
export function errorsFor(owed: readonly RpcId[], message: Buffer): Buffer | undefined {
  const found = objectOf(message)
  const error = member(found, 'error')
  if (!isJsonObject(error) || member(found, 'id') !== null) return undefined
  const answers = owed.map((id) => JSON.stringify({ jsonrpc: '2.0', id, error }))
  return Buffer.from(answers.length === 1 ? answers.join('') : `[${answers.join(',')}]`)
}

/** A message as an object; empty when it is none. */
export function objectOf(message: Uint8Array): JsonObject {
  try {
    const value: unknown = JSON.parse(Buffer.from(message).toString('utf8'))
    return isJsonObject(value) ? value : {}
  } catch {
    return {}
  }
}
