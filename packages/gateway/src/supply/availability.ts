import type { UnavailableReason } from '../ports/catalog.ts'

/** How long a server that came back may go away again untold, in milliseconds: one that flaps must not fill the disk. */
const QUIET_MS = 10_000

/** Why a server cannot be asked. */
export interface Failure {
  readonly reason: UnavailableReason
  /** What the operator reads. */
  readonly why: string
}

/** A server went away, or came back. */
export type AvailabilityEvent =
  | ({ readonly event: 'server.unavailable'; readonly server: string } & Failure)
  | { readonly event: 'server.available'; readonly server: string }

interface State {
  failure: Failure | undefined
  /** Whether it was told last that the server is away. */
  toldAway: boolean
  quiet: NodeJS.Timeout | undefined
}

/** Tells once that a server is away and once that it is back, not each try; what changes too fast is told when it lasts. */
export class Availability {
  readonly #onEvent: (event: AvailabilityEvent) => void
  readonly #states = new Map<string, State>()

  constructor(onEvent: (event: AvailabilityEvent) => void) {
    this.#onEvent = onEvent
  }

  /** Takes how a server was found; undefined: it answered. */
  found(server: string, failure: Failure | undefined): void {
    const state = this.#states.get(server) ?? { failure, toldAway: false, quiet: undefined }
    this.#states.set(server, state)
    state.failure = failure
    if (state.quiet === undefined) this.#tell(server, state)
  }

  stop(): void {
    for (const { quiet } of this.#states.values()) clearTimeout(quiet)
  }

  #tell(server: string, state: State): void {
    const { failure } = state
    if ((failure !== undefined) === state.toldAway) return
    state.toldAway = failure !== undefined
    if (failure !== undefined) return this.#onEvent({ event: 'server.unavailable', server, ...failure })
    this.#onEvent({ event: 'server.available', server })
    state.quiet = setTimeout(() => {
      state.quiet = undefined
      this.#tell(server, state)
    }, QUIET_MS).unref()
  }
}
