import type { GrowingCall, Outcome } from './call.ts'

/**
 * One check in the life of a call (ARCHITECTURE.md section 3). A stage only decides: spans, deadlines, fail closed,
 * settling and evidence belong to the runner. It refuses by throwing `Refusal`; any other throw refuses too.
 * `run` and `settle` are properties, not methods: as methods TypeScript would accept a wrong order.
 */
export interface Stage<In, Out extends In> {
  readonly name: string
  /** Milliseconds of wall time. A synchronous stage that took longer is refused after the fact. */
  readonly budgetMs: number
  readonly run: (call: In, signal: AbortSignal) => Out | Promise<Out>
  /** Called in reverse order for every stage that began, however the call ended. */
  readonly settle?: (call: GrowingCall, outcome: Outcome) => void
}

/**
 * Budget of a synchronous stage, in milliseconds. What it does is bounded by what it is given, and takes far less; but the time is that
 * of the wall, and a machine with more to do than it has processors for may hold the process up for a while in the middle of it.
 */
export const SYNCHRONOUS_MS = 1_000
