import { NodeCompiler } from './compile-node.ts'
import { measureExpansion } from './expansion.ts'
import { DEFAULT_LIMITS, type SchemaLimits } from './limits.ts'
import { measureSchema } from './measure.ts'
import { pointerTo } from './pointer.ts'
import { Resources } from './resources.ts'
import { BudgetSpent, createRun, type Check, type Run } from './run.ts'

export { SchemaRefused } from './schema-refused.ts'
export type { SchemaLimits } from './limits.ts'

/** How a schema is compiled. */
export interface CompileOptions {
  /** Refuse members that the schema does not declare, on objects that declare `properties`. Default true. */
  readonly strict?: boolean
  /** Bounds to change; the rest keep their defaults. */
  readonly limits?: Partial<SchemaLimits>
  /** Documents that `$ref` may lead to, by absolute URI without a fragment. For tests; nothing is ever fetched. */
  readonly remotes?: ReadonlyMap<string, unknown>
}

/** The first thing that is wrong with a value, in a fixed order. */
export interface Violation {
  /** JSON pointer (RFC 6901) into the value. */
  readonly pointer: string
  /** Keyword that failed; `false` for a schema that is false, `budget` when the steps or the nesting ran out. */
  readonly keyword: string
  /** What the schema wants there. Made at load from the schema, so it holds nothing of the value. */
  readonly expected: string
}

/** A schema as a judge of values that came from JSON.parse. */
export interface CompiledSchema {
  /** @returns null when the value satisfies the schema. Bounded by `limits.steps`; never throws, never overflows. */
  validate(value: unknown): Violation | null
}

/**
 * Compiles a tool's schema (JSON Schema 2020-12, or the older editions it names) to closures. No code is generated,
 * nothing is fetched, patterns run in linear time, `format` is an annotation.
 * @throws SchemaRefused for whatever cannot be judged exactly: too large, malformed, or beyond this compiler.
 */
export function compileSchema(schema: unknown, options: CompileOptions = {}): CompiledSchema {
  const limits: SchemaLimits = { ...DEFAULT_LIMITS, ...options.limits }
  measureSchema(schema, limits)
  const resources = new Resources(schema, options.remotes ?? new Map())
  const check = compileWith(resources, schema, options.strict ?? true, limits)
  const run = createRun(limits)
  return {
    validate(value) {
      run.stepsLeft = limits.steps
      run.nesting = 0
      run.path.length = 0
      run.scope.length = 0
      try {
        return check(value, run, null)
          ? null
          : { pointer: pointerOf(run), keyword: run.keyword, expected: run.expected }
      } catch (error) {
        if (!(error instanceof BudgetSpent)) throw error
        return { pointer: '', keyword: 'budget', expected: `a value that takes ${error.message}` }
      }
    },
  }
}

function compileWith(resources: Resources, schema: unknown, strict: boolean, limits: SchemaLimits): Check {
  for (;;) {
    const { dynamic } = resources
    const compiler = new NodeCompiler(resources, limits)
    const check = compiler.whole(schema, strict)
    measureExpansion(compiler.compiled(), resources, limits)
    // A reference into an unknown keyword may have brought the first `$dynamicRef`: then all scopes must be kept.
    if (dynamic === resources.dynamic) return check
  }
}

function pointerOf(run: Run): string {
  return run.path.toReversed().reduce<string>(pointerTo, '')
}
