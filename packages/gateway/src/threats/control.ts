import type { ReasonCode } from '../call/reason-code.ts'
import type { GatewayConfig } from '../config/declaration.ts'

/**
 * Whether a control is on, as far as the configuration tells. `partly`: for some servers or callers only, the note says for which.
 * `observe`: it only records what it would have done.
 */
export interface ControlState {
  readonly state: 'enforce' | 'observe' | 'partly' | 'off'
  /** What an operator should know of it; undefined when nothing is special. */
  readonly note?: string
}

/** What is known of one rule of policy. */
export interface RuleFacts {
  readonly decision: string
  readonly mode: string
  /** Roots of the facts that its condition reads, `window` for windowed ones. */
  readonly reads: ReadonlySet<string>
  /** Whether it reads `session.labels`. */
  readonly readsLabels: boolean
  /** Whether it reads `ctx.ticket`. */
  readonly readsTicket: boolean
}

/** What a control is judged by. */
export interface Running {
  readonly config: GatewayConfig
  readonly rules: readonly RuleFacts[]
}

/** Something of the gate that stops an attack, or bounds it. */
export interface Control {
  /** What it does. One sentence, without a final period. */
  readonly does: string
  /** Codes of its refusals, none of which any other control has. Empty: it refuses under the code of another, or nothing. */
  readonly codes: readonly ReasonCode[]
  /** Keys of callgate.yaml that bear on it, as docs/config.md writes them. */
  readonly keys: readonly string[]
  readonly judge: (running: Running) => ControlState
}

/** What the configuration cannot switch off. */
export const always = (): ControlState => ({ state: 'enforce' })

/** Whether a control is on for one server. */
type ServerState = Exclude<ControlState['state'], 'partly'>

/**
 * Judged server by server: one state where all agree, `partly` with the names of the others where not.
 * @param judge gets undefined where there is no server, for what would hold of one that says nothing itself
 * @param fix what switches it on; told where it is not on everywhere
 */
export function byServer(
  { config }: Running,
  judge: (server: string | undefined) => ServerState,
  fix: string,
): ControlState {
  const ids = Object.keys(config.servers)
  if (ids.length === 0) return plain(judge(undefined), fix)
  const states = new Map(ids.map((id) => [id, judge(id)]))
  const kinds = new Set(states.values())
  const [only] = kinds
  if (kinds.size === 1 && only !== undefined) return plain(only, fix)
  const others = (['observe', 'off'] as const)
    .map((state) => [state, ids.filter((id) => states.get(id) === state)] as const)
    .filter(([, named]) => named.length > 0)
    .map(([state, named]) => `${state} for ${namesOf(named)}`)
  return { state: 'partly', note: `${others.join(', ')}; ${fix}` }
}

function plain(state: ServerState, fix: string): ControlState {
  return state === 'enforce' ? { state } : { state, note: fix }
}

/** At most five names; the others are counted. */
export function namesOf(ids: readonly string[]): string {
  const shown = ids.slice(0, 5).join(', ')
  return ids.length > 5 ? `${shown} and ${ids.length - 5} more` : shown
}
