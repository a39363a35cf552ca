import type { KeyObject } from 'node:crypto'
import type { ToolClass } from '../../call/call.ts'
import type { JsonObject } from '../../call/json.ts'
import { Refusal } from '../../call/refusal.ts'
import type { BundleSource, BundleStore } from '../../ports/policy-bundles.ts'
import { BundleRefused, openBundle, type PolicyBundle } from './bundle.ts'
import type { PolicyFile } from './load.ts'
import { formatProblem, type Problem } from './problem.ts'

/** How far ahead of ours the clock of whoever signs may be, in milliseconds. */
const SKEW_MS = 300_000

/** How old a bundle may become (SECURITY.md 1.1, "Policy store unreachable"). */
export interface BundleLimits {
  /** Milliseconds since it was signed: whoever holds back newer ones has no longer than this. */
  readonly maxAgeMs: number
  /** Milliseconds since its source last offered it, after which only class read passes, and after which nothing does. */
  readonly writesMs: number
  readonly readsMs: number
  /** `keep`: the last good one decides however old it is. */
  readonly whenTooOld: 'deny' | 'keep'
}

/** What a bundled policy needs. */
export interface BundledOptions {
  /** Keys whose signatures count, by id. */
  readonly keys: ReadonlyMap<string, KeyObject>
  readonly source: BundleSource
  readonly store: BundleStore
  readonly limits: BundleLimits
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Told what becomes of bundles, for the log. */
  readonly note: (event: string, detail: JsonObject) => void
}

/** Puts rule files in force beside the local ones. @returns why they were not taken */
export type Take = (files: readonly PolicyFile[], keep: () => Promise<void>) => Promise<readonly Problem[]>

/** Whether a bundle is young enough for calls of a class. Pure. */
export function standingOf(
  { createdAt, confirmedAt }: { readonly createdAt: number; readonly confirmedAt: number },
  { maxAgeMs, writesMs, readsMs, whenTooOld }: BundleLimits,
  now: number,
): 'good' | 'reads-only' | 'unconfirmed' | 'too-old' {
  if (whenTooOld === 'keep') return 'good'
  // A clock that was set back makes nothing young.
  if (Math.abs(now - createdAt) > maxAgeMs) return 'too-old'
  const unseenMs = Math.abs(now - confirmedAt)
  if (unseenMs > readsMs) return 'unconfirmed'
  return unseenMs > writesMs ? 'reads-only' : 'good'
}

/**
 * The signed bundle in force. A bundle is taken when a listed key has signed it, its version is above that of the one in force,
 * it is young enough, and its rules load and fit the pinned tools. Else the last good one stays, over restarts too, until it is
 * too old.
 */
export class BundledPolicy {
  readonly #options: BundledOptions
  #live: PolicyBundle | undefined
  #confirmedAt = 0
  #told: string | undefined

  private constructor(options: BundledOptions) {
    this.#options = options
  }

  /**
   * Begins with the last good bundle, verified anew, else with the one that the source offers.
   * @throws Error when there is neither: without a policy the gate does not start
   */
  static async open(options: BundledOptions): Promise<BundledPolicy> {
    const policy = new BundledPolicy(options)
    const kept = await options.store.load()
    if (kept !== undefined) {
      try {
        policy.#live = openBundle(kept.envelope, options.keys)
        policy.#confirmedAt = kept.confirmedAt
        return policy
      } catch (error) {
        if (!(error instanceof BundleRefused)) throw error
        options.note('policy.refused', { problems: [`the bundle that was kept ${error.message}`] })
      }
    }
    let offered: Buffer | 'unchanged'
    try {
      offered = await options.source.read()
      if (offered === 'unchanged') throw new BundleRefused('was not given')
      policy.#live = policy.#judged(offered)
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause)
      throw new Error(`\`policy.bundle\`: none was taken before, and the one that is offered now ${why}`, {
        cause,
      })
    }
    policy.#confirmedAt = options.now()
    await options.store.keep({ envelope: offered, confirmedAt: policy.#confirmedAt })
    return policy
  }

  /** Rule files of the one in force. */
  get files(): readonly PolicyFile[] {
    return this.#live?.files ?? []
  }

  /** What records and commands tell of the one in force. */
  get facts(): JsonObject {
    return this.#live === undefined ? {} : factsOf(this.#live)
  }

  /** @throws Refusal when the bundle is too old to decide calls of this class */
  requireYoung(toolClass: ToolClass): void {
    const { limits, now } = this.#options
    const live = this.#live
    if (live === undefined) return
    const standing = standingOf({ createdAt: live.createdAt, confirmedAt: this.#confirmedAt }, limits, now())
    if (standing === 'good' || (standing === 'reads-only' && toolClass === 'read')) return
    const internal = `policy bundle version ${live.version} was signed ${new Date(live.createdAt).toISOString()} and last offered ${new Date(this.#confirmedAt).toISOString()}`
    throw new Refusal(standing === 'too-old' ? 'CG_POLICY_EXPIRED' : 'CG_POLICY_STALE', { internal })
  }

  /** Looks at what is offered now, and takes it where it is newer and sound. Never throws. */
  async refresh(take: Take): Promise<void> {
    const { source, store, now, note } = this.#options
    try {
      const offered = await source.read()
      const bundle = offered === 'unchanged' ? this.#live : this.#judged(offered)
      if (bundle !== undefined && bundle.sha256 !== this.#live?.sha256 && offered !== 'unchanged') {
        const confirmedAt = now()
        const problems = await take(bundle.files, async () => {
          await store.keep({ envelope: offered, confirmedAt })
          this.#live = bundle
          this.#confirmedAt = confirmedAt
        })
        if (problems.length > 0)
          throw new BundleRefused(
            `version ${bundle.version}: ${problems.slice(0, 10).map(formatProblem).join('; ')}`,
          )
      } else {
        this.#confirmedAt = now()
        await store.confirm(this.#confirmedAt)
      }
      this.#told = undefined
    } catch (error) {
      source.forget()
      const problem = error instanceof Error ? error.message : String(error)
      // An outage of a day is one line, not one for each look.
      if (problem !== this.#told)
        note(error instanceof BundleRefused ? 'policy.refused' : 'policy.unconfirmed', {
          kept: this.facts,
          problems: [problem],
        })
      this.#told = problem
    }
  }

  /** @throws BundleRefused unless it may take the place of the one in force, rules apart */
  #judged(envelope: Buffer): PolicyBundle {
    const { keys, limits, now } = this.#options
    const bundle = openBundle(envelope, keys)
    const { version, createdAt, sha256 } = bundle
    const live = this.#live
    if (createdAt > now() + SKEW_MS)
      throw new BundleRefused(`was signed in the future (${new Date(createdAt).toISOString()})`)
    if (live !== undefined && version < live.version)
      throw new BundleRefused(`is version ${version}, older than version ${live.version} in force`)
    if (live !== undefined && version === live.version && sha256 !== live.sha256)
      throw new BundleRefused(`is another one of version ${version}, which is in force`)
    if (sha256 !== live?.sha256 && now() - createdAt > limits.maxAgeMs)
      throw new BundleRefused(
        `was signed ${new Date(createdAt).toISOString()}, longer ago than \`policy.bundle.maxAgeH\``,
      )
    return bundle
  }
}

/** A bundle in a few words. */
export function factsOf({ version, createdAt, sha256, keyId }: PolicyBundle): JsonObject {
  return { version, created: new Date(createdAt).toISOString(), sha256, key: keyId }
}
