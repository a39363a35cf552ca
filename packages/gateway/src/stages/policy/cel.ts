import { Environment, ParseError, type ASTNode } from '@marcbachmann/cel-js'

/** Most nodes of one condition, macros' bodies included. */
export const MAX_NODES = 1_000
/** Deepest nesting of parentheses, calls and lists. */
const MAX_DEPTH = 64

/** A condition that is wrong, and the character of its text where. */
export class ConditionError extends Error {
  override readonly name = 'ConditionError'
  readonly index: number

  constructor(index: number, message: string) {
    super(message)
    this.index = index
  }
}

/**
 * Only the parser of cel-js is used. Its evaluator has no run-time bound, copies no null into absent members, reads
 * JSON integers as doubles and takes regular expressions to V8; cel-compile.ts makes closures of the tree instead.
 */
const parser = new Environment({
  unlistedVariablesAreDyn: true,
  limits: {
    maxAstNodes: MAX_NODES,
    maxDepth: MAX_DEPTH,
    maxListElements: 500,
    maxMapEntries: 100,
    maxCallArguments: 4,
  },
})

/** How other languages write what CEL writes otherwise. */
const BORROWED: Readonly<Record<string, string>> = { and: '&&', or: '||', not: '!', '=': '==' }

/** A word or sign of another language at which the parser stopped, or into which it had read. */
function borrowedSign(text: string, index: number): ConditionError | undefined {
  for (const { 0: sign, index: start } of text.matchAll(/\b(?:and|or|not)\b|(?<![=!<>])=(?!=)/gi)) {
    if (index < start || index > start + sign.length + 1) continue
    const own = BORROWED[sign.toLowerCase()] ?? ''
    return new ConditionError(start, `\`${sign}\` is not CEL (expected \`${own}\`)`)
  }
  if (text.startsWith('.?', index - 1) || text.startsWith('[?', index - 1))
    return new ConditionError(
      index - 1,
      'optional access is not part of conditions (absent members are null)',
    )
  return text.trim() === '' ? new ConditionError(0, '`cond` is empty (expected a CEL expression)') : undefined
}

/** Parses a condition in CEL. @throws ConditionError with the character where the text goes wrong */
export function parseCondition(text: string): ASTNode {
  try {
    return parser.parse(text).ast
  } catch (error) {
    if (error instanceof ParseError) {
      const index = error.range?.start ?? 0
      const borrowed = borrowedSign(text, index)
      if (borrowed !== undefined) throw borrowed
      const summary = error.summary.charAt(0).toLowerCase() + error.summary.slice(1)
      throw new ConditionError(index, `${summary.replaceAll('\n', ' ')} (expected a CEL expression)`)
    }
    // The parser recurses over unary operators: a long run of `!` ends here.
    throw new ConditionError(0, 'condition is nested too deeply (expected a CEL expression)')
  }
}
