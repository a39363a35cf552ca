/** Sessions whose level is remembered; the oldest is forgotten first, and hears its servers' own level again. */
const MAX_SESSIONS = 10_000

/** The level of log messages that legacy hosts set for their sessions (logging/setLevel): it counts for every server. */
export class LogLevels {
  readonly #levels = new Map<string, string>()

  /** Undefined: the session never said. */
  of(session: string): string | undefined {
    return this.#levels.get(session)
  }

  set(session: string, level: string): void {
    this.#levels.delete(session)
    this.#levels.set(session, level)
    if (this.#levels.size <= MAX_SESSIONS) return
    for (const oldest of this.#levels.keys()) {
      this.#levels.delete(oldest)
      return
    }
  }
}
