import { randomBytes } from 'node:crypto'
import { type JsonObject, isJsonObject, member, stringMember } from '../call/json.ts'
import type { CallApproval } from '../ports/call-approvals.ts'
import type { KeyRing } from '../ports/key-ring.ts'
import type { SignedIn } from './approver.ts'

/** A sign-in that waits for its answer, in the browser that began it. */
export interface OpenSignIn {
  readonly state: string
  readonly nonce: string
  readonly verifier: string
  /** Request that it leads back to. */
  readonly request: string
}

/** Somebody who is signed in, in one browser. */
export interface PageSession {
  readonly sid: string
  readonly person: SignedIn
  /** Milliseconds since the epoch. */
  readonly endsAt: number
}

/** How long a sign-in may take, in milliseconds: ten minutes. */
export const SIGN_IN_MS = 600_000
/** Longest session, in milliseconds: 15 minutes. Source: SECURITY.md 5 ("MFA age <= 15 min"). */
export const SESSION_MS = 900_000
/** Longest cookie that browsers keep, with its name and attributes, is 4,096 bytes (RFC 6265 section 6.1). */
const MAX_PLAIN_BYTES = 2_400

/**
 * Sessions and clicks of the page of approvals, sealed in what the browser holds: the gate keeps nothing of them, and a restart
 * ends none. Times are in what is sealed, for a seal has no age.
 */
export class PageSessions {
  readonly #keyRing: KeyRing
  readonly #provider: string
  readonly #now: () => number

  /** @param provider what sign-ins are bound to: those of another provider or client do not open */
  constructor(keyRing: KeyRing, provider: string, now: () => number) {
    this.#keyRing = keyRing
    this.#provider = provider
    this.#now = now
  }

  /** The cookie of a sign-in. */
  sealSignIn(signIn: OpenSignIn): string {
    return this.#seal('sign-in', { ...signIn, endsAt: this.#now() + SIGN_IN_MS })
  }

  openSignIn(sealed: string, state: string): OpenSignIn | undefined {
    const plain = this.#open('sign-in', sealed)
    if (plain === undefined || stringMember(plain, 'state') !== state) return undefined
    const [nonce, verifier, request] = [
      textOf(plain, 'nonce'),
      textOf(plain, 'verifier'),
      textOf(plain, 'request'),
    ]
    return { state, nonce, verifier, request }
  }

  /**
   * Begins a session.
   * @param authAt when the person proved who he is, in milliseconds since the epoch, where that ends it
   * @param maxAgeMs how long that counts
   * @returns undefined where the names are too long for a cookie
   */
  begin(
    person: SignedIn,
    authAt?: number,
    maxAgeMs = SESSION_MS,
  ): { sealed: string; endsAt: number } | undefined {
    const now = this.#now()
    const endsAt = Math.min(now + SESSION_MS, (authAt ?? now) + maxAgeMs)
    const { id, names, tenant } = person
    const sid = randomBytes(16).toString('base64url')
    const plain = { sid, id, names, ...(tenant === undefined ? {} : { tenant }), endsAt }
    if (Buffer.byteLength(JSON.stringify(plain)) > MAX_PLAIN_BYTES) return undefined
    return { sealed: this.#seal('session', plain), endsAt }
  }

  openSession(sealed: string): PageSession | undefined {
    const plain = this.#open('session', sealed)
    if (plain === undefined) return undefined
    const names = member(plain, 'names')
    return {
      sid: textOf(plain, 'sid'),
      endsAt: Number(member(plain, 'endsAt')),
      person: {
        id: textOf(plain, 'id'),
        names: Array.isArray(names) ? names.map(String) : [],
        tenant: stringMember(plain, 'tenant'),
      },
    }
  }

  /** What a click must bring along: of this session, on this request, as the page showed it. */
  sealClick(session: PageSession, approval: CallApproval): string {
    return this.#keyRing.seal('approval-page', Buffer.alloc(0), clickOf(session, approval))
  }

  isClick(sealed: string, session: PageSession, approval: CallApproval): boolean {
    return this.#keyRing.open('approval-page', sealed, clickOf(session, approval)) !== undefined
  }

  #seal(kind: string, plain: JsonObject): string {
    return this.#keyRing.seal('approval-page', Buffer.from(JSON.stringify(plain)), this.#aad(kind))
  }

  #open(kind: string, sealed: string): JsonObject | undefined {
    const plain = this.#keyRing.open('approval-page', sealed, this.#aad(kind))
    if (plain === undefined) return undefined
    const value: unknown = JSON.parse(plain.toString('utf8'))
    // INVARIANT: the seal opens for nothing but what `#seal` put into it.
    return isJsonObject(value) && Number(member(value, 'endsAt')) > this.#now() ? value : undefined
  }

  #aad(kind: string): string {
    return JSON.stringify([kind, this.#provider])
  }
}

function clickOf({ sid }: PageSession, { id, state, decisions }: CallApproval): string {
  return JSON.stringify(['click', sid, id, state, decisions.length])
}

const textOf = (plain: JsonObject, name: string): string => stringMember(plain, name) ?? ''
