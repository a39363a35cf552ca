/** Remembers which assertions were used. Processes that serve the same tools share one, in their database. */
export interface ReplayStore {
  /**
   * Claims an assertion, atomically.
   * @param jti its id, at most 256 characters
   * @param until seconds since the epoch up to which it must be remembered
   * @returns false when it was claimed before
   */
  claim(jti: string, until: number): boolean | Promise<boolean>
}

/** Most assertions that one process remembers; above that it claims none, because to forget one would let it in again. */
const MAX_REMEMBERED = 200_000

/** A store for one process. What it forgets when it restarts has at most a minute and the difference of clocks to live. */
export function createReplayMemory(now: () => number = Date.now): ReplayStore {
  const seen = new Map<string, number>()
  let lookAgainAt = 0

  function forget(nowS: number): void {
    for (const [jti, until] of seen) if (until <= nowS) seen.delete(jti)
  }

  return {
    claim(jti, until) {
      const nowS = now() / 1_000
      if (nowS >= lookAgainAt) {
        forget(nowS)
        lookAgainAt = nowS + 10
      }
      if (seen.has(jti)) return false
      if (seen.size >= MAX_REMEMBERED) throw new RangeError(`more than ${MAX_REMEMBERED} calls a minute`)
      seen.set(jti, until)
      return true
    },
  }
}
