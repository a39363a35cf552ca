import type { ArgumentCheck, ParsedCall, ResolvedCall } from '../../call/call.ts'
import { Refusal } from '../../call/refusal.ts'
import { type Stage, SYNCHRONOUS_MS } from '../../call/stage.ts'

/** Longest place that is sent back, in UTF-16 units. */
const MAX_PLACE = 200

/**
 * Row 5: the arguments fit the tool's own pinned inputSchema, strictly: members that the schema does not name are refused
 * (mass assignment, OWASP API3:2023), and so is a number that would not reach the server as it was judged.
 * @param mayReach whether policy could allow any call of this caller to this tool: to the others a misfit tells nothing of it
 */
export function createSchemaStage(
  mayReach: (call: ResolvedCall) => boolean,
): Stage<ResolvedCall, ParsedCall> {
  return {
    name: 'schema',
    budgetMs: SYNCHRONOUS_MS,
    run(call) {
      // Also without a schema: the bytes go on verbatim, and policy must not judge another number than the server reads.
      if (!call.exactNumbers) {
        throw new Refusal('CG_SCHEMA_NUMBER', {
          internal: 'a number literal does not survive parse and stringify by value',
        })
      }
      const { schema } = call
      const misfit = schema === undefined ? undefined : misfitOf(call, schema)
      if (misfit === undefined) return { ...call, parsed: true }
      if (mayReach(call)) throw misfit
      throw new Refusal('CG_POLICY_NO_ALLOW', {
        internal: 'no rule could allow the tool, and what came does not fit it',
      })
    },
  }
}

function misfitOf(call: ResolvedCall, schema: ArgumentCheck): Refusal | undefined {
  const violation = schema.validate(call.args)
  if (violation === null) {
    const misfit =
      call.era === 'modern' ? schema.headers?.check(call.written ?? call.args, call.headers) : undefined
    if (misfit === undefined) return undefined
    return new Refusal('CG_WIRE_HEADER_MISMATCH', { publicText: misfit, internal: misfit })
  }
  if (violation.keyword === 'budget') {
    return new Refusal('CG_SCHEMA_BUDGET', {
      internal: `validation of \`${call.target.name}\` ran out of steps`,
    })
  }
  // The pointer holds names that the caller chose: it goes back to the caller and not into the record.
  const place = violation.pointer === '' ? '/' : violation.pointer.slice(0, MAX_PLACE)
  return new Refusal('CG_SCHEMA_VIOLATION', {
    publicText: `the arguments do not fit the tool's input schema at \`${place}\` (${violation.keyword}: expected ${violation.expected}); correct them and call again`,
    internal: `${violation.keyword}: expected ${violation.expected}`,
  })
}
