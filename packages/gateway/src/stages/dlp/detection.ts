import type { Json } from '../../call/json.ts'
import { type Detector, DetectorDown } from '../../ports/detector.ts'
import type { Finding } from '../../text/finding.ts'
import { type Screening, screenValue } from '../../text/screen.ts'

export type Scan = Screening['scan']

/** The operator's detector, beside our own scanner. */
export interface DlpDetector {
  readonly detector: Detector
  /** What becomes of a call that it did not answer for. */
  readonly onFailure: 'deny' | 'pass'
  /** Milliseconds that it may take, beside the budget of a stage. */
  readonly timeoutMs: number
  /** Told why a call passed unseen by it. */
  readonly onProblem: (problem: string) => void
}

/** Class of a call that passed unseen by the detector, in its record. */
export const DETECTOR_DOWN = 'detector_down'

/** How a value is scanned, and what the record says of that. */
export interface Detection {
  readonly scan: Scan
  readonly isDown: boolean
}

/**
 * Asks the detector about every text that screening will see in a value, JSON and base64 in texts included: those of one direction
 * in one question.
 * @param mayPass whether a value passes that it does not answer for
 * @throws DetectorDown
 */
export async function detectIn(
  value: Json,
  scan: Scan,
  { detector, onProblem }: DlpDetector,
  mayPass: boolean,
  signal: AbortSignal,
): Promise<Detection> {
  const texts = textsIn(value)
  if (texts.length === 0) return { scan, isDown: false }
  let found: ReadonlyMap<string, readonly Finding[]>
  try {
    found = await detector.detect(texts, signal)
  } catch (cause) {
    if (!(cause instanceof DetectorDown) || !mayPass) throw cause
    onProblem(cause.message)
    return { scan, isDown: true }
  }
  if (found.size === 0) return { scan, isDown: false }
  return {
    scan: (text, isFile) => beside(scan(text, isFile), found.get(text) ?? [], text),
    isDown: false,
  }
}

/** The texts of a value as screening reads them, each once; files are not text. */
function textsIn(value: Json): readonly string[] {
  const texts = new Set<string>()
  screenValue(value, {
    scan: (text, isFile) => {
      if (!isFile && /\S\S/.test(text)) texts.add(text)
      return []
    },
    actionOf: () => 'count',
    hash: () => '',
    keep: () => '',
  })
  return [...texts]
}

/**
 * Our own findings, and what the detector found beside them: of a name that holds an address of mail the rest is a name still.
 * @param own in the order of the text, none over another
 * @returns the same
 */
export function beside(
  own: readonly Finding[],
  detected: readonly Finding[],
  text: string,
): readonly Finding[] {
  if (detected.length === 0) return own
  const all: Finding[] = [...own]
  const sorted = detected.toSorted((a, b) => a.start - b.start || b.end - a.end)
  let [next, covered] = [0, 0]
  for (const finding of sorted) {
    let start = Math.max(finding.start, covered)
    covered = Math.max(covered, finding.end)
    while ((own[next]?.end ?? Infinity) <= start) next++
    for (let i = next; start < finding.end; i++) {
      const until = Math.min(own[i]?.start ?? Infinity, finding.end)
      // Spaces and commas around what was cut out are no name.
      if (/[\p{L}\p{N}]/u.test(text.slice(start, until))) all.push({ ...finding, start, end: until })
      start = Math.max(start, own[i]?.end ?? Infinity)
    }
  }
  return all.toSorted((a, b) => a.start - b.start)
}
