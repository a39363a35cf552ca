/** One change of a text: what stands from `start` up to `end` becomes `text`. */
export interface Edit {
  readonly start: number
  readonly end: number
  readonly text: string
}

/** A text after edits that do not overlap; everything outside of them stays byte for byte. */
export function applyEdits(text: string, edits: readonly Edit[]): string {
  let result = ''
  let at = 0
  for (const edit of edits.toSorted((a, b) => a.start - b.start || a.end - b.end)) {
    if (edit.start < at) throw new TypeError('edits overlap')
    result += text.slice(at, edit.start) + edit.text
    at = edit.end
  }
  return result + text.slice(at)
}

/** The line end that a text uses; `\n` where it has none. */
export function lineEndOf(text: string): '\r\n' | '\n' {
  return text.includes('\r\n') ? '\r\n' : '\n'
}

/** Line and column of an offset, both from 1. */
export function placeOf(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset)
  return {
    line: before.split('\n').length,
    column: offset - (before.lastIndexOf('\n') + 1) + 1,
  }
}

/** A range grown over its whole lines when nothing but blanks is left on them; a line end before it goes with it. */
export function wholeLines(text: string, start: number, end: number): { start: number; end: number } {
  const lineStart = text.lastIndexOf('\n', start - 1) + 1
  const next = text.indexOf('\n', end)
  const lineEnd = next === -1 ? text.length : next
  const blank = /^[ \t\r]*$/
  if (lineStart === 0 || !blank.test(text.slice(lineStart, start)) || !blank.test(text.slice(end, lineEnd)))
    return { start, end }
  const from = lineStart - 1
  const to = lineEnd - (text[lineEnd - 1] === '\r' && lineEnd > end ? 1 : 0)
  return { start: text[from - 1] === '\r' ? from - 1 : from, end: to }
}
