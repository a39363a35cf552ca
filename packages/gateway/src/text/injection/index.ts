import type { Finding, Surface } from '../finding.ts'
import { readings, type Reading } from '../normalise.ts'
import { joinedFields, jsonTexts } from './fields.ts'
import { calibrated, peak, shippedModel, type Model } from './model.ts'
import { MODEL } from './weights.ts'

/** From this score on a text counts as an injection, the same on every surface. Set by training, see docs/injection-model.md. */
export const INJECTION_THRESHOLD = MODEL.threshold

/** A score from 0 to 1, calibrated as a probability over equally many attacks and harmless texts, and where it comes from. */
export interface InjectionScore {
  readonly score: number
  /** At most one: the window that looks most like an instruction to the model. */
  readonly findings: Finding[]
}

/**
 * How much a text looks like an instruction to the model that reads it. A signal for policy and taint, never the only net:
 * a plain wish without any address or override reads like harmless text, and is. Deterministic; linear in the text.
 */
export function scoreInjection(text: string, surface: Surface): InjectionScore {
  return scored(text, surface, shippedModel())
}

/** `scoreInjection` with a model of the caller's: for training. */
export function scored(text: string, surface: Surface, model: Model): InjectionScore {
  const best = highest(text, surface, model)
  const score = calibrated(best.sum, model)
  if (!(score >= INJECTION_THRESHOLD)) return { score, findings: [] }
  return { score, findings: [{ class: 'injection', start: best.start, end: best.end, score }] }
}

/**
 * Scores fields that a model reads together, such as name, description and parameter descriptions of one tool: each alone,
 * then all joined, so that an instruction cannot hide in the seams. Offsets count in the fields joined by line breaks.
 */
export function scoreFields(fields: readonly string[], surface: Surface): InjectionScore {
  const whole = scoreInjection(fields.join('\n'), surface)
  const joined = scoreInjection(joinedFields(fields), surface)
  if (joined.score <= whole.score) return whole
  const { score } = joined
  const end = fields.reduce((sum, field) => sum + field.length + 1, -1)
  const findings =
    joined.findings.length === 0 ? [] : [{ class: 'injection', start: 0, end: Math.max(0, end), score }]
  return { score, findings }
}

interface Placed {
  readonly sum: number
  readonly start: number
  readonly end: number
}

function highest(text: string, surface: Surface, model: Model): Placed {
  let best: Placed = { sum: -Infinity, start: 0, end: 0 }
  const consider = (reading: Reading, whole: boolean): void => {
    const found = peak(reading.text, surface, reading.encoded, model)
    if (found.sum <= best.sum) return
    const [a, b] = whole ? [0, text.length] : [reading.origin(found.start), reading.origin(found.end)]
    best = { sum: found.sum, start: Math.min(a, b), end: Math.max(a, b) }
  }
  for (const reading of readings(text)) consider(reading, false)
  const fields = jsonTexts(text)
  if (fields.length > 1) {
    // Readings of the joined text, of which only the place is known that all fields share.
    for (const reading of readings(joinedFields(fields))) consider(reading, true)
  }
  return best
}
