import type { VerificationKey } from '../../ports/key-source.ts'
import type { ImportedKey } from './jwk.ts'
import { importJwks } from './jwk.ts'

/** Where a key set comes from. */
export interface KeySetSource {
  /**
   * Reads the document.
   * @param version of the document that was read and accepted last, '' at first
   * @returns undefined when that is still the current one
   * @throws Error when it cannot be had
   */
  read(version: string): Promise<{ readonly text: string; readonly version: string } | undefined>
  /** What the set is called in messages: its path or URL. */
  readonly name: string
  /** Milliseconds between refreshes in the background. */
  readonly refreshMs: number
  /** Least milliseconds between two refreshes that an unknown kid asks for. */
  readonly unknownKidMs: number
}

/** Longest that keys serve without a refresh, in milliseconds. Source: SECURITY.md 1.1 (IdP JWKS unreachable: <= 1 h). */
export const MAX_STALE_MS = 3_600_000

/** Retry of a refresh that failed, in milliseconds: soon, and not on every call. */
const RETRY_MS = 5_000

/**
 * The keys of one issuer: read, refreshed, rotated. One refresh at a time, whoever asks (single flight).
 * A refresh that fails leaves the keys as they were, for one hour at most.
 */
export class KeySet {
  #keys: ReadonlyMap<string, ImportedKey> = new Map()
  #text: string | undefined
  #version = ''
  #generation = 0
  #freshAt = -Infinity
  #triedAt = -Infinity
  #askedAt = -Infinity
  #failed = false
  #flight: Promise<void> | undefined
  readonly #source: KeySetSource
  readonly #now: () => number
  readonly #onProblem: (problem: string) => void

  constructor(source: KeySetSource, now: () => number, onProblem: (problem: string) => void) {
    this.#source = source
    this.#now = now
    this.#onProblem = onProblem
  }

  get generation(): number {
    return this.#generation
  }

  key(kid: string): Promise<VerificationKey | undefined> | VerificationKey | undefined {
    const now = this.#now()
    if (now - this.#freshAt > MAX_STALE_MS)
      return this.#afterRefresh(kid, now - this.#triedAt < RETRY_MS && this.#failed)
    const found = this.#keys.get(kid)
    if (found !== undefined) return found
    // The issuer may have rotated. An attacker may also have made the kid up: one look per unknownKidMs, for all of them.
    if (now - this.#askedAt < this.#source.unknownKidMs)
      return this.#flight?.then(
        () => this.#keys.get(kid),
        () => undefined,
      )
    this.#askedAt = now
    return this.refresh().then(
      () => this.#keys.get(kid),
      () => undefined,
    )
  }

  /** Nothing fresh enough is cached: the caller waits for a refresh, or is refused at once when one has just failed. */
  async #afterRefresh(kid: string, justFailed: boolean): Promise<VerificationKey | undefined> {
    if (justFailed && this.#flight === undefined) {
      throw new Error(
        `\`${this.#source.name}\` failed to answer and no keys younger than one hour are cached`,
      )
    }
    await this.refresh()
    return this.#keys.get(kid)
  }

  /** Refreshes when it is time; never rejects. */
  tick(): void {
    const wait = this.#failed ? Math.min(RETRY_MS, this.#source.refreshMs) : this.#source.refreshMs
    if (this.#flight === undefined && this.#now() - this.#triedAt >= wait)
      this.refresh().catch(() => undefined)
  }

  /** Reads the set now, or joins the read that is under way. @throws Error */
  refresh(): Promise<void> {
    this.#flight ??= this.#load().finally(() => (this.#flight = undefined))
    return this.#flight
  }

  async #load(): Promise<void> {
    this.#triedAt = this.#now()
    try {
      const document = await this.#source.read(this.#version)
      if (document !== undefined) {
        if (document.text !== this.#text) this.#replace(document.text)
        // After the import: a document that was refused is looked at again, not taken for the one that stands.
        this.#version = document.version
      }
      this.#freshAt = this.#now()
      this.#failed = false
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : 'no reason given'
      // Once per outage: the refresh is tried again every few seconds.
      if (!this.#failed) this.#onProblem(`keys \`${this.#source.name}\` not refreshed: ${why}`)
      this.#failed = true
      throw new Error(`keys \`${this.#source.name}\` cannot be read: ${why}`, { cause })
    }
  }

  #replace(text: string): void {
    const { keys, skipped } = importJwks(text)
    for (const sentence of skipped) this.#onProblem(`keys \`${this.#source.name}\`: ${sentence}`)
    // INVARIANT: a key that went or changed takes every token verified with it along (port KeySource.generation).
    const gone = [...this.#keys].some(([kid, key]) => keys.get(kid)?.fingerprint !== key.fingerprint)
    this.#keys = keys
    this.#text = text
    if (gone) this.#generation++
  }
}
