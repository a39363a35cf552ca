/** Unchanged lines shown around a change. */
const CONTEXT = 3

interface Line {
  readonly sign: ' ' | '-' | '+'
  readonly text: string
}

/**
 * A unified diff of two texts, without the lines of the file names; nothing when they are the same.
 * The texts must be masked before: what stands here is shown to whoever looks at the screen.
 */
export function unifiedDiff(before: string, after: string): string[] {
  const lines = compare(linesOf(before), linesOf(after))
  const near = lines.map((_, index) =>
    lines.slice(Math.max(0, index - CONTEXT), index + CONTEXT + 1).some(({ sign }) => sign !== ' '),
  )
  const shown: string[] = []
  let [old, fresh] = [1, 1]
  for (const [index, { sign, text }] of lines.entries()) {
    if (near[index] === true) {
      if (index === 0 || near[index - 1] === false) shown.push(`@@ -${old} +${fresh} @@`)
      shown.push(`${sign}${text}`)
    }
    if (sign !== '+') old++
    if (sign !== '-') fresh++
  }
  return shown
}

function linesOf(text: string): string[] {
  const lines = text.split(/\r?\n/)
  if (lines.at(-1) === '') lines.pop()
  return lines
}

/** Shortest way from one list of lines to the other (Myers 1986); the cost grows with what differs, not with the file. */
function compare(a: readonly string[], b: readonly string[]): Line[] {
  const trace: Map<number, number>[] = []
  const reach = new Map([[1, 0]])
  for (let steps = 0; ; steps++) {
    trace.push(new Map(reach))
    for (let k = -steps; k <= steps; k += 2) {
      let x = comesDown(reach, k, steps) ? at(reach, k + 1) : at(reach, k - 1) + 1
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x++
      reach.set(k, x)
      if (x >= a.length && x - k >= b.length) return backwards(trace, a, b)
    }
  }
}

function backwards(
  trace: readonly Map<number, number>[],
  a: readonly string[],
  b: readonly string[],
): Line[] {
  const lines: Line[] = []
  let x = a.length
  let y = b.length
  for (let steps = trace.length - 1; steps >= 0; steps--) {
    const reach = trace[steps] ?? new Map<number, number>()
    const k = x - y
    const from = comesDown(reach, k, steps) ? k + 1 : k - 1
    const startX = steps === 0 ? 0 : at(reach, from)
    const startY = steps === 0 ? 0 : startX - from
    while (x > startX && y > startY) {
      x--
      y--
      lines.push({ sign: ' ', text: a[x] ?? '' })
    }
    if (x > startX) lines.push({ sign: '-', text: a[--x] ?? '' })
    else if (y > startY) lines.push({ sign: '+', text: b[--y] ?? '' })
  }
  return lines.reverse()
}

function comesDown(reach: ReadonlyMap<number, number>, k: number, steps: number): boolean {
  return k === -steps || (k !== steps && at(reach, k - 1) < at(reach, k + 1))
}

function at(reach: ReadonlyMap<number, number>, k: number): number {
  return reach.get(k) ?? -1
}
