import type { JsonObject } from '../call/json.ts'
import type { VerificationKey } from './key-source.ts'

/** A sign-in that was begun: what its answer must fit. */
export interface BegunSignIn {
  /** Where the browser goes. */
  readonly url: string
  readonly state: string
  readonly nonce: string
  /** Kept by the gate: the code is worth nothing without it (RFC 7636). */
  readonly verifier: string
}

/** How a sign-in is asked for. */
export interface SignInRequest {
  readonly redirectUri: string
  /** Whether the provider must ask who is there, also where somebody is signed in. */
  readonly anew: boolean
}

/** What a browser brought back from the provider. */
export interface SignInAnswer {
  readonly code: string
  /** `iss` as it came along (RFC 9207). */
  readonly issuer: string | undefined
}

/** What the provider gave for a code. Nothing of it is verified. */
export interface SignInTokens {
  readonly idToken: string
  /** What else the provider says of the person; undefined: it has no such endpoint. @throws SignInFailed */
  userInfo(): Promise<JsonObject | undefined>
}

/** The OpenID provider at which approvers sign in. Contract: one whole answer in bounded time and size; no redirect is followed. */
export interface SignInProvider {
  /** @throws SignInFailed */
  begin(request: SignInRequest): Promise<BegunSignIn>
  /** @throws SignInFailed */
  redeem(
    begun: Pick<BegunSignIn, 'verifier'>,
    redirectUri: string,
    answer: SignInAnswer,
  ): Promise<SignInTokens>
  /** The provider's key of this name; undefined: it has none. @throws SignInFailed */
  key(kid: string): Promise<VerificationKey | undefined>
  close(): Promise<void>
}

/**
 * Nobody is signed in. `down`: the provider cannot be asked now, or is not what the configuration says. `refused`: what came of
 * this sign-in does not hold. The operator reads the message; it holds no token, code or secret.
 */
export class SignInFailed extends Error {
  override readonly name = 'SignInFailed'
  readonly kind: 'down' | 'refused'

  constructor(kind: SignInFailed['kind'], message: string, options: ErrorOptions = {}) {
    super(message, options)
    this.kind = kind
  }
}
