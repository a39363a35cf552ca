import type { Principal } from '../../call/call.ts'
import { UpstreamFailed } from '../../ports/upstream.ts'
import { untilAborted } from '../upstream/connection.ts'
import { NotObtained } from './fault.ts'
import { Pause } from './pause.ts'

/** Headers, and for how long they may be used. */
export interface Obtained {
  readonly headers: readonly string[]
  /** Milliseconds from when it was asked for; 0: for those who wait now, and for nobody else. */
  readonly keepMs: number
}

/** One way to obtain credentials of one server. */
export interface Source {
  /** Who shares them: calls with the same key get the same headers. */
  readonly keyOf: (principal: Principal | undefined) => string
  /**
   * @param fresh whether what was obtained last was refused, or nothing was: secrets are read anew
   * @throws NotObtained
   */
  readonly obtain: (
    principal: Principal | undefined,
    signal: AbortSignal,
    fresh: boolean,
  ) => Promise<Obtained>
  /** Told that the server took no credentials of this caller any more, and dropped those that were kept. */
  readonly refused?: (principal: Principal | undefined) => void
  readonly close: () => Promise<void>
}

/** Callers whose headers are kept, for each server; the least recently used goes first. */
export const MAX_KEPT = 10_000
/** Callers for whom headers are being obtained at one time, for each server. */
export const MAX_FLIGHTS = 256
/** Longest that one attempt may take, from the reading of secrets to the judged answer, in milliseconds. */
const ATTEMPT_MS = 5_000
/** Headers refused again within this time, in milliseconds, were no better than those before them. */
const REFUSED_AGAIN_MS = 60_000
/** Headers that a server takes from other calls are replaced at most this often, in milliseconds, whoever it refuses. */
const REPLACED_MS = 10_000

interface Entry {
  headers: readonly string[] | undefined
  usableUntil: number
  flight: Promise<readonly string[]> | undefined
  readonly attempts: Pause
  readonly refusals: Pause
  refusedAt: number
  /** When the server last took headers of this entry. */
  acceptedAt: number
}

/** The credentials of one server: kept, obtained once for all who wait, and not asked for again too soon after a failure. */
export class KeptCredentials {
  readonly #server: string
  readonly #source: Source
  readonly #now: () => number
  readonly #attemptMs: number
  readonly #entries = new Map<string, Entry>()
  readonly #everyone = new Pause()
  readonly #closing = new AbortController()
  #flights = 0
  /** The last attempt failed, or what it brought was refused. */
  #doubted = false

  /** @param now milliseconds since any fixed moment */
  constructor(server: string, source: Source, now: () => number, attemptMs: number = ATTEMPT_MS) {
    this.#server = server
    this.#source = source
    this.#now = now
    this.#attemptMs = attemptMs
  }

  /** As the port. */
  headersFor(
    principal: Principal | undefined,
    signal: AbortSignal,
  ): readonly string[] | Promise<readonly string[]> {
    const key = this.#source.keyOf(principal)
    const entry = this.#touch(key)
    if (entry.headers !== undefined && this.#now() < entry.usableUntil) return entry.headers
    try {
      entry.flight ??= this.#start(entry, principal)
    } catch (cause) {
      return Promise.reject(cause)
    }
    return untilAborted(entry.flight, signal, this.#server)
  }

  /** As the port. */
  keyOf(principal: Principal | undefined): string {
    return this.#source.keyOf(principal)
  }

  /** As the port. */
  accepted(principal: Principal | undefined, headers: readonly string[]): void {
    const entry = this.#entries.get(this.#source.keyOf(principal))
    if (entry?.headers === headers) entry.acceptedAt = this.#now()
  }

  /** As the port. */
  refused(principal: Principal | undefined, headers: readonly string[]): boolean {
    const entry = this.#entries.get(this.#source.keyOf(principal))
    // Many calls carry the same headers: the first 401 drops them, the others must not drop what came after.
    if (entry === undefined || entry.headers !== headers) return true
    const now = this.#now()
    const good = now - entry.acceptedAt < REFUSED_AGAIN_MS
    if (good && now - entry.refusedAt < REPLACED_MS) return false
    entry.headers = undefined
    this.#doubted = true
    this.#source.refused?.(principal)
    if (!good && now - entry.refusedAt < REFUSED_AGAIN_MS) {
      const what = `server \`${this.#server}\` refuses the gate's credentials again and again (HTTP 401)`
      entry.refusals.begin(now, new NotObtained('caller', what))
    } else {
      entry.refusals.end()
    }
    entry.refusedAt = now
    return true
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error('the gate ends'))
    this.#entries.clear()
    await this.#source.close()
  }

  /** The entry of a key, now the most recently used. */
  #touch(key: string): Entry {
    const entry = this.#entries.get(key) ?? {
      headers: undefined,
      usableUntil: 0,
      flight: undefined,
      attempts: new Pause(),
      refusals: new Pause(),
      refusedAt: -Infinity,
      acceptedAt: -Infinity,
    }
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    if (this.#entries.size > MAX_KEPT) {
      for (const oldest of this.#entries.keys()) {
        this.#entries.delete(oldest)
        break
      }
    }
    return entry
  }

  /** @throws UpstreamFailed when an attempt would be too soon, or too many are under way */
  #start(entry: Entry, principal: Principal | undefined): Promise<readonly string[]> {
    const now = this.#now()
    for (const pause of [this.#everyone, entry.attempts, entry.refusals]) pause.check(now)
    if (this.#closing.signal.aborted) {
      throw new UpstreamFailed(
        'unavailable',
        `the gate ends, and shows server \`${this.#server}\` nothing more`,
      )
    }
    if (this.#flights >= MAX_FLIGHTS) {
      throw new UpstreamFailed(
        'busy',
        `credentials of server \`${this.#server}\` are being obtained for ${MAX_FLIGHTS} callers`,
      )
    }
    this.#flights++
    return this.#obtain(entry, principal, now).finally(() => {
      this.#flights--
      entry.flight = undefined
    })
  }

  async #obtain(entry: Entry, principal: Principal | undefined, began: number): Promise<readonly string[]> {
    const limit = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(this.#attemptMs)])
    try {
      const { headers, keepMs } = await untilAborted(
        this.#source.obtain(principal, limit, this.#doubted),
        limit,
        this.#server,
      )
      entry.headers = headers
      entry.usableUntil = began + keepMs
      entry.attempts.end()
      this.#doubted = false
      this.#everyone.end()
      return headers
    } catch (cause) {
      this.#doubted = true
      const fault = this.#judge(cause, limit)
      const pause = fault.affects === 'caller' ? entry.attempts : this.#everyone
      pause.begin(this.#now(), fault)
      throw fault
    }
  }

  #judge(cause: unknown, limit: AbortSignal): NotObtained {
    const credentials = `credentials of server \`${this.#server}\``
    if (this.#closing.signal.aborted) {
      return new NotObtained('everyone', `the gate ends, and ${credentials} with it`, { cause })
    }
    if (limit.aborted) {
      return new NotObtained('everyone', `${credentials} did not come within ${this.#attemptMs} ms`, {
        cause,
      })
    }
    if (cause instanceof NotObtained) return cause
    return new NotObtained('everyone', `${credentials} could not be obtained`, { cause })
  }
}
