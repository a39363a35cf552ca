import type { EvidenceRecord, OutcomeRecord } from '@callgate/evidence'
import { CONTROLS } from './controls.ts'

/** How often a control fired, as the log of record tells. */
export interface Firings {
  /** Calls and requests that it refused. */
  readonly refused: number
  /** Calls and answers in which it changed something that then passed. */
  readonly changed: number
  /** Calls that it would have refused or changed: it only observed. */
  readonly observed: number
  /** RFC 3339, UTC, of the last of these. */
  readonly last: string
}

const CONTROL_OF: ReadonlyMap<string, string> = new Map(
  Object.entries(CONTROLS).flatMap(([id, { codes }]) => codes.map((code) => [code as string, id] as const)),
)

/** What stages write of themselves among the rules that only observed. */
const STAGE = /^\((egress|ownership): \S+\)$|^\((dlp): \S+ (\S+) in the (argument|result)\)$/

/**
 * Counts firings by control. Controls without codes of their own refuse under the code of another one, or nothing: they have no count.
 * @param records in the order of the log
 */
export async function countFirings(
  records: AsyncIterable<EvidenceRecord> | Iterable<EvidenceRecord>,
): Promise<ReadonlyMap<string, Firings>> {
  const found = new Map<string, Firings>()
  const add = (control: string | undefined, time: string, more: Partial<Firings>): void => {
    if (control === undefined) return
    const so = found.get(control) ?? { refused: 0, changed: 0, observed: 0, last: time }
    found.set(control, {
      refused: so.refused + (more.refused ?? 0),
      changed: so.changed + (more.changed ?? 0),
      observed: so.observed + (more.observed ?? 0),
      last: time > so.last ? time : so.last,
    })
  }
  for await (const record of records) {
    if (record.kind === 'refusals') add(CONTROL_OF.get(record.code), record.time, { refused: record.count })
    if (record.kind !== 'outcome') continue
    if (record.code !== undefined) add(CONTROL_OF.get(record.code), record.time, { refused: 1 })
    // One call counts once for a control, however much of it was seen.
    const observed = new Set((record.decision?.observed ?? []).map(observedBy))
    for (const control of observed) add(control, record.time, { observed: 1 })
    for (const control of changedIn(record))
      if (!observed.has(control)) add(control, record.time, { changed: 1 })
  }
  return found
}

/** Controls that changed what passed. What was refused was not changed. */
function changedIn({ found, code = '' }: OutcomeRecord): ReadonlySet<string> {
  if (code.startsWith('CG_DLP_')) return new Set()
  return new Set((found?.places ?? []).map(placeControl))
}

/** Records tell a place as direction, JSON pointer and class. */
function placeControl(place: string): string {
  if (place.startsWith('arguments ')) return 'dlp.arguments'
  return /(?:^| )hidden_text\S*$/.test(place) ? 'dlp.hidden-text' : 'dlp.results'
}

function observedBy(name: string): string {
  const [, judge, dlp, found, where] = STAGE.exec(name) ?? []
  if (judge !== undefined) return judge === 'egress' ? 'egress.lists' : 'ownership.ids'
  if (dlp === undefined) return 'policy.default-deny'
  if (where === 'argument') return 'dlp.arguments'
  return found?.startsWith('hidden_text') === true ? 'dlp.hidden-text' : 'dlp.results'
}
