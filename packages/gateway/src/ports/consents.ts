import type { Principal } from '../call/call.ts'
import type { JsonObject } from '../call/json.ts'

/** For whom a server may be asked in somebody's name: one person through one agent. None of the rights of one token. */
export interface Consenter {
  /** `iss` of the tokens. */
  readonly issuer: string
  readonly tenant: string
  readonly actor: string
  readonly subject: string
  readonly clientId: string
}

/** What may be shown of a consent. Times in milliseconds since the epoch. */
export interface ConsentFacts {
  /** 16 hex digits. */
  readonly id: string
  readonly server: string
  /** Undefined: the gate itself, by its operator. */
  readonly by: Consenter | undefined
  /** What the server's issuer granted; undefined: it did not say, and nothing was asked for. */
  readonly scope: string | undefined
  readonly givenAt: number
  /** When it ends by itself; undefined: it is renewed, or nobody said. */
  readonly endsAt: number | undefined
}

/** A consent as it is kept. */
export interface KeptConsent extends ConsentFacts {
  /** Digest of issuer, endpoint and client that it was given to: at any other it is worth nothing, and must not be shown. */
  readonly client: string
  /** The token that is used to obtain others, or the only one there is. */
  readonly secret: ConsentSecret
}

/** Secrets of the person; they leave the gate towards the issuer or the server alone. */
export type ConsentSecret =
  { readonly kind: 'refresh'; readonly token: string } | { readonly kind: 'access'; readonly token: string }

/** Where consents are kept. Contract: durable when a promise resolves, and sealed: who has the file alone has no token. */
export interface ConsentStore {
  /** What cannot be opened any more, since its key was revoked, is removed. @throws Error naming a file that is none */
  load(): Promise<readonly KeptConsent[]>
  save(consent: KeptConsent): Promise<void>
  remove(id: string): Promise<void>
}

/** What a person is asked at a server's issuer. */
export interface ConsentQuestion {
  /** Where the person's browser goes. */
  readonly authorizeUrl: string
  /** Comes back with the browser, once. */
  readonly state: string
}

/** What came back with the browser. */
export interface ConsentAnswer {
  readonly state: string
  readonly code: string
  /** Who says it (RFC 9207); undefined: it did not. */
  readonly issuer: string | undefined
}

/**
 * Consents to servers that act in a person's name (RFC 6749 section 4.1, RFC 8252). The browser comes back to a listener of the
 * machine on which the consent was begun, and that machine hands the code over as the caller it is known as: whoever is made to
 * open somebody else's link sends the code to nobody.
 */
export interface Consents {
  /** @throws Refusal CG_CONSENT_SERVER, CG_CONSENT_UNAVAILABLE */
  begin(
    server: string,
    by: Principal | undefined,
    redirectUri: string,
    signal: AbortSignal,
  ): Promise<ConsentQuestion>
  /** @throws Refusal CG_CONSENT_STATE, CG_CONSENT_REFUSED, CG_CONSENT_UNAVAILABLE */
  finish(
    server: string,
    by: Principal | undefined,
    answer: ConsentAnswer,
    signal: AbortSignal,
  ): Promise<ConsentFacts>
  /** Ends what this caller gave. @returns undefined when there was nothing. @throws the fault of disk or log: it has ended all the same */
  end(server: string, by: Principal | undefined): Promise<ConsentFacts | undefined>
  /** @returns undefined when there is none of that id */
  endById(id: string): Promise<ConsentFacts | undefined>
  /** The newest first. */
  list(): readonly ConsentFacts[]
}

/** Where a browser comes back to: a listener on the person's own machine, on any port (RFC 8252 section 7.3). */
export const REDIRECT_URI = /^http:\/\/127\.0\.0\.1:[1-9]\d{0,4}\/callback$/

/** What a browser brought back from an issuer. */
export type BroughtBack =
  | { readonly code: string; readonly issuer: string | undefined }
  /** Code of RFC 6749 section 4.1.2.1. */
  | { readonly error: string }

/** A listener on this machine that one browser comes back to (RFC 8252 section 7.3). */
export interface ConsentCallback {
  readonly redirectUri: string
  /** Waits for the browser that brings this state; whatever else comes is turned away. @throws the reason of the signal */
  answer(state: string, signal: AbortSignal): Promise<BroughtBack>
  close(): void
}

/** A consent as records, the control API and its giver are told of it. */
export function consentBody({ id, server, by, scope, givenAt, endsAt }: ConsentFacts): JsonObject {
  return {
    id,
    server,
    ...(by === undefined
      ? {}
      : {
          issuer: by.issuer,
          tenant: by.tenant,
          actor: by.actor,
          subject: by.subject,
          client_id: by.clientId,
        }),
    ...(scope === undefined ? {} : { scope }),
    given_at: new Date(givenAt).toISOString(),
    ...(endsAt === undefined ? {} : { ends_at: new Date(endsAt).toISOString() }),
  }
}
