import { CredentialsMissing } from '../../ports/credentials.ts'
import type { UpstreamFault } from '../../ports/upstream.ts'

/** Whom a failure concerns: the caller whose token was asked for, or everyone who needs one of this server. */
export type Affected = 'caller' | 'everyone'

interface FaultOptions extends ErrorOptions {
  readonly retryAfterMs?: number
  readonly error?: string | undefined
  /** Default `unavailable`. */
  readonly fault?: UpstreamFault
}

/** Why there are no credentials; its message never holds what a secret, a token or an answer's free text said. */
export class NotObtained extends CredentialsMissing {
  readonly affects: Affected
  /** How long the other side wants to be left alone, in milliseconds; 0: it did not say. */
  readonly retryAfterMs: number

  /** `error` of OAuth; undefined: it named none. */
  readonly error: string | undefined

  constructor(affects: Affected, message: string, options: FaultOptions = {}) {
    super(options.fault ?? 'unavailable', message, options)
    this.affects = affects
    this.retryAfterMs = options.retryAfterMs ?? 0
    this.error = options.error
  }
}
