import type {
  Asking,
  HostLink,
  InputRequest,
  InputRequests,
  InputResponse,
  InputResponses,
} from '../call/input.ts'
import { type JsonObject, member } from '../call/json.ts'
import { Refusal } from '../call/refusal.ts'
import { isLogWanted } from '../mcp/log-level.ts'
import { encodeNotification, encodeOwnRequest, encodeResult } from '../mcp/jsonrpc.ts'
import { ANSWER_MS, type RequestStates } from '../stages/forward/request-state.ts'
import type { Channel } from './channel.ts'
import type { Questions } from './questions.ts'
import type { Request } from './turn.ts'

/** Marks a state that belongs to a call which waits on this node, so that it is known before anyone is identified. */
export const PARKED = 'p.'

export interface LinkServices {
  readonly questions: Questions
  readonly states: RequestStates
  /** Gives a call time to wait for its host; returns what ends that. */
  readonly wait: (call: string, ms: number) => () => void
  /** The host of a call went away. */
  readonly gone: (call: string) => void
}

/** What the host asked for with one call. */
export interface LinkOptions {
  readonly capabilities: JsonObject
  readonly logLevel: string | undefined
  readonly progressToken: string | number | undefined
}

/**
 * The host's end of one call. To a legacy host questions go as requests on the stream of the call; a modern host gets them as
 * the answer, and the call waits until it comes back with a request that carries the answers (MRTR).
 */
export class CallLink implements HostLink {
  readonly capabilities: JsonObject
  readonly logLevel: string | undefined
  readonly progress: ((params: JsonObject) => void) | undefined
  readonly #services: LinkServices
  readonly #modern: boolean
  /** Undefined while a modern host has a question instead of an answer. */
  #channel: Channel | undefined
  #id: string | number
  /** Settles with the last question of this call that is open; undefined: none is. */
  #asking: Promise<void> | undefined
  /** A host that comes back may know the progress under another token. */
  #progressToken: string | number | undefined
  /** Ends the questions to a legacy host that closed the stream of its call. */
  #gone: AbortController | undefined

  constructor(request: Request, services: LinkServices, options: LinkOptions) {
    this.capabilities = options.capabilities
    this.logLevel = options.logLevel
    this.#services = services
    this.#modern = request.spoken.era === 'modern'
    this.#channel = request.channel
    this.#id = request.id
    this.#progressToken = options.progressToken
    this.progress =
      options.progressToken === undefined || !request.channel.streams
        ? undefined
        : (params) => this.#tellProgress(params)
  }

  /** Where the answer goes, and under which id; undefined: the host never came back. */
  get open(): { readonly channel: Channel; readonly id: string | number } | undefined {
    return this.#channel === undefined ? undefined : { channel: this.#channel, id: this.#id }
  }

  log(params: JsonObject): void {
    // A modern host gets no message that its request did not ask for, whatever its server sends.
    if (!this.#modern || isLogWanted(member(params, 'level'), this.logLevel))
      this.#tell('notifications/message', params)
  }

  async ask(requests: InputRequests, call: Asking, signal: AbortSignal): Promise<InputResponses> {
    const resume = this.#services.wait(call.id, ANSWER_MS)
    const stop = new AbortController()
    const timer = setTimeout(() => stop.abort(), ANSWER_MS).unref()
    const limit = AbortSignal.any([signal, stop.signal])
    try {
      if (!this.#modern) return await this.#askByRequests(requests, call, limit)
      // A result is one answer: of questions asked at once each waits for those before it.
      const before = this.#asking
      const asked =
        before === undefined
          ? this.#askByResult(requests, call, limit)
          : before.then(() => this.#askByResult(requests, call, limit))
      const settled = asked.then(noop, noop)
      this.#asking = settled
      void settled.then(() => {
        if (this.#asking === settled) this.#asking = undefined
      })
      return await asked
    } finally {
      stop.abort()
      clearTimeout(timer)
      resume()
    }
  }

  async #askByRequests(requests: InputRequests, call: Asking, signal: AbortSignal): Promise<InputResponses> {
    const channel = this.#channel
    if (channel?.streams !== true) {
      throw new Refusal('CG_HOST_UNREACHABLE', { internal: 'the host does not take a stream with this call' })
    }
    const limit = AbortSignal.any([signal, this.#goneFrom(channel)])
    const ask = async ([key, { method, params }]: [string, InputRequest]): Promise<
      [string, InputResponse]
    > => {
      let sent: string | undefined
      const send = (id: string): boolean => {
        sent = id
        return channel.push(encodeOwnRequest(id, method, params), true)
      }
      try {
        return [key, await this.#services.questions.ask(call.session, send, limit)]
      } catch (error) {
        if (sent !== undefined)
          channel.push(encodeNotification('notifications/cancelled', { requestId: sent }))
        throw error
      }
    }
    return Object.fromEntries(await Promise.all(Object.entries(requests).map(ask)))
  }

  async #askByResult(requests: InputRequests, call: Asking, limit: AbortSignal): Promise<InputResponses> {
    const { questions, states, gone } = this.#services
    let open: InputRequests = requests
    // The server chose the keys: in a map `__proto__` is one like any other.
    const responses = new Map<string, InputResponse>()
    // What is left unanswered is asked again, as the specification wants it of servers.
    while (Object.keys(open).length > 0) {
      const channel = this.#channel
      if (channel === undefined) {
        throw new Refusal('CG_HOST_UNREACHABLE', { internal: 'the host has another question of this call' })
      }
      const back = questions.park(call.id, call.session, limit)
      this.#channel = undefined
      const requestState = PARKED + states.seal({ call: call.id }, call.session, call.binding)
      const question = { resultType: 'input_required', inputRequests: open, requestState }
      channel.reply(200, encodeResult(this.#id, Buffer.from(JSON.stringify(question))))
      const resumed = await back
      this.#channel = resumed.channel
      this.#id = resumed.id
      this.#progressToken = resumed.progressToken
      resumed.channel.onGone(() => gone(call.id))
      for (const [key, response] of Object.entries(resumed.responses)) {
        if (Object.hasOwn(open, key)) responses.set(key, response)
      }
      open = Object.fromEntries(Object.entries(requests).filter(([key]) => !responses.has(key)))
    }
    return Object.fromEntries(responses)
  }

  /** One listener a call, however often its server asks. */
  #goneFrom(channel: Channel): AbortSignal {
    if (this.#gone === undefined) {
      const gone = new AbortController()
      channel.onGone(() => gone.abort())
      this.#gone = gone
    }
    return this.#gone.signal
  }

  #tellProgress(params: JsonObject): void {
    const progressToken = this.#progressToken
    if (progressToken !== undefined) this.#tell('notifications/progress', { ...params, progressToken })
  }

  #tell(method: string, params: JsonObject): void {
    this.#channel?.push(encodeNotification(method, params))
  }
}

function noop(): void {}
