import type { EvidenceRecord, StoredRecord } from '@callgate/evidence'
import { registry } from '../errors/registry.ts'
import { proposedExceptions } from './dlp-exceptions.ts'
import { recordsOf } from './evidence.ts'
import { print, printJson } from './output.ts'
import { safeText } from '../text/safe-text.ts'
import { callerOf, targetOf } from './sentences.ts'
import type { World } from './world.ts'

/** `callgate explain ID`: who, for whom, what, the decision, the rule, why, and what to do. Plain sentences first. */
export async function explain(world: World, id: string, options: { json?: boolean }): Promise<void> {
  const stored = await recordsOf(world, id)
  if (options.json === true) return printJson(stored)
  for (const line of explanation(stored)) print(line)
  const last = stored.at(-1)?.record
  const proposed = last?.kind === 'outcome' ? proposedExceptions(last, world.now()) : []
  if (proposed.length === 0) return
  print('If that is no fault, the narrowest exception is this; `callgate check` reads it (docs/dlp.md):')
  for (const line of proposed) print(line)
}

/** The sentences of `explain`, from the last record of a call to the first. */
export function explanation(stored: readonly StoredRecord[]): string[] {
  const last = stored.at(-1)?.record
  if (last === undefined) return []
  if (last.kind !== 'intent' && last.kind !== 'outcome') return [safeText(JSON.stringify(last))]
  const signed = stored.every((each) => each.signed)
  return [
    `${last.time}: ${callerOf(last)} called ${targetOf(last)} (class ${last.call.class ?? 'unknown'}).`,
    ...(last.session === undefined
      ? []
      : [
          `Session ${last.session}, chain ${safeText(last.chain ?? '')}, tenant ${safeText(last.tenant ?? '')}.`,
        ]),
    ...decided(last),
    ...found(last),
    ...ended(last),
    `Record${stored.length > 1 ? 's' : ''} ${stored.map((each) => each.index).join(' and ')} of the log, ${signed ? 'signed' : 'durable, not all under a signed checkpoint yet'}.`,
  ]
}

function decided(record: Extract<EvidenceRecord, { kind: 'intent' | 'outcome' }>): string[] {
  const { decision } = record
  if (decision === undefined) return ['It ended before policy was asked.']
  const rules = decision.rules.map((rule) => safeText(rule)).join(', ')
  const why: Record<string, string> = {
    rule: `by rule ${rules}`,
    rule_error: `because a denying rule could not be evaluated (${rules}), and such a rule applies`,
    no_rule_allows: 'because no rule allows it, and the default is to deny',
  }
  const lines = [`Policy decided ${decision.effect}, ${why[decision.reason] ?? decision.reason}.`]
  const observed = decision.observed ?? []
  if (observed.length > 0)
    lines.push(`Rules in observe mode that would have matched: ${safeText(observed.join(', '))}.`)
  const facts = Object.entries(decision.facts ?? {})
  if (facts.length > 0)
    lines.push(
      `Facts that the rules read: ${safeText(facts.map(([path, value]) => `${path} = ${shown(value)}`).join(', '))}.`,
    )
  return lines
}

/** A fact as the record has it; a value from arguments stands there as a keyed hash only. */
function shown(value: unknown): string {
  if (Array.isArray(value)) return value.map(shown).join(' and ')
  return typeof value === 'object' && value !== null && 'mac' in value
    ? '(keyed hash)'
    : JSON.stringify(value)
}

/** What the data held, by class, and what became of it. */
function found({ found: data }: Extract<EvidenceRecord, { kind: 'intent' | 'outcome' }>): string[] {
  const said = (what: string, counts: Readonly<Record<string, number>> | undefined): string[] =>
    counts === undefined
      ? []
      : [
          `${what}: ${Object.entries(counts)
            .map(([name, count]) => `${count} ${safeText(name)}`)
            .join(', ')}.`,
        ]
  return [
    ...said('The arguments held', data?.arguments),
    ...said('Put back for placeholders', data?.restored),
    ...said('The answer held', data?.result),
    ...said('Let pass by an exception', data?.excepted),
  ]
}

function ended(record: Extract<EvidenceRecord, { kind: 'intent' | 'outcome' }>): string[] {
  if (record.kind === 'intent')
    return ['It was about to be sent; no outcome is recorded, so nobody can say whether it took effect.']
  const took = `${Math.round(record.ms)} ms`
  if (record.outcome === 'answered' && record.replayed !== undefined)
    return [`It did not run: it repeats call ${safeText(record.replayed)}, and got its answer after ${took}.`]
  if (record.outcome === 'answered') return [`The server answered after ${took}.`]
  const { code = '' } = record
  const entry = Object.entries(registry).find(([known]) => known === code)?.[1]
  return [
    `It was ${record.outcome === 'unknown' ? 'sent, and its fate is unknown' : record.outcome} after ${took}: ${code}${record.internal === undefined ? '' : ` (${safeText(record.internal)})`}.`,
    ...(entry === undefined ? [] : [`What to do: ${entry.fix}.`]),
  ]
}
