import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { type JsonObject, isJsonObject, member, stringMember } from '../call/json.ts'
import { META, eraOf, modernHeaders } from '../mcp/era.ts'
import { encodeError } from '../mcp/jsonrpc.ts'
import { SseDecoder } from '../mcp/sse.ts'

/** What a POST to the gate gave: the status, the media type and the body as it comes. */
export interface Posted {
  readonly status: number
  readonly contentType: string
  readonly body: AsyncIterable<Uint8Array>
}

export interface RelayOptions {
  readonly input: Readable
  readonly output: Writable
  /** Sends one message to the gate, with a token that is fresh enough. */
  readonly post: (body: string, headers: Record<string, string>, signal: AbortSignal) => Promise<Posted>
}

/** Own JSON-RPC code for a gate that cannot be reached; outside -32768..-32000. */
const UNREACHABLE = -31_900

/**
 * stdio towards one host, Streamable HTTP towards the gate: each line is one message, answers come back as lines.
 * It judges nothing, because the gate does; it only turns what stdio says by message into what HTTP says by headers
 * and by closing a stream.
 * @returns when the host has closed its end and every answer is written
 */
export async function relayStdio({ input, output, post }: RelayOptions): Promise<void> {
  const pending = new Map<string, AbortController>()
  const running = new Set<Promise<void>>()
  /** Version that initialize agreed on; sent as header with every later legacy message. */
  let agreed: string | undefined

  for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    if (line.trim() === '') continue
    const message = parse(line)
    if (message === undefined) {
      output.write(`${encodeError(null, -32700, 'the line is not a JSON object').toString()}\n`)
      continue
    }
    const task = relay(line, message).finally(() => running.delete(task))
    running.add(task)
  }
  await Promise.allSettled(running)

  async function relay(line: string, message: JsonObject): Promise<void> {
    const params = member(message, 'params')
    const meta = isJsonObject(params) ? member(params, '_meta') : undefined
    const version = isJsonObject(meta) ? stringMember(meta, META.protocolVersion) : undefined
    const method = stringMember(message, 'method') ?? ''
    if (method === 'notifications/cancelled' && isJsonObject(params)) {
      // In the modern era HTTP cancels by closing the stream of the request; a legacy gate reads the message as well.
      pending.get(JSON.stringify(member(params, 'requestId')))?.abort()
    }
    const id = member(message, 'id')
    const key = JSON.stringify(id)
    const controller = new AbortController()
    if (version !== undefined && id !== undefined) pending.set(key, controller)
    try {
      const posted = await post(line, headersOf(method, params, version), controller.signal)
      for await (const answer of answersOf(posted)) {
        // Only a request is answered: an error that meets anything else would be read as the answer to a request of the host's.
        if (id === undefined || method === '') continue
        if (method === 'initialize') agreed = agreedVersion(answer) ?? agreed
        output.write(Buffer.concat([answer, Buffer.from('\n')]))
      }
    } catch (error) {
      if (id === undefined || controller.signal.aborted) return
      const why = error instanceof Error ? error.message : String(error)
      const requestId = typeof id === 'string' || typeof id === 'number' ? id : null
      output.write(`${encodeError(requestId, UNREACHABLE, `callgate connect: ${why}`).toString()}\n`)
    } finally {
      if (pending.get(key) === controller) pending.delete(key)
    }
  }

  function headersOf(method: string, params: unknown, version: string | undefined): Record<string, string> {
    if (version === undefined) return agreed === undefined ? {} : { 'mcp-protocol-version': agreed }
    return { ...modernHeaders(method, isJsonObject(params) ? params : {}), 'mcp-protocol-version': version }
  }
}

function parse(line: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return isJsonObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

function agreedVersion(answer: Uint8Array): string | undefined {
  const result = member(parse(Buffer.from(answer).toString('utf8')) ?? {}, 'result')
  const version = isJsonObject(result) ? stringMember(result, 'protocolVersion') : undefined
  return version !== undefined && eraOf(version) === 'legacy' ? version : undefined
}

/** JSON-RPC messages of an answer: one body, or the data of each event of a stream. */
async function* answersOf({ status, contentType, body }: Posted): AsyncIterable<Uint8Array> {
  if (contentType.startsWith('text/event-stream')) {
    const decoder = new SseDecoder()
    for await (const chunk of body) for (const event of decoder.push(chunk)) yield event.data
    return
  }
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  const whole = Buffer.concat(chunks)
  if (whole.length === 0) {
    if (status >= 400) throw new Error(`the gate answered ${status}`)
    return
  }
  // Problems of HTTP itself (401, 413 ...) are no JSON-RPC: they become the error of the request.
  if (!contentType.startsWith('application/json'))
    throw new Error(`the gate answered ${status}: ${detailOf(whole)}`)
  yield whole
}

function detailOf(problem: Buffer): string {
  return stringMember(parse(problem.toString('utf8')) ?? {}, 'detail') ?? 'no detail'
}
