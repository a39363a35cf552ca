import { hash } from 'node:crypto'
import type { Principal } from '../../call/call.ts'
import type { TokenClaims } from './claims.ts'

/** A token whose signature and claims held. What depends on the call (clock, audience, replay) is judged again each time. */
export interface VerifiedToken {
  readonly claims: TokenClaims
  readonly principal: Principal
  /** Tenant, actor, subject and client id, joined unambiguously. */
  readonly tuple: string
  /** Session key: the tuple and sid, hashed. */
  readonly binding: string
  /** Audiences that an exception of the issuer takes for this gate. */
  readonly audiences: readonly string[]
  /** KeySource.generation of the issuer, read before its key was asked for. */
  readonly generation: number
  /** The endpoint whose audience was found in the token last: the next call mostly asks there again. */
  resource: string
  /** The replay store holds this token's claim with its session key, so that no later call waits for a disk. */
  claimed: boolean
}

/** Key of a token in the cache: SHA-256 of all of it, so that no prefix, header or payload alone finds an entry. */
export function tokenKey(token: string): string {
  return hash('sha256', token, 'base64url')
}

/**
 * Tokens verified before, by their hash, least recently used first out. A hit costs about 1 us, a signature about 100
 * (PERFORMANCE.md section 6). Holds no token text: a heap dump yields no credentials from here.
 */
export class TokenCache {
  readonly #entries = new Map<string, VerifiedToken>()
  readonly #maxEntries: number

  constructor(maxEntries: number) {
    this.#maxEntries = maxEntries
  }

  /** @param generationOf the issuer's current key generation: an entry of another one is forgotten */
  get(key: string, generationOf: (issuer: string) => number): VerifiedToken | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    this.#entries.delete(key)
    if (entry.generation !== generationOf(entry.claims.iss)) return undefined
    this.#entries.set(key, entry)
    return entry
  }

  set(key: string, entry: VerifiedToken): void {
    if (this.#entries.size >= this.#maxEntries && !this.#entries.has(key)) {
      for (const oldest of this.#entries.keys()) {
        this.#entries.delete(oldest)
        break
      }
    }
    this.#entries.set(key, entry)
  }

  delete(key: string): void {
    this.#entries.delete(key)
  }

  /** Forgets every token with this id. Looks at all of them: a revocation is rare, and never a stranger's to cause. */
  revoke(jtiHash: string): void {
    for (const [key, entry] of this.#entries)
      if (entry.principal.token.jtiHash === jtiHash) this.#entries.delete(key)
  }

  get size(): number {
    return this.#entries.size
  }
}
