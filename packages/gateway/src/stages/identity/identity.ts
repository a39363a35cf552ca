import { randomUUID } from 'node:crypto'
import type {
  Caller,
  IdentifiedCall,
  PeerCertificate,
  Principal,
  Proof,
  ReceivedCall,
  Session,
} from '../../call/call.ts'
import type { JsonObject } from '../../call/json.ts'
import { Refusal } from '../../call/refusal.ts'
import type { Stage } from '../../call/stage.ts'
import { ENROLLED_ISSUER, type Enrolled, type EnrolledKeys } from '../../ports/enrolments.ts'
import type { KeySource, VerificationKey } from '../../ports/key-source.ts'
import type { Claim, ReplayGuard } from '../../ports/replay-guard.ts'
import type { Sessions } from '../../ports/sessions.ts'
import {
  type ClaimRules,
  MAX_CLOCK_SKEW_S,
  MAX_TOKEN_LIFE_S,
  checkAudience,
  checkLifetime,
  checkTimes,
  exceptionOf,
  parseClaims,
  parsePayload,
  requiredText,
} from './claims.ts'
import { type CertificateRule, certificatePrincipal } from './certificates.ts'
import type { ProvenKey } from './dpop.ts'
import { enrolledPrincipal, proveNewKey, refuseEnded } from './enrolled.ts'
import type { Nonces } from './nonces.ts'
import { createPossession } from './possession.ts'
import { type Registered, checkRegistered } from './registered.ts'
import { MAX_TOKEN_CHARS, SIGNATURE_ALGORITHMS, checkSignature, parseJws } from './jws.ts'
import { MissBudget } from './miss-budget.ts'
import type { ActorRegistry } from './principal.ts'
import { bindingOf, principalOf, tupleOf } from './principal.ts'
import { acceptedAudiences } from './resource.ts'
import { shown } from './shown.ts'
import type { VerifiedToken } from './token-cache.ts'
import { TokenCache, tokenKey } from './token-cache.ts'

/** What identity needs from the world. */
export interface IdentityDeps {
  readonly keys: KeySource
  readonly replay: ReplayGuard
  readonly sessions: Sessions
  /** Nonces for DPoP proofs (RFC 9449 section 9); default none: a proof is bounded by its age and used once. */
  readonly nonces?: Nonces
  /** Keys that are enrolled here, whose public halves `keys` has too; default none: their tokens are those of a stranger. */
  readonly enrolled?: EnrolledKeys
}

/** One accepted issuer, and how its tokens are read. */
export interface IssuerRules extends ClaimRules {
  /** Its `iss`, letter by letter. */
  readonly issuer: string
  readonly tenantClaim?: string
}

/** How identity judges: the `identity` part of the configuration. Defaults are the strict ones. */
export interface IdentityOptions extends Registered {
  /** Accepted issuers by exact `iss`. A token that lacks its issuer's tenant claim is refused. */
  readonly issuers: readonly IssuerRules[]
  /** Accepted algorithms, out of SIGNATURE_ALGORITHMS. Default all of them. */
  readonly algorithms?: readonly string[]
  /** Types of known actors; default none: everyone is an agent. */
  readonly actors?: ActorRegistry
  /**
   * `proof`: a token must be bound to a key that each request proves (DPoP, or the client certificate of its connection).
   * `once`: each token opens one call. `session`: a token serves the one session that its claims name. Whatever it is, a token
   * that says it is bound is proven. Default `proof`.
   */
  readonly replay?: 'proof' | 'once' | 'session'
  /**
   * `required`: each request is signed by the key of its token (RFC 9421), unless the token names the client certificate that it comes
   * under. Default `off`: a signature that is there must hold all the same.
   */
  readonly messageSignatures?: 'off' | 'required'
  /** Who client certificates are that come without a token; default none: a token is needed. */
  readonly certificates?: readonly CertificateRule[]
  /** Told of a token or proof that was used before, by its hash in records. */
  readonly onReplayed?: (principal: Principal, what: 'token' | 'proof') => void
  /**
   * Told of a token that is revoked: what it keeps open ends. At once, and again when the revocation is durable (or failed to be), for
   * what was being opened meanwhile.
   */
  readonly onRevoked?: (principal: Principal) => void
  /** Seconds, 0 to 60. Default 30. */
  readonly clockSkewS?: number
  /** Seconds, 1 to 600. Default 600. */
  readonly maxTokenLifeS?: number
  /** Unverified tokens per peer and second. Default 50; good ones are given back. */
  readonly missesPerS?: number
  /** Unverified tokens that a peer may send at once. Default 100. */
  readonly missBurst?: number
  /** Verified tokens that are remembered. Default 10,000. */
  readonly cacheEntries?: number
  /** Peers whose budget is remembered. Default 10,000. */
  readonly maxPeers?: number
}

/** A caller who proved who it is, and the session it is in. */
export interface Identified {
  readonly principal: Principal
  readonly session: Session
}

/** Row 1 as a stage, and the same check for methods that are no calls (initialize, lists). */
export interface Identity extends Stage<ReceivedCall, IdentifiedCall> {
  /**
   * Judges a caller's token, claims it and enters the session. Synchronous when nothing has to be waited for.
   * @param now milliseconds since the epoch
   * @throws Refusal CG_IDENTITY_*, at once or by rejection
   */
  readonly authenticate: (caller: Caller, now: number) => Identified | Promise<Identified>
  /**
   * Judges the proof of a key that is to be enrolled. The peer pays for it as for a token not seen before.
   * @throws Refusal CG_IDENTITY_FLOOD, CG_IDENTITY_PROOF, CG_IDENTITY_NONCE
   */
  readonly proveKey: (proof: Proof | undefined, peer: string, now: number) => Promise<ProvenKey>
  /** Gives back what `proveKey` took: the key was enrolled. */
  readonly refund: (peer: string) => void
}

/** Keys that are enrolled sign in one way: a point of P-256 is all that has to be kept of them. */
const ENROLLED_ALGORITHMS: ReadonlySet<string> = new Set(['ES256'])

/** JWTs of other kinds that an issuer signs with the same keys must not pass as access tokens (RFC 8725 s3.11). */
const ACCESS_TOKEN_TYPES = new Set(['jwt', 'at+jwt', 'application/at+jwt'])

/**
 * Row 1: who calls, for whom, by which right. Everything is refused that a signature of a configured issuer does not say.
 * Order: cheap checks, then the peer's budget, then the key, then the signature, and only then the claims: a stranger learns
 * nothing about what a token would have to say.
 * @throws TypeError for an option out of its bounds
 */
export function createIdentity(deps: IdentityDeps, options: IdentityOptions): Identity {
  const actors = options.actors ?? {}
  const replay = options.replay ?? 'proof'
  const skewS = inBounds('clockSkewS', options.clockSkewS ?? 30, 0, MAX_CLOCK_SKEW_S)
  const maxTokenLifeS = inBounds(
    'maxTokenLifeS',
    options.maxTokenLifeS ?? MAX_TOKEN_LIFE_S,
    1,
    MAX_TOKEN_LIFE_S,
  )
  const cache = new TokenCache(inBounds('cacheEntries', options.cacheEntries ?? 10_000, 1, 1_000_000))
  const budget = new MissBudget({
    perSecond: inBounds('missesPerS', options.missesPerS ?? 50, 1, 100_000),
    burst: inBounds('missBurst', options.missBurst ?? 100, 1, 100_000),
    maxPeers: inBounds('maxPeers', options.maxPeers ?? 10_000, 1, 1_000_000),
  })
  const issuers = new Map(options.issuers.map((rules) => [rules.issuer, rules]))
  const algorithms = new Set(options.algorithms ?? SIGNATURE_ALGORITHMS)
  for (const name of algorithms) {
    if (SIGNATURE_ALGORITHMS.has(name)) continue
    throw new TypeError(
      `\`algorithms\` names \`${name}\` (expected some of ${[...SIGNATURE_ALGORITHMS].join(' ')})`,
    )
  }
  const ofCertificate = new WeakMap<PeerCertificate, Principal>()
  const possess = createPossession({
    bearer: replay !== 'proof',
    algorithms,
    clockSkewS: skewS,
    signedMessages: options.messageSignatures === 'required',
    nonces: deps.nonces,
    spend,
    refund: (peer) => budget.refund(peer),
    claim: async (id, exp, principal) => {
      if ((await claimOf(id, exp, randomUUID(), 'proof')) === 'first') return true
      options.onReplayed?.(principal, 'proof')
      return false
    },
  })
  const generationOf = (issuer: string): number => deps.keys.generation(issuer)
  /**
   * INVARIANT: an issuer with the name of an enrolled key is judged by its enrolment or refused, never by anything else.
   * @returns undefined for every other issuer
   * @throws Refusal CG_IDENTITY_ENROLMENT_ENDED
   */
  const enrolledOf = (issuer: string): Enrolled | undefined =>
    deps.enrolled !== undefined && issuer.startsWith(ENROLLED_ISSUER)
      ? (deps.enrolled.find(issuer) ?? refuseEnded())
      : undefined

  function authenticate(caller: Caller, now: number): Identified | Promise<Identified> {
    const { token, peer } = caller
    if (token === undefined && caller.certificate !== undefined) return known(caller.certificate, caller, now)
    if (token === undefined || token === '') {
      throw new Refusal('CG_IDENTITY_MISSING', { internal: 'no access token' })
    }
    // parseJws says the same, but a longer text is not even worth its hash.
    if (token.length > MAX_TOKEN_CHARS) return refuseLength(token.length)
    const key = tokenKey(token)
    const verified = cache.get(key, generationOf)
    if (verified !== undefined) return admit(verified, key, caller, now)
    spend(peer, now)
    return verify(token, key, caller, now)
  }

  /** @throws Refusal CG_IDENTITY_FLOOD when the peer has no signature check left */
  function spend(peer: string, now: number): void {
    const retryAfterS = budget.take(peer, now)
    if (retryAfterS === 0) return
    throw new Refusal('CG_IDENTITY_FLOOD', {
      internal: 'peer sent more unverified tokens than its budget allows',
      retryAfterS,
    })
  }

  /** A caller whom its certificate alone names: TLS has checked chain, life and revocation. */
  function known(certificate: PeerCertificate, caller: Caller, now: number): Identified {
    const principal =
      ofCertificate.get(certificate) ?? certificatePrincipal(certificate, options.certificates ?? [], actors)
    if (principal === undefined) {
      throw new Refusal(
        (options.certificates ?? []).length === 0 ? 'CG_IDENTITY_MISSING' : 'CG_IDENTITY_CERTIFICATE',
        {
          internal: `no access token, and no rule names the certificate ${shown(certificate.uris[0] ?? certificate.subject)}`,
        },
      )
    }
    ofCertificate.set(certificate, principal)
    // A connection outlives the hour at which its certificate was good.
    if (now / 1_000 >= certificate.notAfter) {
      throw new Refusal('CG_IDENTITY_CERTIFICATE', { internal: 'the client certificate has expired' })
    }
    return enter(principal, tupleOf(principal), undefined, caller, now)
  }

  /** A token not seen before: issuer, key, signature, claims. */
  function verify(token: string, key: string, caller: Caller, now: number): Identified | Promise<Identified> {
    const jws = parseJws(token, algorithms)
    const { kid } = jws
    // Trying every key of the issuer would let a stranger choose how much work one token is.
    if (kid === undefined) {
      throw new Refusal('CG_IDENTITY_MALFORMED', {
        internal: 'header has no `kid` that names a key of the issuer',
      })
    }
    if (jws.typ !== undefined && !ACCESS_TOKEN_TYPES.has(jws.typ.toLowerCase())) {
      throw new Refusal('CG_IDENTITY_MALFORMED', {
        internal: `header \`typ\` is ${shown(jws.typ)} (expected at+jwt or JWT)`,
      })
    }
    const payload = parsePayload(jws.payload)
    const issuer = requiredText(payload, 'iss')
    const rules = enrolledOf(issuer) === undefined ? issuers.get(issuer) : { issuer }
    if (rules === undefined) {
      throw new Refusal('CG_IDENTITY_ISSUER', {
        internal: `claim \`iss\` is ${shown(issuer)} (expected ${[...issuers.keys()].map(shown).join(' or ')})`,
      })
    }
    return withKey(issuer, kid, (generation, found) => {
      checkSignature(jws, found)
      const entry = describe(payload, jws.typ, rules, tokenKey(jws.signed), generation, now)
      cache.set(key, entry)
      const admitted = admit(entry, key, caller, now)
      if (!(admitted instanceof Promise)) budget.refund(caller.peer)
      else admitted.then(() => budget.refund(caller.peer)).catch(() => undefined)
      return admitted
    })
  }

  /** What a payload says, once its signature holds. */
  function describe(
    payload: JsonObject,
    typ: string | undefined,
    rules: IssuerRules,
    tokenId: string,
    generation: number,
    now: number,
  ): VerifiedToken {
    const { tenantClaim } = rules
    const exception = exceptionOf(rules, now)
    const said = parseClaims(payload, rules.claims, exception, tokenId)
    checkLifetime(said, exception?.maxTokenLifeS ?? maxTokenLifeS)
    const own = enrolledOf(rules.issuer)
    const until = Math.min(exception?.until ?? Infinity, own?.endsAt ?? Infinity)
    const claims = { ...said, exp: Math.min(said.exp, until / 1_000) }
    const tenant = tenantClaim === undefined ? 'default' : requiredText(payload, tenantClaim)
    const principal =
      own === undefined
        ? principalOf(claims, tenant, actors)
        : enrolledPrincipal(claims, payload, typ, own, actors)
    checkRegistered(principal, options)
    const tuple = tupleOf(principal)
    const binding = bindingOf(tuple, claims.sid, claims.confirmation)
    const audiences = exception?.audiences ?? []
    return { claims, principal, tuple, binding, generation, audiences, resource: '', claimed: false }
  }

  /** The generation is read first: keys that change while we wait leave an entry that the next call does not trust. */
  function withKey(
    issuer: string,
    kid: string,
    accept: (generation: number, key: VerificationKey) => Identified | Promise<Identified>,
  ): Identified | Promise<Identified> {
    const generation = generationOf(issuer)
    const unavailable = (cause: unknown): never => {
      throw new Refusal('CG_IDENTITY_KEYS_UNAVAILABLE', {
        internal: `keys of issuer ${shown(issuer)} cannot be had (${cause instanceof Error ? cause.message : 'no reason given'})`,
        cause,
      })
    }
    const use = (key: VerificationKey | undefined): Identified | Promise<Identified> => {
      if (key !== undefined) return accept(generation, key)
      throw new Refusal('CG_IDENTITY_KEY_UNKNOWN', {
        internal: `issuer ${shown(issuer)} has no usable key with the kid ${shown(kid)}`,
      })
    }
    let found: Promise<VerificationKey | undefined> | VerificationKey | undefined
    try {
      found = deps.keys.key(issuer, kid)
    } catch (cause) {
      return unavailable(cause)
    }
    return found instanceof Promise ? found.catch(unavailable).then(use) : use(found)
  }

  /** What every call is asked, also with a token verified before: clock, audience, replay. */
  function admit(
    token: VerifiedToken,
    key: string,
    caller: Caller,
    now: number,
  ): Identified | Promise<Identified> {
    try {
      checkTimes(token.claims, now / 1_000, skewS)
    } catch (refusal) {
      if (refusal instanceof Refusal && refusal.code === 'CG_IDENTITY_EXPIRED') cache.delete(key)
      throw refusal
    }
    const { endpoint } = caller
    if (token.resource !== endpoint.resource) {
      checkAudience(token.claims, [
        ...acceptedAudiences(endpoint.resource, endpoint.server),
        ...token.audiences,
      ])
      token.resource = endpoint.resource
    }
    const { principal, tuple, claims } = token
    const possessed = possess(token, key, caller, now)
    if (possessed === undefined && token.claimed) return enter(principal, tuple, claims.sid, caller, now)
    return claimed(token, possessed).then(() => {
      // What was revoked while the store was at it must not enter: nobody would end it any more.
      enrolledOf(claims.iss)
      return enter(principal, tuple, claims.sid, caller, now)
    })
  }

  /** Waits for the proof first: a token that its holder cannot prove is not claimed. */
  async function claimed(token: VerifiedToken, possessed: Promise<void> | undefined): Promise<void> {
    await possessed
    if (token.claimed) return
    const once = replay === 'once' || token.claims.once
    await claim(token, once ? randomUUID() : token.binding, once)
  }

  /** INVARIANT: a token opens nothing before its claim is durable; a store that cannot answer refuses (SECURITY.md 1.1). */
  async function claim(token: VerifiedToken, binding: string, once: boolean): Promise<void> {
    const { principal, claims } = token
    const { jtiHash } = principal.token
    // Until the last moment at which checkTimes would still pass it.
    const exp = Math.ceil(claims.exp + skewS)
    const outcome = await claimOf(jtiHash, exp, binding, 'token')
    if (outcome === 'first' || (outcome === 'same' && !once)) {
      token.claimed = !once
      return
    }
    if (outcome === 'revoked') {
      throw new Refusal('CG_IDENTITY_REVOKED', {
        internal: `token ${jtiHash} was revoked when two sessions had used it`,
      })
    }
    options.onReplayed?.(principal, 'token')
    // A token that opened its one call has nothing left to take. Of two sessions with one id nobody knows which is the thief's. A
    // proof revokes nothing: who can overhear one could then end the session that it belongs to.
    if (!once) await revoke(principal, exp)
    throw new Refusal('CG_IDENTITY_REPLAYED', {
      internal: once
        ? `token ${jtiHash} was used before and opens one call only; mint a new one for each call`
        : `token ${jtiHash} was used before in another session than ${binding}, and is revoked`,
    })
  }

  async function revoke(principal: Principal, exp: number): Promise<void> {
    const { jtiHash } = principal.token
    cache.revoke(jtiHash)
    options.onRevoked?.(principal)
    // Who claimed the id in the same moment as its thief has entered since then, and opened what nobody else would end.
    await deps.replay
      .revoke(jtiHash, exp)
      .finally(() => options.onRevoked?.(principal))
      .catch(storeFailed('token', jtiHash))
  }

  function claimOf(id: string, exp: number, binding: string, what: 'token' | 'proof'): Promise<Claim> {
    return deps.replay.claim(id, exp, binding).catch(storeFailed(what, id))
  }

  function storeFailed(what: 'token' | 'proof', id: string) {
    return (cause: unknown): never => {
      throw new Refusal('CG_IDENTITY_REPLAY_STORE', {
        internal: `replay store did not answer for ${what} ${id} (${cause instanceof Error ? cause.message : 'no reason given'})`,
        cause,
      })
    }
  }

  function enter(
    principal: Principal,
    tuple: string,
    sid: string | undefined,
    caller: Caller,
    now: number,
  ): Identified {
    const session = deps.sessions.enter(tuple, sid, now)
    if (caller.session !== undefined && caller.session !== session.id) {
      throw new Refusal('CG_WIRE_SESSION', { internal: 'the session id was given to another session' })
    }
    return { principal, session }
  }

  return {
    name: 'identity',
    // A cold key set is fetched within 5 s; all else is well under a millisecond, or one fsync.
    budgetMs: 6_000,
    authenticate,
    async proveKey(proof, peer, now) {
      spend(peer, now)
      return proveNewKey(proof, now, {
        algorithms: ENROLLED_ALGORITHMS,
        clockSkewS: skewS,
        isFresh: deps.nonces && ((nonce) => deps.nonces?.isFresh(nonce, now) === true),
        newNonce: deps.nonces && (() => deps.nonces?.issue(now) ?? ''),
        claim: async (id, exp) => (await claimOf(id, exp, randomUUID(), 'proof')) === 'first',
      })
    },
    refund: (peer) => budget.refund(peer),
    run(call) {
      const identified = authenticate(call.caller, call.receivedAt)
      return identified instanceof Promise
        ? identified.then((done) => identify(call, done))
        : identify(call, identified)
    },
  }
}

function identify(call: ReceivedCall, { principal, session }: Identified): IdentifiedCall {
  return { ...call, principal, session, chain: call.traceId ?? session.id }
}

function refuseLength(chars: number): never {
  throw new Refusal('CG_IDENTITY_MALFORMED', {
    internal: `token is ${chars} characters long, at most ${MAX_TOKEN_CHARS} are read`,
  })
}

function inBounds(name: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value
  throw new TypeError(`\`${name}\` is \`${value}\` (expected an integer from ${least} to ${most})`)
}
