import type { ControlState, Running } from './control.ts'
import { CONTROLS } from './controls.ts'
import type { Firings } from './firings.ts'
import type { Threat } from './threat.ts'

/** A control as the page shows it. */
export interface PageControl {
  readonly id: string
  readonly does: string
  readonly keys: readonly string[]
  /** Undefined on a page without a configuration. */
  readonly state?: ControlState
  /** Whether its firings can be told apart from those of others. */
  readonly counted: boolean
  /** Undefined on a page without a log, and for a control that never fired. */
  readonly fired?: Firings
}

/** A threat as the page shows it. */
export interface PageThreat extends Threat {
  /** Breaks of its chain that are on, wholly or in part; of a page without a configuration all. */
  readonly breaksOn: number
  /** What is weak about it; empty when nothing is. */
  readonly flags: readonly string[]
}

/** The one page: threats with their controls, detections and response, and how the controls stand. */
export interface ThreatPage {
  /** Path of the configuration that the states come from; undefined: none. */
  readonly config?: string
  /** Folder of the log that the firings come from; undefined: none. */
  readonly log?: string
  readonly threats: readonly PageThreat[]
  readonly controls: readonly PageControl[]
}

/** What a page is made from beside the threats. */
export interface PageSources {
  readonly running?: Running & { readonly path: string }
  readonly firings?: { readonly log: string; readonly counts: ReadonlyMap<string, Firings> }
  /** Day that acceptances are judged by, in milliseconds since the epoch; undefined: they are not judged. */
  readonly now?: number
}

/** Puts the page together. Controls come in the order of their table; those that no threat names are left out. */
export function threatPage(threats: readonly Threat[], { running, firings, now }: PageSources): ThreatPage {
  const named = new Set(threats.flatMap(({ chain, controls }) => [...chain, ...controls]))
  const controls = Object.entries(CONTROLS)
    .filter(([id]) => named.has(id))
    .map(([id, { does, keys, codes, judge }]): PageControl => {
      const fired = firings?.counts.get(id)
      return {
        id,
        does,
        keys,
        counted: codes.length > 0 || fired !== undefined,
        ...(running === undefined ? {} : { state: judge(running) }),
        ...(fired === undefined ? {} : { fired }),
      }
    })
  const states = new Map(controls.map(({ id, state }) => [id, state?.state]))
  return {
    ...(running === undefined ? {} : { config: running.path }),
    ...(firings === undefined ? {} : { log: firings.log }),
    threats: threats.map((threat) => pageThreat(threat, states, now)),
    controls,
  }
}

function pageThreat(
  threat: Threat,
  states: ReadonlyMap<string, ControlState['state'] | undefined>,
  now: number | undefined,
): PageThreat {
  const { chain, accepted } = threat
  const on = chain.filter((id) => isOn(states.get(id)))
  const flags: string[] = []
  if (chain.length === 1) flags.push('the chain has one break only')
  else if (on.length === 1) flags.push(`one break only is on: ${on[0]}`)
  if (on.length === 0) flags.push('no break is on')
  if (accepted !== undefined && now !== undefined && now > Date.parse(`${accepted.until}T23:59:59.999Z`))
    flags.push(`the accepted risk was accepted until ${accepted.until}: accept it again, or end it`)
  return { ...threat, breaksOn: on.length, flags }
}

/** Without a configuration a control counts as on. */
function isOn(state: ControlState['state'] | undefined): boolean {
  return state !== 'off' && state !== 'observe'
}

/** What a state is called on the page. */
export const STATE_WORDS: Readonly<Record<ControlState['state'], string>> = {
  enforce: 'on',
  partly: 'partly on',
  observe: 'observes only',
  off: 'off',
}

/** One detection or step of response: what it is, and whether it is there. */
export interface Item {
  /** What it is called: a code, an event, a command or a key; of a planned one the promise. */
  readonly name: string
  readonly kind: 'code' | 'event' | 'command' | 'key' | 'planned'
  readonly text: string
}

/** Detections and response of a threat in one form; what is planned comes last. */
export function itemsOf(list: Threat['detections'] | Threat['response']): Item[] {
  const items = list.map((entry): Item => {
    const text = 'says' in entry ? entry.says : entry.does
    if (entry.planned !== undefined) return { name: entry.planned, kind: 'planned', text }
    if ('says' in entry)
      return entry.code === undefined
        ? { name: entry.event ?? '', kind: 'event', text }
        : { name: entry.code, kind: 'code', text }
    return entry.command === undefined
      ? { name: entry.key ?? '', kind: 'key', text }
      : { name: entry.command, kind: 'command', text }
  })
  return [
    ...items.filter(({ kind }) => kind !== 'planned'),
    ...items.filter(({ kind }) => kind === 'planned'),
  ]
}

/** How often a control fired, in words; undefined on a page without a log. */
export function firedWords({ log }: ThreatPage, { fired, counted }: PageControl): string | undefined {
  if (log === undefined) return undefined
  if (!counted) return 'not counted apart'
  if (fired === undefined) return 'never fired'
  const parts = [
    ...(fired.refused > 0 ? [`refused ${fired.refused}`] : []),
    ...(fired.changed > 0 ? [`changed ${fired.changed}`] : []),
    ...(fired.observed > 0 ? [`would have acted on ${fired.observed}`] : []),
  ]
  return `${parts.join(', ')}; last ${fired.last}`
}
