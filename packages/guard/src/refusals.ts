/**
 * Why a request is not taken as the gate's. `missing`: it carries no assertion. `malformed`: it is no request that the gate would send.
 * `untrusted`: the assertion is not of this gate, or not for this server. `expired`: too old or too young. `other_call`: it was made for
 * another tool or other arguments. `replayed`: it was used before. `unavailable`: keys or memory of used assertions cannot be asked.
 */
export type WhyNotVouched =
  'missing' | 'malformed' | 'untrusted' | 'expired' | 'other_call' | 'replayed' | 'unavailable'

/** The gate did not vouch for this request as it stands: nothing of it may run. The message holds nothing of the request. */
export class NotVouched extends Error {
  override readonly name = 'NotVouched'
  readonly why: WhyNotVouched

  constructor(why: WhyNotVouched, message: string, options: { cause?: unknown } = {}) {
    super(message, options)
    this.why = why
  }
}

/**
 * The caller does not own what he named. One text for objects of others and objects that do not exist, because a difference tells who
 * guesses which ids are taken. A tool may let it pass: the MCP SDK makes an answer with `isError` of it.
 */
export class NotOwned extends Error {
  override readonly name = 'NotOwned'

  constructor() {
    super('no such object of this caller')
  }
}
