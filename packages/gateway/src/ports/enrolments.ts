import type { Actor } from '../call/call.ts'

/** What the `iss` of an enrolled key begins with; its thumbprint follows. No configured issuer may be called so. */
export const ENROLLED_ISSUER = 'urn:callgate:enrolled:'

/** Who an enrolled key is, as the operator wrote it down: the registry says it, never the token. */
export interface Enrolled {
  /** Thumbprint of the key (RFC 7638): its `kid`, and the `cnf.jkt` of every token. */
  readonly thumbprint: string
  readonly clientId: string
  readonly actor: Actor
  readonly subject: string
  readonly tenant: string
  /** Most that a token may hold. */
  readonly scope: readonly string[]
  /** Milliseconds since the epoch at which the enrolment ends. */
  readonly endsAt: number
}

/** The keys that are enrolled now. Contract: answers at once, from memory; what was revoked is gone with the next question. */
export interface EnrolledKeys {
  /** @returns undefined for an issuer whose enrolment never was, has ended or was revoked */
  find(issuer: string): Enrolled | undefined
}

/** Public key of an enrolment: a point of P-256, and nothing else that a JWK may hold. */
export interface EnrolledJwk {
  readonly kty: 'EC'
  readonly crv: 'P-256'
  readonly x: string
  readonly y: string
}

/** An enrolment as it is kept. Times in milliseconds since the epoch. */
export interface Enrolment {
  readonly id: string
  readonly actor: Actor
  readonly subject: string
  readonly tenant: string
  readonly scope: readonly string[]
  readonly createdAt: number
  /** SHA-256 of the code, hex: the code itself is told once and kept nowhere. */
  readonly codeHash: string
  readonly codeEndsAt: number
  /** How long the key counts once the code is redeemed, in milliseconds. */
  readonly keyLifeMs: number
  /** What redeeming added. */
  readonly key?: {
    readonly jwk: EnrolledJwk
    readonly thumbprint: string
    readonly redeemedAt: number
    readonly endsAt: number
  }
  readonly revokedAt?: number
}

/** Where enrolments are kept. Contract: durable when a promise resolves; only their owner can read what is kept. */
export interface EnrolmentStore {
  /** @throws Error naming the file that holds no enrolment, or that others may read */
  load(): Promise<readonly Enrolment[]>
  save(enrolment: Enrolment): Promise<void>
  remove(id: string): Promise<void>
}
