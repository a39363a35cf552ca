import { DetectorDown } from '../../ports/detector.ts'
import type { Finding } from '../../text/finding.ts'

/** Between two texts: a paragraph ends, so that no sentence goes on in the next. */
const SEPARATOR = '\n\n'

/** What a detector found in the joined text, in code points. */
export interface Span {
  readonly class: string
  readonly start: number
  readonly end: number
  readonly score: number
}

/** Several texts as one, and the way back. */
export class JoinedTexts {
  readonly text: string
  /** Code points of the whole: what offsets are checked against. */
  readonly length: number
  readonly #texts: readonly string[]
  /** UTF-16 offset of each code point; undefined where they are the same. */
  readonly #units: Uint32Array | undefined

  constructor(texts: readonly string[]) {
    this.#texts = texts
    // Half of a pair is one code point to everybody and stays one, but no UTF-8 can carry it.
    this.text = texts.join(SEPARATOR).toWellFormed()
    this.#units = /[\ud800-\udbff]/.test(this.text) ? unitsOf(this.text) : undefined
    this.length = this.#units === undefined ? this.text.length : this.#units.length - 1
  }

  /**
   * Findings by text. What reaches over a separator is found in both texts.
   * @throws DetectorDown for a span that is outside, or none
   */
  apart(spans: readonly Span[]): ReadonlyMap<string, readonly Finding[]> {
    const found = new Map<string, Finding[]>()
    const sorted = spans.toSorted((a, b) => a.start - b.start)
    let [first, begin] = [0, 0]
    for (const span of sorted) {
      const [start, end] = [this.#unit(span.start), this.#unit(span.end)]
      if (start === undefined || end === undefined || start >= end)
        throw new DetectorDown('the detector answered offsets that lie outside of the text')
      while (first < this.#texts.length && begin + (this.#texts[first] ?? '').length <= start)
        begin += (this.#texts[first++] ?? '').length + SEPARATOR.length
      for (let [i, from] = [first, begin]; i < this.#texts.length && from < end; i++) {
        const text = this.#texts[i] ?? ''
        const within = { start: Math.max(0, start - from), end: Math.min(text.length, end - from) }
        if (within.start < within.end) {
          const findings = found.get(text) ?? []
          found.set(text, findings)
          findings.push({ class: span.class, score: span.score, ...within })
        }
        from += text.length + SEPARATOR.length
      }
    }
    return found
  }

  #unit(point: number): number | undefined {
    if (!Number.isInteger(point) || point < 0 || point > this.length) return undefined
    return this.#units === undefined ? point : this.#units[point]
  }
}

/** The offset of each code point, and of the end. */
function unitsOf(text: string): Uint32Array {
  const units = new Uint32Array(text.length + 1)
  let points = 0
  for (let at = 0; at < text.length; at += (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1) units[points++] = at
  units[points++] = text.length
  return units.subarray(0, points)
}
