import type { InputRequest } from '../../call/input.ts'
import { Refusal } from '../../call/refusal.ts'
import { registry } from '../../errors/registry.ts'
import { allowedRequests, type ClientCapability } from '../../mcp/bridge-capabilities.ts'
import { readInputRequest } from '../../mcp/bridge-requests.ts'
import { legacyResponse } from '../../mcp/bridge-responses.ts'
import { encodeError, encodeResult, RPC, type Message, type RpcId } from '../../mcp/jsonrpc.ts'
import type { HostReach } from '../../ports/upstream.ts'
import { parseObject, untilAborted, type ConnectContext } from './connection.ts'

/** Questions on behalf of one call that wait for its host at once. */
const MAX_OPEN = 8

/** A request of the gate that a server has not answered yet. */
export interface OpenCall {
  readonly id: number
  readonly method: string
  readonly host: HostReach | undefined
  /** What the server asks on its behalf, by the server's id; made with the first question. */
  questions: Map<RpcId, AbortController> | undefined
}

/** What is in flight on a connection, oldest first. */
interface OpenCalls {
  values(): Iterable<OpenCall>
}

type ServerRequest = Message & { readonly kind: 'request' }

/** Methods whose hosts may be asked: the three that a modern host, too, would be asked in the middle of (MRTR). */
const MAY_ASK: ReadonlySet<string> = new Set(['tools/call', 'prompts/get', 'resources/read'])

/**
 * Answers the requests of one legacy server. `ping` is the gate's own, roots are the operator's and never the host's
 * (server-filesystem would widen its folders by them), and a host is asked only what was declared to this server and only
 * on behalf of a call in flight: nothing of it is reachable otherwise (sampling theft, elicitation phishing; SECURITY.md 3.1 #21).
 */
export class Questions {
  readonly #server: string
  readonly #roots: readonly string[] | undefined
  readonly #allowed: ReadonlySet<ClientCapability>
  readonly #calls: OpenCalls
  readonly #reply: (bytes: Buffer) => void

  /**
   * @param calls what is in flight on the connection, oldest first
   * @param reply sends one answer to the server; best effort
   */
  constructor(
    context: Pick<ConnectContext, 'server' | 'capabilities' | 'roots'>,
    calls: OpenCalls,
    reply: (bytes: Buffer) => void,
  ) {
    this.#server = context.server
    this.#roots = context.roots
    this.#allowed = allowedRequests(context.capabilities)
    this.#calls = calls
    this.#reply = reply
  }

  /**
   * Answers one request, at once or when the host has.
   * @param own the call on whose stream it came; undefined: the stream belongs to none
   * @param version protocol version of the connection
   */
  answer(request: ServerRequest, own: OpenCall | undefined, version: string): void {
    const { id, method } = request
    if (method === 'ping') this.#reply(encodeResult(id, EMPTY))
    else if (method === 'roots/list' && this.#roots !== undefined) {
      const roots = this.#roots.map((uri) => ({ uri }))
      this.#reply(encodeResult(id, Buffer.from(JSON.stringify({ roots }))))
    } else if (this.#declares(method)) this.#ask(request, own, version)
    else this.#reply(encodeError(id, RPC.methodNotFound, 'method not found'))
  }

  /** The server does not want to know any more. */
  withdraw(id: RpcId): void {
    for (const { questions } of this.#calls.values()) {
      const asked = questions?.get(id)
      if (asked === undefined) continue
      questions?.delete(id)
      asked.abort(new Error('the server withdrew its question'))
    }
  }

  #declares(method: string): boolean {
    if (method === 'sampling/createMessage') return this.#allowed.has('sampling')
    if (method !== 'elicitation/create') return false
    return this.#allowed.has('elicitation.form') || this.#allowed.has('elicitation.url')
  }

  #ask(request: ServerRequest, own: OpenCall | undefined, version: string): void {
    const { id, method } = request
    const question = readInputRequest(
      method,
      request.params === undefined ? {} : parseObject(request.params),
      this.#allowed,
    )
    if ('problem' in question) {
      this.#reply(encodeError(id, RPC.invalidParams, question.problem))
      return
    }
    const call = own ?? this.#latest()
    if (call?.host === undefined) {
      this.#refuse(id, 'no call is in flight whose host could be asked')
      return
    }
    call.questions ??= new Map()
    const { host, questions } = call
    if (questions.has(id)) {
      this.#reply(encodeError(id, RPC.invalidRequest, 'a question with this id waits for its answer'))
      return
    }
    if (questions.size >= MAX_OPEN) {
      this.#refuse(id, `${MAX_OPEN} questions of this call wait for their answers`)
      return
    }
    const asked = new AbortController()
    questions.set(id, asked)
    void this.#relay(id, host, question, asked.signal, version).then((answer) => {
      if (questions.get(id) !== asked) return // withdrawn: the server waits for nothing
      questions.delete(id)
      this.#reply(answer)
    })
  }

  /** The call that asks when a question comes beside all streams of calls: the youngest one that may. */
  #latest(): OpenCall | undefined {
    let latest: OpenCall | undefined
    for (const call of this.#calls.values()) {
      if (call.host !== undefined && MAY_ASK.has(call.method)) latest = call
    }
    return latest
  }

  async #relay(
    id: RpcId,
    host: HostReach,
    question: InputRequest,
    signal: AbortSignal,
    version: string,
  ): Promise<Buffer> {
    try {
      const responses = await untilAborted(host.ask({ [KEY]: question }, signal), signal, this.#server)
      const response = responses[KEY]
      if (response === undefined) return refusal(id, registry.CG_HOST_SILENT.publicText)
      const answer = legacyResponse(response, version)
      if (answer.kind === 'error') return encodeError(id, answer.code, answer.message)
      return encodeResult(id, Buffer.from(JSON.stringify(answer.result)))
    } catch (cause) {
      return refusal(id, registry.CG_HOST_UNREACHABLE.publicText, cause)
    }
  }

  #refuse(id: RpcId, why: string): void {
    this.#reply(refusal(id, why))
  }
}

/** The one key of a question that was asked alone. */
const KEY = '1'
const EMPTY = Buffer.from('{}')

/** An error of the gate's own; what the gate refused says why itself, in its safe sentence. */
function refusal(id: RpcId, why: string, cause?: unknown): Buffer {
  if (!(cause instanceof Refusal)) return encodeError(id, registry.CG_HOST_UNREACHABLE.rpc, why)
  const { rpc, publicText } = registry[cause.code]
  return encodeError(id, rpc, cause.publicText ?? publicText)
}

/** The host of a call that has ended can be asked no more. */
export function endQuestions(call: OpenCall): void {
  if (call.questions === undefined) return
  for (const asked of call.questions.values()) asked.abort(new Error('the call has ended'))
}
