import assert from 'node:assert/strict'
import type { Json, JsonObject } from '../../../call/json.ts'
import { evaluateCall, readCall, type Evaluation } from '../call-file.ts'
import { compileCondition } from '../cel-compile.ts'
import { Frame } from '../cel-runtime.ts'
import { typeOfArguments } from '../cel-type.ts'
import { readPolicy } from '../document.ts'
import { factTypes, type PolicyCall } from '../facts.ts'
import { compilePolicy, type PolicySet } from '../policy-set.ts'
import { formatProblem } from '../problem.ts'
import type { PolicyTool } from '../rule-index.ts'

/** Noon of a day on which every test happens. */
export const NOW = Date.parse('2026-11-22T12:00:00Z')

/** The playbook's two rules, letter by letter (playbook.txt, Play 3). */
export const PLAYBOOK = `- rule: deny-bulk-without-ticket
  when: { tool: "crm.bulk_update", cond: "args.count > 1000 && !ctx.ticket" }
  decision: deny

- rule: block-ssrf
  when: { tool: "web.fetch", cond: "url.is_link_local || url.hostname in ['169.254.169.254']" }
  decision: deny
`

/** What must stand beside the playbook's rules for anything to be allowed. */
export const ALLOW_ALL = '- { rule: allow-all, when: { tool: "*" }, decision: allow }\n'

export const BULK: PolicyTool = tool('crm', 'bulk_update', {
  type: 'object',
  properties: {
    count: { type: 'integer' },
    tier: { type: 'string' },
    dry: { type: 'boolean' },
    price: { type: 'number' },
    ids: { type: 'array', items: { type: 'string' } },
    filter: { type: 'object', properties: { name: { type: 'string' } } },
  },
  required: ['count'],
})
export const FETCH: PolicyTool = tool('web', 'fetch', {
  type: 'object',
  properties: { url: { type: 'string' }, urls: { type: 'array', items: { type: 'string' } } },
})

export function tool(
  server: string,
  name: string,
  inputSchema: Json,
  toolClass: PolicyTool['class'] = 'write',
): PolicyTool {
  return { server, name, class: toolClass, labels: [], definition: { name, inputSchema } }
}

/** A sound policy, checked for tools. */
export function policy(yaml: string, tools: readonly PolicyTool[] = []): PolicySet {
  const compiled = compilePolicy([readPolicy('p.yaml', yaml)])
  if ('problems' in compiled) assert.fail(compiled.problems.map(formatProblem).join('\n'))
  compiled.set.recheck(tools)
  return compiled.set
}

/** Everything that is wrong with a policy, one line each. */
export function problemsOf(yaml: string, tools: readonly PolicyTool[] = []): string[] {
  const compiled = compilePolicy([readPolicy('p.yaml', yaml)])
  return ('problems' in compiled ? compiled.problems : compiled.set.recheck(tools).problems).map(
    formatProblem,
  )
}

export function callOf(value: JsonObject): PolicyCall {
  const read = readCall(value)
  if ('message' in read) assert.fail(read.message)
  return read.call
}

/** Decides a call of `<server>.<tool>`. */
export function ask(set: PolicySet, name: string, args: JsonObject = {}, more: JsonObject = {}): Evaluation {
  const [server = '', toolName = ''] = name.split('.')
  return evaluateCall(set, callOf({ server, tool: toolName, arguments: args, ...more }), NOW)
}

/** Compiles a condition for a tool and runs it on arguments; the message of what went wrong otherwise. */
export function run(
  cond: string,
  args: JsonObject = {},
  schema?: Json,
  facts: JsonObject = {},
): boolean | string {
  try {
    const condition = compileCondition(
      cond,
      factTypes(schema === undefined ? undefined : typeOfArguments(schema)),
    )
    return condition.test(new Frame({ args, url: null, ctx: {}, ...facts }))
  } catch (error) {
    assert.ok(error instanceof Error && /^(ConditionError|EvaluationFault)$/.test(error.name), String(error))
    return `${error.name}: ${error.message}`
  }
}
