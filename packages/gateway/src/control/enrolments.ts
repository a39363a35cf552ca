import { createPublicKey, hash, randomBytes } from 'node:crypto'
import type { Actor } from '../call/call.ts'
import type { JsonObject } from '../call/json.ts'
import { Refusal } from '../call/refusal.ts'
import {
  ENROLLED_ISSUER,
  type Enrolled,
  type EnrolledJwk,
  type EnrolledKeys,
  type Enrolment,
  type EnrolmentStore,
} from '../ports/enrolments.ts'
import type { KeySource, VerificationKey } from '../ports/key-source.ts'
import { thumbprintOf } from '../stages/identity/dpop.ts'

/** What an operator asks for. */
export interface EnrolmentRequest {
  readonly actor: Actor
  readonly subject: string
  readonly tenant: string
  readonly scope: readonly string[]
  /** Milliseconds in which the code can be redeemed. */
  readonly codeLifeMs: number
  /** Milliseconds for which the key counts from then on. */
  readonly keyLifeMs: number
}

/** What may be shown of an enrolment. Times in milliseconds since the epoch. */
export interface EnrolmentFacts extends Omit<EnrolmentRequest, 'codeLifeMs' | 'keyLifeMs'> {
  readonly id: string
  readonly state: 'waiting' | 'enrolled' | 'expired' | 'revoked'
  readonly createdAt: number
  /** When the code ends, or the key once there is one. */
  readonly endsAt: number
  readonly thumbprint: string | undefined
}

/** What the registry needs. */
export interface EnrolmentsDeps {
  readonly store: EnrolmentStore
  /** Writes to the log of record; durable when it resolves. */
  readonly record: (event: string, detail: JsonObject) => Promise<void>
  /** Told of an issuer whose tokens count no longer: what goes on with them is to end. */
  readonly onRevoked: (issuer: string) => void
  readonly now: () => number
}

/** No more can be enrolled: too many are. */
export class TooManyEnrolments extends Error {
  override readonly name = 'TooManyEnrolments'
}

/** Random bits of a code, in 5-bit signs: 160, where 128 would do. */
const CODE_SIGNS = 32
/** Lower-case base32 without the signs that are taken for each other (Crockford): read aloud and typed without doubt. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
/** What a code begins with, so that scanners for secrets find one that was pasted somewhere. */
const CODE_PREFIX = 'cgenrol_'
const CODE = new RegExp(`^${CODE_PREFIX}[${ALPHABET}]{${CODE_SIGNS}}$`)

/** Enrolments at once: each is a file that every start reads. */
const MAX_ENROLMENTS = 10_000
/** How long an enrolment that has ended is still listed, in milliseconds: 30 days. */
const KEPT_MS = 2_592_000_000

/**
 * Who may come with a key of its own. A code is told once and redeemed once; from then on the public key is known here as an
 * issuer of its own, which can speak for nobody but for whom the operator enrolled it.
 */
export class Enrolments implements EnrolledKeys, KeySource {
  readonly #deps: EnrolmentsDeps
  readonly #byId = new Map<string, Enrolment>()
  readonly #byCode = new Map<string, string>()
  readonly #byIssuer = new Map<string, { enrolled: Enrolled; key: VerificationKey; id: string }>()
  /** Enrolments whose code is being redeemed, and the issuers that they become: whoever comes second finds them taken. */
  readonly #redeeming = new Set<string>()
  /** Revoked here, and not yet durably so: to revoke them again is to try that again. */
  readonly #unkept = new Set<string>()

  private constructor(deps: EnrolmentsDeps) {
    this.#deps = deps
  }

  /** @throws Error naming the file that cannot be taken */
  static async open(deps: EnrolmentsDeps): Promise<Enrolments> {
    const enrolments = new Enrolments(deps)
    for (const enrolment of await deps.store.load()) {
      if (enrolment.key !== undefined && thumbprintOf({ ...enrolment.key.jwk }) !== enrolment.key.thumbprint)
        throw new Error(
          `enrolment \`${enrolment.id}\` names another thumbprint than that of its key; restore its file, or remove it`,
        )
      enrolments.#put(enrolment)
    }
    return enrolments
  }

  /** @throws TooManyEnrolments, or the fault of disk or log: then nothing is enrolled */
  async create(request: EnrolmentRequest): Promise<{ id: string; code: string; codeEndsAt: number }> {
    const createdAt = this.#deps.now()
    await this.#forgetOld(createdAt)
    if (this.#byId.size >= MAX_ENROLMENTS)
      throw new TooManyEnrolments(`${MAX_ENROLMENTS} enrolments are kept already`)
    const { codeLifeMs, ...rest } = request
    const id = randomBytes(8).toString('hex')
    const code = newCode()
    const codeEndsAt = createdAt + codeLifeMs
    const enrolment = { ...rest, id, createdAt, codeHash: hashOf(code), codeEndsAt }
    await this.#deps.record('enrolment.created', {
      ...described(enrolment),
      code_ends: new Date(codeEndsAt).toISOString(),
      key_life_s: rest.keyLifeMs / 1_000,
    })
    await this.#deps.store.save(enrolment)
    this.#put(enrolment)
    return { id, code, codeEndsAt }
  }

  /**
   * Binds a key to what its code was made for. The key must have been proven before.
   * INVARIANT: the code is taken before anything is waited for, so that of any number at once one wins.
   * @throws Refusal CG_ENROL_CODE without a word on what is wrong with the code, CG_ENROL_UNAVAILABLE: the code is still good
   */
  async redeem(
    code: string,
    jwk: EnrolledJwk,
    peer: string,
  ): Promise<Enrolled & { readonly issuer: string }> {
    const now = this.#deps.now()
    const thumbprint = thumbprintOf({ ...jwk })
    if (thumbprint === undefined) throw new TypeError('`jwk` is no public key')
    const issuer = ENROLLED_ISSUER + thumbprint
    const enrolment = CODE.test(code) ? this.#byId.get(this.#byCode.get(hashOf(code)) ?? '') : undefined
    const why = this.#unredeemable(enrolment, issuer, now)
    if (why !== undefined || enrolment === undefined)
      throw new Refusal('CG_ENROL_CODE', { internal: `${why}` })
    this.#redeeming.add(enrolment.id).add(issuer)
    try {
      const key = { jwk, thumbprint, redeemedAt: now, endsAt: now + enrolment.keyLifeMs }
      const redeemed = { ...enrolment, key }
      await this.#deps.record('enrolment.redeemed', {
        ...described(redeemed),
        thumbprint,
        peer,
        ends: new Date(key.endsAt).toISOString(),
      })
      await this.#deps.store.save(redeemed)
      // An operator may have revoked it while the disk was at it.
      const { revokedAt } = this.#byId.get(enrolment.id) ?? {}
      if (revokedAt !== undefined) {
        await this.#deps.store.save({ ...redeemed, revokedAt })
        this.#put({ ...redeemed, revokedAt })
        throw new Refusal('CG_ENROL_CODE', { internal: 'the enrolment was revoked' })
      }
      return { ...this.#put(redeemed), issuer }
    } catch (cause) {
      if (cause instanceof Refusal) throw cause
      throw new Refusal('CG_ENROL_UNAVAILABLE', { internal: 'the enrolment could not be kept', cause })
    } finally {
      this.#redeeming.delete(enrolment.id)
      this.#redeeming.delete(issuer)
    }
  }

  /**
   * Ends an enrolment, whether its code was redeemed or not: at once, then durably.
   * @returns undefined when there is none of that id
   * @throws the fault of disk or log: the enrolment has ended in this process all the same
   */
  async revoke(id: string): Promise<EnrolmentFacts | undefined> {
    const enrolment = this.#byId.get(id)
    if (enrolment === undefined) return undefined
    if (enrolment.revokedAt !== undefined && !this.#unkept.has(id)) return this.#facts(enrolment)
    const revoked = { ...enrolment, revokedAt: enrolment.revokedAt ?? this.#deps.now() }
    this.#put(revoked)
    this.#unkept.add(id)
    if (revoked.key !== undefined) this.#deps.onRevoked(ENROLLED_ISSUER + revoked.key.thumbprint)
    await this.#deps.store.save(revoked)
    await this.#deps.record('enrolment.revoked', described(revoked))
    this.#unkept.delete(id)
    return this.#facts(revoked)
  }

  /** The newest first. */
  list(): readonly EnrolmentFacts[] {
    return [...this.#byId.values()]
      .toSorted((a, b) => b.createdAt - a.createdAt)
      .map((one) => this.#facts(one))
  }

  find(issuer: string): Enrolled | undefined {
    return this.#alive(issuer)?.enrolled
  }

  key(issuer: string, kid: string): VerificationKey | undefined {
    const key = this.#alive(issuer)?.key
    return key?.kid === kid ? key : undefined
  }

  /** Another one as soon as the enrolment has ended: tokens that were verified before it are looked at again. */
  generation(issuer: string): number {
    return this.#alive(issuer) === undefined ? 0 : 1
  }

  #alive(issuer: string): { enrolled: Enrolled; key: VerificationKey } | undefined {
    const found = this.#byIssuer.get(issuer)
    if (found === undefined || this.#byId.get(found.id)?.revokedAt !== undefined) return undefined
    return this.#deps.now() < found.enrolled.endsAt ? found : undefined
  }

  #unredeemable(enrolment: Enrolment | undefined, issuer: string, now: number): string | undefined {
    if (enrolment === undefined) return 'no enrolment has this code'
    if (enrolment.revokedAt !== undefined) return 'the enrolment was revoked'
    if (enrolment.key !== undefined || this.#redeeming.has(enrolment.id))
      return 'the code was redeemed before'
    if (now >= enrolment.codeEndsAt) return 'the code has expired'
    // A second life for a key would outlive the revocation of its first.
    const known = this.#byIssuer.has(issuer) || this.#redeeming.has(issuer)
    return known ? 'the key was enrolled before' : undefined
  }

  #put(enrolment: Enrolment): Enrolled {
    this.#byId.set(enrolment.id, enrolment)
    this.#byCode.set(enrolment.codeHash, enrolment.id)
    const { id, key, actor, subject, tenant, scope } = enrolment
    const enrolled = {
      thumbprint: key?.thumbprint ?? '',
      clientId: `enrolled:${id}`,
      actor,
      subject,
      tenant,
      scope,
      endsAt: key?.endsAt ?? 0,
    }
    if (key !== undefined) {
      const publicKey = createPublicKey({ key: { ...key.jwk }, format: 'jwk' })
      this.#byIssuer.set(ENROLLED_ISSUER + key.thumbprint, {
        enrolled,
        key: { kid: key.thumbprint, alg: 'ES256', key: publicKey },
        id,
      })
    }
    return enrolled
  }

  #facts(enrolment: Enrolment): EnrolmentFacts {
    const { id, actor, subject, tenant, scope, createdAt, key, revokedAt, codeEndsAt } = enrolment
    const endsAt = key?.endsAt ?? codeEndsAt
    const over = this.#deps.now() >= endsAt ? 'expired' : key === undefined ? 'waiting' : 'enrolled'
    const state = revokedAt === undefined ? over : 'revoked'
    return { id, actor, subject, tenant, scope, state, createdAt, endsAt, thumbprint: key?.thumbprint }
  }

  async #forgetOld(now: number): Promise<void> {
    for (const enrolment of this.#byId.values()) {
      const { id, key, codeHash, codeEndsAt, revokedAt } = enrolment
      if (now < (revokedAt ?? key?.endsAt ?? codeEndsAt) + KEPT_MS || this.#redeeming.has(id)) continue
      await this.#deps.store.remove(id)
      this.#byId.delete(id)
      this.#byCode.delete(codeHash)
      if (key !== undefined) this.#byIssuer.delete(ENROLLED_ISSUER + key.thumbprint)
    }
  }
}

/** A sign is one byte's low five bits: 32 signs and 256 bytes divide evenly, so that all are alike likely. */
function newCode(): string {
  const signs = Array.from(randomBytes(CODE_SIGNS), (byte) => ALPHABET[byte & 31])
  return CODE_PREFIX + signs.join('')
}

function hashOf(code: string): string {
  return hash('sha256', code, 'hex')
}

/** What records say of an enrolment. */
function described({ id, actor, subject, tenant, scope }: Enrolment): JsonObject {
  return { id, actor: actor.id, type: actor.type, subject, tenant, scope: [...scope] }
}
