/** One request to a gate, about to be sent. */
export interface Asked {
  readonly method: 'GET' | 'POST'
  readonly url: string
  /** What else will be sent. */
  readonly headers: Readonly<Record<string, string>>
  /** Empty for GET. */
  readonly body: Uint8Array
}

/** Why a gate would not know who asks (HTTP 401). */
export interface Unknown {
  /** `code` of the problem; undefined when it has none. */
  readonly code: string | undefined
}

/** How this side is known to a gate. Whatever a request carries for that, signatures over it included, is made here. */
export interface GateCredential {
  /** Headers of one request, made anew for each. */
  headersFor(asked: Asked): Readonly<Record<string, string>>
  /** Told the nonce that an answer brought for the next DPoP proof (RFC 9449 section 8.2). */
  readonly learn?: (nonce: string) => void
  /** Told of each 401. @returns whether the same request is worth one more try */
  readonly refused?: (why: Unknown) => boolean
}
