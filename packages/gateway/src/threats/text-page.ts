import { firedWords, itemsOf, type PageControl, STATE_WORDS, type ThreatPage } from './page.ts'
import { FRAMEWORK_IDS } from './standards.ts'

const ORDER = ['first', 'second', 'third', 'fourth', 'fifth', 'sixth', 'seventh', 'eighth']

/** The page for a terminal, as lines. */
export function textPage(page: ThreatPage): string[] {
  const controls = new Map(page.controls.map((control) => [control.id, control]))
  const lines = [summary(page), '']
  let phase = ''
  for (const threat of page.threats) {
    if (threat.phase !== phase) lines.push(threat.phase.toUpperCase())
    phase = threat.phase
    lines.push(`  ${threat.title} (${threat.id})`)
    lines.push(`    ${threat.story}`)
    for (const flag of threat.flags) lines.push(`    ! ${flag}`)
    threat.chain.forEach((id, i) => lines.push(`    breaks ${ORDER[i]}: ${withState(id, controls)}`))
    if (threat.controls.length > 0)
      lines.push(`    bounded by: ${threat.controls.map((id) => bare(id, controls)).join(', ')}`)
    for (const { name, kind, text } of itemsOf(threat.detections))
      lines.push(kind === 'planned' ? `    not yet seen: ${text} (${name})` : `    seen by: ${name}: ${text}`)
    for (const { name, kind, text } of itemsOf(threat.response))
      lines.push(kind === 'planned' ? `    not yet: ${text} (${name})` : `    then: ${name}: ${text}`)
    lines.push(`    proven by: ${threat.tests.join(', ')}`)
    lines.push(`    ids: ${FRAMEWORK_IDS.flatMap((id) => threat.standards[id]).join(', ')}`)
    lines.push(`    owner: ${threat.owner}`)
    if (threat.accepted !== undefined)
      lines.push(
        `    accepted by ${threat.accepted.by} until ${threat.accepted.until}: ${threat.accepted.risk}`,
      )
    lines.push('')
  }
  if (page.config !== undefined || page.log !== undefined) {
    lines.push('CONTROLS')
    for (const control of page.controls) lines.push(`  ${controlLine(page, control)}`)
  }
  return lines
}

/** How many threats, how many controls are on, and where that comes from. */
export function summary({ threats, controls, config, log }: ThreatPage): string {
  const flagged = threats.filter(({ flags }) => flags.length > 0).length
  const on = controls.filter(({ state }) => state?.state === 'enforce').length
  const partly = controls.filter(({ state }) => state?.state === 'partly').length
  const parts = [`${threats.length} threats, ${flagged} with a flag`]
  if (config !== undefined)
    parts.push(`${on} of ${controls.length} controls on, ${partly} in part, by ${config}`)
  else parts.push('no configuration: whether a control is on is not told')
  if (log !== undefined) parts.push(`firings of ${log}`)
  return parts.join('; ')
}

function withState(id: string, controls: ReadonlyMap<string, PageControl>): string {
  const state = controls.get(id)?.state
  if (state === undefined) return id
  return `${id}, ${STATE_WORDS[state.state]}${state.note === undefined ? '' : `: ${state.note}`}`
}

function bare(id: string, controls: ReadonlyMap<string, PageControl>): string {
  const state = controls.get(id)?.state?.state
  return state === undefined || state === 'enforce' ? id : `${id} (${STATE_WORDS[state]})`
}

function controlLine(page: ThreatPage, control: PageControl): string {
  const state = control.state === undefined ? '' : `${STATE_WORDS[control.state.state]}; `
  const fired = firedWords(page, control)
  return `${control.id}: ${state}${control.does}${fired === undefined ? '' : ` (${fired})`}`
}
