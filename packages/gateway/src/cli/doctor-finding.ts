import type { GatewayConfig } from '../config/declaration.ts'
import type { World } from './world.ts'

/** What `callgate doctor` looks at. */
export interface Patient {
  readonly world: World
  readonly path: string
  readonly config: GatewayConfig
  readonly state: string
}

/** What it found. Holds no secret. */
export interface Finding {
  /** What was looked at, such as `state.mode`: machines go by it. */
  readonly id: string
  readonly group: string
  /** `warn`: it works, and somebody should know. */
  readonly verdict: 'ok' | 'warn' | 'wrong'
  readonly text: string
  readonly fix?: string
}

export type Found = Omit<Finding, 'group'>

/** One look at one group of things. */
export interface Check {
  readonly group: string
  readonly look: (patient: Patient) => Found[] | Promise<Found[]>
}

/** What was found, or that all is in order. */
export function orFine(id: string, text: string, found: readonly Found[]): Found[] {
  return found.length > 0 ? [...found] : [{ id, verdict: 'ok', text }]
}
