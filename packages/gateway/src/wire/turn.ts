import type { Caller, Endpoint } from '../call/call.ts'
import type { JsonObject } from '../call/json.ts'
import { Refusal } from '../call/refusal.ts'
import { META } from '../mcp/era.ts'
import { type HostHeaders, type HostMessage, MessageRefused, type Spoken } from '../mcp/host-message.ts'
import { encodeError, encodeResult } from '../mcp/jsonrpc.ts'
import type { Channel } from './channel.ts'
import type { HostSession } from './host-sessions.ts'
import { type RefusedContext, refusalToWire } from './refusal-to-wire.ts'

const PROBLEM_TYPE = ['Content-Type', 'application/problem+json']
/** How long a host may keep a list, in milliseconds (ARCHITECTURE.md section 2: at most 5,000). */
const LIST_TTL_MS = 5_000

/** One message of a host on its way through row 0. */
export interface Turn {
  readonly channel: Channel
  readonly endpoint: Endpoint
  readonly caller: Caller
  readonly message: HostMessage
  readonly spoken: Spoken
  /** Headers as they came, names and values in turn. */
  readonly rawHeaders: readonly string[]
  /** What a legacy host agreed on when it initialized; undefined: it sent no session id. */
  readonly agreed: HostSession | undefined
}

/** A request: a turn that is owed an answer. */
export interface Request extends Turn {
  readonly id: string | number
}

/** What is known of a message when it is refused: any part of it may be missing. */
export type RefusedTurn = Pick<Turn, 'channel' | 'endpoint'> &
  Partial<Turn> & { readonly headers?: HostHeaders }

/** How the gate answers and refuses. */
export interface Replies {
  /** A result of the gate's own making. */
  answer(request: Request, result: JsonObject, headers?: readonly string[]): void
  /** @param evidence id of the record that tells more; undefined for refusals that are only counted */
  refuse(turn: RefusedTurn, error: unknown, evidence?: string): void
}

export interface RepliesOptions {
  /** Public base URL without a trailing slash. */
  readonly publicUrl: string
  readonly serverInfo: JsonObject
  /** Algorithms of DPoP proofs that are accepted. */
  readonly proofAlgorithms: readonly string[]
  /** Extra data of a refusal, such as the versions that are spoken. */
  readonly dataOf: (turn: RefusedTurn, refusal: Refusal) => JsonObject | undefined
}

export function createReplies({ publicUrl, serverInfo, proofAlgorithms, dataOf }: RepliesOptions): Replies {
  /** What every modern result of the gate itself says; lists are filtered a caller, so nobody may share them. */
  function modernFrame(method: string): JsonObject {
    const cached = method.endsWith('list') || method === 'server/discover'
    return {
      resultType: 'complete',
      ...(cached ? { ttlMs: LIST_TTL_MS, cacheScope: 'private' } : {}),
      _meta: { [META.serverInfo]: serverInfo },
    }
  }

  return {
    answer({ channel, id, spoken, message }, result, headers) {
      const framed = spoken.era === 'modern' ? merged(modernFrame(message.method), result) : result
      channel.reply(200, encodeResult(id, Buffer.from(JSON.stringify(framed))), headers)
    },

    refuse(turn, error, evidence) {
      const refusal = refusalOf(error)
      const { channel, endpoint, message, spoken } = turn
      const id = message?.id ?? (error instanceof MessageRefused ? error.id : undefined) ?? null
      const data = dataOf(turn, refusal)
      const context: RefusedContext = {
        method: message?.method,
        era: spoken?.era,
        evidence,
        later: channel.place === 'later',
        proofAlgorithms,
        resourceMetadata: `${publicUrl}/.well-known/oauth-protected-resource${endpoint.server === undefined ? '/mcp' : `/mcp/${endpoint.server}`}`,
        ...(data === undefined ? {} : { data }),
      }
      const wire = refusalToWire(refusal, context)
      if (wire.shape === 'http') {
        const allow = wire.status === 405 ? ['Allow', 'POST'] : []
        const headers = [...PROBLEM_TYPE, ...wire.headers, ...allow]
        return channel.refuse(wire.status, headers, Buffer.from(JSON.stringify(wire.problem)))
      }
      if (wire.shape === 'error')
        return channel.reply(wire.status, encodeError(id, wire.code, wire.message, wire.data))
      const result = {
        ...(spoken?.era === 'modern' ? modernFrame('tools/call') : {}),
        content: [{ type: 'text', text: wire.text }],
        isError: true,
      }
      channel.reply(200, encodeResult(id ?? '', Buffer.from(JSON.stringify(result))))
    },
  }
}

/** The refusal that an error stands for; anything else is a fault of ours, and refuses too. */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof MessageRefused) return error.refusal
  if (error instanceof Refusal) return error
  return new Refusal('CG_STAGE_FAILED', { internal: String(error), cause: error })
}

/** Both `_meta` count. */
function merged(frame: JsonObject, result: JsonObject): JsonObject {
  const own = result['_meta']
  if (typeof own !== 'object' || own === null || Array.isArray(own)) return { ...frame, ...result }
  return { ...frame, ...result, _meta: { ...own, ...Object(frame['_meta']) } }
}
