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

/** Parses a condition in CEL. @throws ConditionError with the character where the text goes wrong */
export function parseCondition(text: string): ASTNode {
  try {
    return parser.parse(text).ast
  } catch (error) {
    if (error instanceof ParseError) {
      const summary = error.summary.charAt(0).toLowerCase() + error.summary.slice(1)
      throw new ConditionError(
        error.range?.start ?? 0,
        `${summary.replaceAll('\n', ' ')} (expected a CEL expression)`,
      )
    }
    // The parser recurses over unary operators: a long run of `!` ends here.
    throw new ConditionError(0, 'condition is nested too deeply (expected a CEL expression)')
  }
}
