import type { SecretReference } from '../../ports/secret-reference.ts'
import { Secret, SecretUnavailable } from '../../ports/secrets.ts'

/** Longest life of a value whose source is down, in milliseconds since it was read. Cannot be raised. */
const MAX_KEPT_MS = 3_600_000

/** Milliseconds after a failure during which the source is left alone, unless it asks for more. */
const PAUSE_MS = 5_000

/** Timing of a cache. */
export interface SecretCacheOptions {
  readonly ttlMs: number
  /** Milliseconds since the epoch. */
  readonly now: () => number
  readonly onProblem: (label: string, problem: string) => void
}

interface Entry {
  good: { readonly secret: Secret; readonly readAt: number } | undefined
  failed: { readonly error: SecretUnavailable; readonly untilMs: number } | undefined
  pending: Promise<Secret> | undefined
}

/**
 * Values of references. One question per reference at a time; a value serves for its time to live, and up to one hour
 * while its source is down. A source that says no ends it at once: what was revoked must not serve on.
 */
export class SecretCache {
  readonly #entries = new Map<string, Entry>()
  readonly #ask: (reference: SecretReference) => Promise<string>
  readonly #options: SecretCacheOptions

  constructor(ask: (reference: SecretReference) => Promise<string>, options: SecretCacheOptions) {
    this.#ask = ask
    this.#options = options
  }

  /** As the port. @throws SecretUnavailable */
  async read(reference: SecretReference, fresh = false): Promise<Secret> {
    let entry = this.#entries.get(reference.text)
    if (entry === undefined) {
      entry = { good: undefined, failed: undefined, pending: undefined }
      this.#entries.set(reference.text, entry)
    }
    const { good, failed } = entry
    const now = this.#options.now()
    const { ttlMs } = this.#options
    if (good !== undefined && now - good.readAt < (fresh ? Math.min(ttlMs, PAUSE_MS) : ttlMs))
      return good.secret
    if (failed !== undefined && now < failed.untilMs) return this.#kept(entry, failed.error)
    entry.pending ??= this.#refresh(reference, entry)
    return entry.pending
  }

  clear(): void {
    this.#entries.clear()
  }

  async #refresh(reference: SecretReference, entry: Entry): Promise<Secret> {
    // The age counts from the question: the answer may have been true only then.
    const readAt = this.#options.now()
    try {
      const secret = new Secret(await this.#ask(reference))
      entry.good = { secret, readAt }
      entry.failed = undefined
      return secret
    } catch (error) {
      // Whatever else was thrown may hold anything: it is not repeated.
      const failure =
        error instanceof SecretUnavailable
          ? error
          : new SecretUnavailable('down', `\`${reference.label}\` could not be read, by a fault of the gate`)
      if (failure.kind === 'refused') entry.good = undefined
      const untilMs = this.#options.now() + Math.max(PAUSE_MS, failure.retryAfterMs ?? 0)
      entry.failed = { error: failure, untilMs }
      if (entry.good !== undefined) this.#options.onProblem(reference.label, failure.message)
      return this.#kept(entry, failure)
    } finally {
      entry.pending = undefined
    }
  }

  #kept({ good }: Entry, error: SecretUnavailable): Secret {
    if (good === undefined) throw error
    const ageMs = this.#options.now() - good.readAt
    if (ageMs <= MAX_KEPT_MS) return good.secret
    throw new SecretUnavailable(
      'down',
      `${error.message}; the last good value is ${Math.round(ageMs / 1_000)} s old, at most ${MAX_KEPT_MS / 1_000} s allowed`,
      error.retryAfterMs,
    )
  }
}
