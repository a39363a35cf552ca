/** How a scalar is written in YAML, by the names of the yaml package. */
export interface ScalarSource {
  readonly type: string | undefined
  /** Offset of the first character in the file, quotes and block header included. */
  readonly start: number
  readonly end: number
}

/**
 * Offset in the file of a character of a scalar's value, so that an error in a condition points into the YAML.
 * Exact for every character that is not folded white space, in plain, quoted and block scalars.
 */
export function offsetInFile(text: string, source: ScalarSource, value: string, index: number): number {
  const isBlock = source.type === 'BLOCK_LITERAL' || source.type === 'BLOCK_FOLDED'
  const isDouble = source.type === 'QUOTE_DOUBLE'
  const isSingle = source.type === 'QUOTE_SINGLE'
  let at = source.start
  if (isBlock) at = text.indexOf('\n', at) + 1
  else if (isDouble || isSingle) at++
  at = skipBlank(text, at, source.end)
  const until = Math.min(index, value.length)
  for (let i = 0; i < until; i++) {
    const char = value.charAt(i)
    if (isDouble && text[at] === '\\') at += escapeLength(text, at)
    else if (isSingle && char === "'") at += 2
    else if (char === ' ' || char === '\n') at = text[at] === char ? at + 1 : skipBlank(text, at, source.end)
    else at++
    // What comes next is not blank: indentation and folded lines lie before it.
    const next = value[i + 1]
    if (next !== undefined && next !== ' ' && next !== '\n' && next !== '\t') {
      at = skipBlank(text, at, source.end)
      if (isDouble) at = skipContinuations(text, at, source.end)
    }
  }
  return Math.min(at, source.end)
}

/** A backslash at the end of a line joins it to the next (YAML 1.2 section 7.3.1). */
function skipContinuations(text: string, from: number, end: number): number {
  let at = from
  while (text[at] === '\\' && text[at + 1] === '\n') at = skipBlank(text, at + 2, end)
  return at
}

function skipBlank(text: string, from: number, end: number): number {
  let at = from
  while (at < end && /[ \t\r\n]/.test(text.charAt(at))) at++
  return at
}

function escapeLength(text: string, at: number): number {
  switch (text[at + 1]) {
    case 'x':
      return 4
    case 'u':
      return 6
    case 'U':
      return 10
    default:
      return 2
  }
}
