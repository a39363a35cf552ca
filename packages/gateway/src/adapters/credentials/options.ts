import type { KeyObject } from 'node:crypto'
import type { Signer } from '../../ports/signer.ts'

/**
 * Reads a secret by its reference (`file:...`, `vault:...`). What it throws names the reference, never the value.
 * `fresh` asks for what the source says now, since what it said last did not work.
 */
export type ReadSecret = (reference: string, fresh: boolean) => Promise<{ reveal(): string }>

/** Signs by a private key that stays in its token; what it throws names the reference. */
export type SignInToken = (reference: string, algorithm: KeyAlgorithm, bytes: Uint8Array) => Promise<Buffer>

/** `Authorization: Bearer` with a secret that does not change by itself. */
export interface BearerSecret {
  readonly type: 'bearer'
  /** Reference of the secret. */
  readonly secret: string
}

/** A secret in a header of the server's choice. */
export interface HeaderSecret {
  readonly type: 'header'
  /** See isCredentialHeader. */
  readonly name: string
  readonly secret: string
}

/** Signature algorithms of private_key_jwt; HMAC is none of them: its key would be a shared secret. */
export type KeyAlgorithm = (typeof KEY_ALGORITHMS)[number]
export const KEY_ALGORITHMS = ['ES256', 'ES384', 'PS256', 'RS256', 'EdDSA', 'Ed25519'] as const

/** How the gate proves itself to a token endpoint (RFC 6749 section 2.3, RFC 7523 section 2.2). */
export type ClientAuthentication =
  | { readonly method: 'client_secret_basic' | 'client_secret_post'; readonly secret: string }
  | {
      readonly method: 'private_key_jwt'
      /** Reference of a private key: PEM (PKCS #8) or JWK, or one that signs in its token. */
      readonly key: string
      readonly alg: KeyAlgorithm
      readonly kid?: string
    }

/** Where tokens come from, and what is asked for. */
export interface TokenRequest {
  /** Exact issuer identifier: its metadata tells the token endpoint (RFC 8414, OpenID discovery). Either this or tokenUrl. */
  readonly issuer?: string
  /** The token endpoint itself, for issuers without metadata. Either this or issuer. */
  readonly tokenUrl?: string
  readonly clientId: string
  readonly auth: ClientAuthentication
  /** Space-separated; a token with more than these is refused. Default: what the issuer gives this client. */
  readonly scope?: string
  /** URI of the server for which the token shall be (RFC 8707). */
  readonly resource?: string
  /** Name of that server, for issuers that know it by name (RFC 8693 section 2.1). */
  readonly audience?: string
  /** Private ranges (CIDR) that issuer and token endpoint may live in; loopback too must be named. Default none. */
  readonly network?: readonly string[]
}

/** A token for the gate itself, the same for all callers (RFC 6749 section 4.4). */
export interface ClientCredentials extends TokenRequest {
  readonly type: 'client_credentials'
}

/** A token for each caller, against an assertion that the gate signs; for the gate itself by client credentials (RFC 8693). */
export interface TokenExchange extends TokenRequest {
  readonly type: 'token_exchange'
  /** Sends an assertion of the actor of its own beside that of the subject, for issuers that do not read `act`. Default false. */
  readonly actorToken?: boolean
}

/** A token that the caller consented to at the issuer in a browser (RFC 6749 section 4.1, RFC 7636, RFC 8252). */
export interface AuthorizationCode extends Omit<TokenRequest, 'auth'> {
  readonly type: 'authorization_code'
  /** Where the browser goes, for issuers without metadata. With tokenUrl, and only then. */
  readonly authorizeUrl?: string
  readonly auth: ClientAuthentication | PublicClient
}

/** A client without a secret, as issuers want of those whose browser comes back to the person's own machine. */
export interface PublicClient {
  readonly method: 'none'
}

/** Credentials of one server. */
export type CredentialConfig =
  BearerSecret | HeaderSecret | ClientCredentials | TokenExchange | AuthorizationCode

/** A private key at hand and how it signs. */
export interface ClientKey {
  readonly key: KeyObject
  readonly alg: KeyAlgorithm
  /** Default: none in the header. */
  readonly kid?: string | undefined
}

/** The gate as issuer of its own assertions. */
export interface GateIdentity<S extends Signer = Signer> {
  /** `iss` of what it signs. */
  readonly issuer: string
  readonly signer: S
}

/** Visible ASCII: neither a line break that starts another header, nor a space that servers cut differently. */
export const SHOWABLE = /^[\x21-\x7e]{1,8192}$/
