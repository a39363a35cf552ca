import { UpstreamFailed } from '../../ports/upstream.ts'

/** Whom a failure concerns: the caller whose token was asked for, or everyone who needs one of this server. */
export type Affected = 'caller' | 'everyone'

/** Why there are no credentials; its message never holds what a secret, a token or an answer's free text said. */
export class NotObtained extends UpstreamFailed {
  readonly affects: Affected
  /** How long the other side wants to be left alone, in milliseconds; 0: it did not say. */
  readonly retryAfterMs: number

  constructor(affects: Affected, message: string, options: ErrorOptions & { retryAfterMs?: number } = {}) {
    super('unavailable', message, options)
    this.affects = affects
    this.retryAfterMs = options.retryAfterMs ?? 0
  }
}
