import type { FoundData } from './call.ts'
import type { Decision } from './decision.ts'
import type { JsonObject } from './json.ts'
import type { ReasonCode } from './reason-code.ts'

/** What a call is aimed at, by the words of policy and records. */
export interface Target {
  readonly server: string
  readonly kind: 'tool' | 'resource' | 'prompt'
  /** Bare name of tool or prompt, or the upstream's own URI. */
  readonly name: string
}

/** A decision with the facts and the policy that it came from, as it goes into the record. */
export interface Judgement {
  readonly decision: Decision
  /** Facts that the evaluated rules read, ready for the record: path to value, or to a keyed hash. */
  readonly facts: JsonObject
  /** Digest of the policy that decided. */
  readonly policy: string
}

/**
 * How a stage says no. The agent sees the code, the evidence id and the registry's public text;
 * `internal` goes to the evidence alone, because a refusal must not be an oracle for an injected agent.
 */
export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly code: ReasonCode
  /** Safe sentence that replaces the registry's public text; never a rule's body, matched data or a stack. */
  readonly publicText: string | undefined
  /** What the operator reads in the record. No token, argument value or result. */
  readonly internal: string
  /** Seconds after which a retry may work, for limits. */
  readonly retryAfterS: number | undefined
  /** Nonce that the next DPoP proof must carry (RFC 9449 section 9). */
  readonly nonce: string | undefined
  /** Everything that a token must hold for what was refused (RFC 6750 section 3, `scope`). */
  readonly scopes: readonly string[] | undefined
  /** What policy had decided, so that the record of a refused call holds the decision too. */
  readonly judgement: Judgement | undefined
  /** What the call was aimed at, when the refusing stage had found it in the catalogue. */
  readonly target: Target | undefined
  /** What was found in the data of a call that is refused for it. */
  readonly screened: FoundData | undefined

  constructor(
    code: ReasonCode,
    options: {
      publicText?: string
      internal?: string
      retryAfterS?: number
      nonce?: string
      scopes?: readonly string[]
      judgement?: Judgement
      target?: Target
      screened?: FoundData
      cause?: unknown
    } = {},
  ) {
    super(`${code}: ${options.internal ?? options.publicText ?? 'refused'}`, { cause: options.cause })
    this.code = code
    this.publicText = options.publicText
    this.internal = options.internal ?? ''
    this.retryAfterS = options.retryAfterS
    this.nonce = options.nonce
    this.scopes = options.scopes
    this.judgement = options.judgement
    this.target = options.target
    this.screened = options.screened
  }
}
