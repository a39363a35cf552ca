import type { Caller, Principal, Proof } from '../../call/call.ts'
import { Refusal } from '../../call/refusal.ts'
import { checkProof } from './dpop.ts'
import { checkMessage } from './message.ts'
import type { Nonces } from './nonces.ts'
import type { VerifiedToken } from './token-cache.ts'

/** What possession is judged by. */
export interface PossessionRules {
  /** Whether a token that is bound to nothing is accepted. */
  readonly bearer: boolean
  /** Accepted algorithms of proofs. */
  readonly algorithms: ReadonlySet<string>
  readonly clockSkewS: number
  /** Whether each request must be signed whose token names no client certificate (RFC 9421). */
  readonly signedMessages: boolean
  /** Undefined: proofs need no nonce. */
  readonly nonces: Nonces | undefined
  /** Takes a signature check from the budget of a peer, and gives it back. @throws Refusal CG_IDENTITY_FLOOD */
  readonly spend: (peer: string, now: number) => void
  readonly refund: (peer: string) => void
  /** Claims a proof, durably. @returns whether it is its first use */
  readonly claim: (id: string, exp: number, principal: Principal) => Promise<boolean>
}

/**
 * Holds a caller to the key that its token is bound to.
 * @param key of the token in the cache
 * @returns undefined when nothing has to be waited for
 * @throws Refusal CG_IDENTITY_UNBOUND, CG_IDENTITY_CERTIFICATE, CG_IDENTITY_PROOF, CG_IDENTITY_NONCE, CG_IDENTITY_FLOOD
 */
export type Possess = (
  token: VerifiedToken,
  key: string,
  caller: Caller,
  now: number,
) => Promise<void> | undefined

/** Proof of possession by DPoP (RFC 9449) and by the client certificate of the connection (RFC 8705). */
export function createPossession(rules: PossessionRules): Possess {
  /** One HTTP request may be judged more than once, and its proof is used once. */
  const judged = new WeakMap<Proof, { readonly key: string; readonly holds: Promise<void> }>()

  async function prove(
    { principal }: VerifiedToken,
    proof: Proof,
    keyThumbprint: string,
    { peer, token = '' }: Caller,
    now: number,
  ): Promise<void> {
    rules.spend(peer, now)
    const { algorithms, clockSkewS, nonces } = rules
    const proven = checkProof(proof, token, keyThumbprint, now / 1_000, {
      algorithms,
      clockSkewS,
      isFresh: nonces && ((nonce) => nonces.isFresh(nonce, now)),
      newNonce: nonces && (() => nonces.issue(now)),
    })
    const message = checkMessage(proof, keyThumbprint, proven.key, now / 1_000, rules)
    const claims = [proven, ...(message === undefined ? [] : [message])]
    const first = await Promise.all(claims.map(({ id, exp }) => rules.claim(id, exp, principal)))
    // Given back for a first use alone: a replay costs a signature check like every other bad proof.
    if (!first.includes(false)) return rules.refund(peer)
    throw first[0] === true
      ? new Refusal('CG_IDENTITY_MESSAGE', { internal: 'message signature: its nonce was used before' })
      : new Refusal('CG_IDENTITY_PROOF', { internal: `DPoP proof ${proven.id} was used before` })
  }

  return (token, key, caller, now) => {
    const { confirmation } = token.claims
    // Under the certificate that the token names TLS keeps every byte as its holder sent it. Another one may be that of a proxy.
    const mustSign = rules.signedMessages && confirmation?.certificateThumbprint === undefined
    if (mustSign && caller.signed !== true)
      throw new Refusal('CG_IDENTITY_UNSIGNED', { internal: 'the request is not signed' })
    if (caller.signed === true && confirmation?.keyThumbprint === undefined) {
      const internal = 'message signature: the token is bound to no key that could have made it'
      throw new Refusal('CG_IDENTITY_MESSAGE', { internal })
    }
    if (confirmation === undefined && !rules.bearer) {
      throw new Refusal('CG_IDENTITY_UNBOUND', {
        internal: 'token has no `cnf`, and bearer tokens are not accepted',
      })
    }
    const certificate = confirmation?.certificateThumbprint
    if (certificate !== undefined && certificate !== caller.certificate?.thumbprint) {
      const shown = caller.certificate === undefined ? 'none' : 'the one that was shown'
      throw new Refusal('CG_IDENTITY_CERTIFICATE', {
        internal: `token is bound to another certificate than ${shown}`,
      })
    }
    // A connection, and a session that is resumed, outlive the hour at which the certificate was good.
    if (certificate !== undefined && now / 1_000 >= (caller.certificate?.notAfter ?? 0))
      throw new Refusal('CG_IDENTITY_CERTIFICATE', { internal: 'the client certificate has expired' })
    const keyThumbprint = confirmation?.keyThumbprint
    // RFC 9449 section 7.2: a bound token that is taken under the other scheme loses its protection, and the reverse is a lie.
    if ((keyThumbprint !== undefined) !== (caller.scheme === 'DPoP')) {
      const internal =
        keyThumbprint === undefined
          ? 'token came as DPoP and is bound to no key'
          : 'token is bound to a key and came as Bearer'
      throw new Refusal('CG_IDENTITY_PROOF', { internal })
    }
    if (keyThumbprint === undefined) return undefined
    const { proof } = caller
    if (proof === undefined)
      throw new Refusal('CG_IDENTITY_PROOF', { internal: 'the request has no DPoP proof, or more than one' })
    const before = judged.get(proof)
    if (before?.key === key) return before.holds
    const holds = prove(token, proof, keyThumbprint, caller, now)
    judged.set(proof, { key, holds })
    return holds
  }
}
