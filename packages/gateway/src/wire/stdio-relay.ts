import type { Readable, Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { type JsonObject, isJsonObject, member, stringMember } from '../call/json.ts'
import { META, VERSION_HEADER, modernHeaders } from '../mcp/era.ts'
import { RPC, type RpcId, encodeError } from '../mcp/jsonrpc.ts'
import {
  EVENTS,
  drain,
  errorsFor,
  messagesOf,
  objectOf,
  type Posted,
  type Sent,
  unanswered,
} from './stdio-relay-answers.ts'
import { frame, readMessages } from './stdio-relay-frames.ts'
import { MessageWriter, TOO_LONG } from './stdio-relay-lines.ts'
import { ParamHeaders } from './stdio-relay-params.ts'
import { LegacySession } from './stdio-relay-session.ts'

export interface RelayOptions {
  readonly input: Readable
  readonly output: Writable
  /** Sends one request to the gate, with a token that is fresh enough. */
  readonly send: (request: Sent) => Promise<Posted>
  /** Ends the relay before the host does. */
  readonly signal?: AbortSignal
  /** Ends the relay as if the host had: nothing more is read, and what was asked is still answered. */
  readonly closing?: AbortSignal
  /** Milliseconds that answers may take after the host closed its end. Default 5,000. */
  readonly lingerMs?: number
}

/** Longest line: the most that a gate can be configured to take (`listener.maxRequestBytes`). */
const MAX_LINE_BYTES = 8 * 1024 * 1024
/** Lines that wait for their answers at once; a request beyond it is refused, so that a host cannot pile them up. */
const MAX_RUNNING = 256
/** A cancel is another HTTP request and may overtake its call: it is said again so many milliseconds later. */
const CANCEL_AGAIN_MS = 100

/** How long after its end a subscription is asked for again, in milliseconds. */
const AGAIN_MS = 250
/** What a subscription begins with (2026-07-28). */
const ACKNOWLEDGED = 'notifications/subscriptions/acknowledged'

/** One line of the host. */
interface Line {
  readonly bytes: Buffer
  /** Ids of the requests in it: one, none, or those of a batch. */
  readonly owed: readonly RpcId[]
  /** Empty for a response and a batch. */
  readonly method: string
  readonly params: JsonObject
  /** Version in the metadata of a modern message. */
  readonly modern: string | undefined
}

/** A line that waits for its answer. */
interface Running {
  readonly controller: AbortController
  readonly modern: boolean
  /** Answered only when one of both ends it. */
  readonly standing: boolean
}

/**
 * stdio towards one host, Streamable HTTP towards the gate: each line is one message, answers come back as lines.
 * It judges nothing, because the gate does; it only turns what stdio says by message into what HTTP says by headers, sessions
 * and streams.
 * @returns when the host has closed its end and every answer is written, or nobody reads them
 */
export async function relayStdio({
  input,
  output,
  send,
  signal,
  closing,
  lingerMs = 5_000,
}: RelayOptions): Promise<void> {
  const gone = new AbortController()
  const open = new Set<Running>()
  const byId = new Map<string, Running>()
  const tasks = new Set<Promise<void>>()
  const lines = new MessageWriter(output, leave)
  const session = new LegacySession({ send, write: (message) => lines.write(message), gone: gone.signal })
  const paramHeaders = new ParamHeaders()

  signal?.addEventListener('abort', leave, { once: true })
  if (signal?.aborted === true) leave()
  const stop = (): void => {
    input.destroy()
  }
  closing?.addEventListener('abort', stop, { once: true })
  if (closing?.aborted === true) stop()
  try {
    for await (const bytes of readMessages(input, MAX_LINE_BYTES, () => (lines.cut = frame))) {
      const task = take(bytes).finally(() => tasks.delete(task))
      tasks.add(task)
      // What a host does not read must not pile up here: until it does, nothing more is taken from it.
      await lines.ready()
    }
  } catch (error) {
    if (!gone.signal.aborted && closing?.aborted !== true) throw error
  }
  for (const running of open) if (running.standing) running.controller.abort()
  const timer = setTimeout(leave, lingerMs)
  await Promise.allSettled(tasks)
  clearTimeout(timer)
  leave()

  /** Nobody reads answers any more. */
  function leave(): void {
    gone.abort()
    input.destroy()
    for (const { controller } of open) controller.abort()
  }

  async function take(bytes: Buffer | typeof TOO_LONG): Promise<void> {
    if (bytes === TOO_LONG)
      return lines.write(
        encodeError(null, RPC.invalidRequest, `the line is longer than ${MAX_LINE_BYTES} bytes`),
      )
    if (bytes.every(isSpace)) return
    const line = read(bytes)
    if (line === undefined)
      return lines.write(encodeError(null, RPC.parseError, 'the line is not a JSON object'))
    if (line.method === 'notifications/cancelled') return cancel(line)
    if (line.owed.length > 0 && open.size >= MAX_RUNNING)
      return fail(line, `${MAX_RUNNING} requests wait for their answers already`)
    return relay(line)
  }

  async function relay(line: Line): Promise<void> {
    const { owed, method } = line
    const controller = new AbortController()
    const running = {
      controller,
      modern: line.modern !== undefined,
      standing: method === 'subscriptions/listen',
    }
    const keys = owed.map(keyOf)
    open.add(running)
    for (const key of keys) byId.set(key, running)
    try {
      if (running.standing) await stand(line, controller.signal)
      else await answer(line, await sendOn(line, controller.signal))
      if (method === 'notifications/initialized') session.listen()
    } catch (error) {
      // A modern host that cancels is owed no answer, and one that has gone reads none.
      if (!controller.signal.aborted) await fail(line, error instanceof Error ? error.message : String(error))
    } finally {
      open.delete(running)
      for (const key of keys) if (byId.get(key) === running) byId.delete(key)
    }
  }

  /**
   * A subscription that the gate ends in order, as it does when the token ends that opened it, is asked for again: the host
   * reads neither that end nor a second acknowledgement.
   */
  async function stand(line: Line, aborted: AbortSignal): Promise<void> {
    let ended = false
    const toHost = (message: Buffer): boolean => {
      const acknowledged = ended && stringMember(objectOf(message), 'method') === ACKNOWLEDGED
      ended ||= isResult(message)
      return !acknowledged && !isResult(message)
    }
    for (;;) {
      const last = await answer(line, await sendOn(line, aborted), toHost)
      if (last === undefined || !isResult(last)) return
      // A gate that ends it at once must not be asked without a pause.
      await sleep(AGAIN_MS, undefined, { signal: aborted })
    }
  }

  /** Sends a line, and once more in a new session when the gate does not know the old one: then nothing of it was run. */
  async function sendOn(line: Line, aborted: AbortSignal): Promise<Posted> {
    const post = (): Promise<Posted> =>
      send({ method: 'POST', headers: headersOf(line), body: line.bytes, signal: aborted })
    const inSession = line.modern === undefined && line.method !== 'initialize'
    if (inSession) await session.ready()
    const { id } = session
    const posted = await post()
    const mayRenew = posted.status === 404 && id !== undefined && inSession
    if (!mayRenew || !(await session.renew(id))) return posted
    await drain(posted)
    return post()
  }

  function headersOf({ method, params, modern }: Line): Readonly<Record<string, string>> {
    if (modern === undefined) return method === 'initialize' ? {} : session.headers
    return {
      ...modernHeaders(method, params),
      ...(method === 'tools/call' ? paramHeaders.of(params) : {}),
      [VERSION_HEADER]: modern,
    }
  }

  /**
   * Writes what the gate answered. Only requests are answered: an error to anything else would answer a request of the host's.
   * @param toHost whether the host gets a message; default: it gets all
   * @returns the last message
   */
  async function answer(
    line: Line,
    posted: Posted,
    toHost: (message: Buffer) => boolean = () => true,
  ): Promise<Buffer | undefined> {
    const { owed, method, params, modern } = line
    if (owed.length === 0) {
      await drain(posted)
      return undefined
    }
    // What the host does not read stays with the gate.
    await lines.ready()
    let last: Buffer | undefined
    for await (const message of messagesOf(posted)) {
      last = posted.status < 400 ? message : (errorsFor(owed, message) ?? message)
      if (method === 'initialize') session.begin(line.bytes, posted.sessionId, message)
      if (method === 'tools/list' && modern !== undefined) learn(line, message)
      if (modern === undefined && isResult(message)) session.granted(method, params)
      if (toHost(last)) await lines.write(last)
    }
    const streamed = posted.contentType.startsWith(EVENTS)
    if (last === undefined || (streamed && Object.hasOwn(objectOf(last), 'method')))
      await fail(line, 'the gate ended the answer before its end')
    return last
  }

  function learn({ params }: Line, message: Buffer): void {
    const result = member(objectOf(message), 'result')
    if (isJsonObject(result)) paramHeaders.learn(result, member(params, 'cursor') === undefined)
  }

  async function cancel(line: Line): Promise<void> {
    const id = member(line.params, 'requestId')
    const running = isId(id) ? byId.get(keyOf(id)) : undefined
    // The modern era cancels by closing the stream of the request.
    if (running?.modern === true) return running.controller.abort()
    await relay(line)
    if (running === undefined) return
    await sleep(CANCEL_AGAIN_MS, undefined, { signal: gone.signal }).catch(() => undefined)
    if (open.has(running)) await relay(line)
  }

  async function fail({ owed }: Line, why: string): Promise<void> {
    for (const id of owed) await lines.write(unanswered(id, why))
  }
}

function isResult(message: Buffer): boolean {
  return Object.hasOwn(objectOf(message), 'result')
}

function read(bytes: Buffer): Line | undefined {
  const value = parse(bytes)
  const batch: unknown[] | undefined = Array.isArray(value) ? value : undefined
  if (batch === undefined && !isJsonObject(value)) return undefined
  const message = isJsonObject(value) ? value : {}
  const params = member(message, 'params')
  const meta = isJsonObject(params) ? member(params, '_meta') : undefined
  return {
    bytes,
    owed: (batch ?? [message]).flatMap(requestId),
    method: stringMember(message, 'method') ?? '',
    params: isJsonObject(params) ? params : {},
    modern: isJsonObject(meta) ? stringMember(meta, META.protocolVersion) : undefined,
  }
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    return undefined
  }
}

/** The id of a request, as a list of one; empty for notifications and responses. */
function requestId(message: unknown): RpcId[] {
  if (!isJsonObject(message) || stringMember(message, 'method') === undefined) return []
  const id = member(message, 'id')
  return isId(id) ? [id] : []
}

function isId(id: unknown): id is RpcId {
  return typeof id === 'string' || typeof id === 'number'
}

/** JSON keeps `1` and `"1"` apart. */
function keyOf(id: RpcId): string {
  return JSON.stringify(id)
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0d
}
