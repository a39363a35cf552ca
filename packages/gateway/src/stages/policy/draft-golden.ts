import { Document, isMap, isScalar, isSeq, visit } from 'yaml'
import type { ToolClass } from '../../call/call.ts'
import type { Decision, Effect } from '../../call/decision.ts'
import { isJsonObject, member, type Json, type JsonObject } from '../../call/json.ts'
import { evaluateCall, readCall, type Evaluation } from './call-file.ts'
import { DraftError, type Pin } from './draft-condition.ts'
import type { DraftedRule } from './draft.ts'
import type { PolicyCall } from './facts.ts'
import type { PolicySet } from './policy-set.ts'
import type { PolicyTool } from './rule-index.ts'

/** One case of a golden file. */
export interface DraftedCase {
  readonly title: string
  readonly call: JsonObject
  readonly expect: { readonly effect: Decision['effect'] | Effect; readonly rules: readonly string[] }
}

export interface GoldenOptions {
  /** The policy without the rule, and with it; both checked against the pinned tools. */
  readonly before: PolicySet
  readonly after: PolicySet
  readonly tools: readonly PolicyTool[]
  readonly pins: readonly Pin[]
  /** Milliseconds since the epoch. */
  readonly now: number
}

const WORDS = { allow: 'allowed', deny: 'denied', defer: 'deferred', step_up: 'held up' } as const

/**
 * What a drafted rule must come to: the call itself, and its near misses, which come to what they came to before. A near
 * miss differs from the call in one thing that the rule is bound to, so whoever widens the rule there sees it fail.
 * @throws DraftError when the policy as a whole does not decide the call as the rule does, or nothing would show how
 * narrow the rule is
 */
export function draftCases(call: PolicyCall, rule: DraftedRule, options: GoldenOptions): DraftedCase[] {
  const { before, after, pins } = options
  const { decision, rule: id } = rule
  const judge = (set: PolicySet, file: JsonObject): Evaluation => {
    const read = readCall(file, options.tools)
    if ('message' in read) throw new DraftError(`the call cannot be written down: ${read.message}`)
    return evaluateCall(set, read.call, options.now)
  }
  const reads = new Set(after.rules.flatMap((one) => [...one.reads]))
  const whole = callFile(call, reads)
  const got = judge(after, whole)
  if (got.effect !== decision || !got.rules.includes(id))
    throw new DraftError(
      `with the rule the policy would still ${got.effect} the call (${got.rules.join(', ') || got.reason})`,
    )
  // Of the arguments the file holds no more than the case needs: nobody should find a secret in a test.
  const few = callFile({ ...call, args: onlyPinned(pins) }, reads)
  const short = judge(after, few)
  const written = short.effect === got.effect && String(short.rules) === String(got.rules) ? few : whole
  const cases = new Map<string, DraftedCase>()
  for (const { what, file } of nearMisses(call, written, options)) {
    const was = judge(before, file)
    const is = judge(after, file)
    const same = was.effect === is.effect && !is.rules.includes(id)
    // Where another rule decides, the case would say nothing of this one.
    const tells = decision === 'deny' || (was.effect === 'deny' && was.rules.length === 0)
    if (cases.has(what) || !same || !tells) continue
    const title = `${what} is ${WORDS[was.effect]} as before`
    cases.set(what, { title, call: file, expect: { effect: was.effect, rules: was.rules } })
  }
  if (cases.size === 0)
    throw new DraftError('no near miss of the call would show that the rule is no wider than it')
  const title = `the recorded call is ${WORDS[decision]}`
  return [{ title, call: written, expect: { effect: decision, rules: got.rules } }, ...cases.values()]
}

/**
 * Cases as a golden file.
 * @param head comment lines, without `#`
 * @param tools whose definitions the conditions are checked against
 */
export function goldenText(
  head: readonly string[],
  cases: readonly DraftedCase[],
  tools: readonly PolicyTool[],
): string {
  const definitions = tools.map(({ server, name, class: toolClass, definition }) => ({
    server,
    name,
    class: toolClass,
    inputSchema: member(definition, 'inputSchema') ?? {},
  }))
  const documents: object[] = [...(definitions.length === 0 ? [] : [{ tools: definitions }]), ...cases]
  return head.map((line) => `# ${line}\n`).join('') + documents.map(yamlOf).join('---\n')
}

/** What has no structure below it stands in one line, as a person would write it. */
function yamlOf(value: object): string {
  const isPlain = (node: unknown): boolean => isScalar(node) || (isSeq(node) && node.items.every(isScalar))
  const document = new Document(value, { aliasDuplicateObjects: false })
  visit(document, {
    Map: (key, map) => void (map.flow = key !== null && map.items.every(({ value: one }) => isPlain(one))),
    Seq: (_key, list) => void (list.flow = !list.items.some(isMap)),
  })
  return document.toString({ lineWidth: 0, flowCollectionPadding: true })
}

interface NearMiss {
  readonly what: string
  readonly file: JsonObject
}

/** Calls that differ in one thing; of those that differ in the same thing the likelier one comes first. */
function nearMisses(call: PolicyCall, file: JsonObject, { tools, pins }: GoldenOptions): NearMiss[] {
  const { target, caller } = call
  const args = member(file, 'arguments')
  const actor = member(file, 'actor')
  const withActor = (change: JsonObject) => ({
    ...file,
    actor: { ...(isJsonObject(actor) ? actor : {}), ...change },
  })
  return [
    ...otherNames(call, tools).map((name) => ({
      what: target.kind === 'tool' ? 'another tool of the server' : `another ${target.kind}`,
      file: { ...file, [target.kind]: name },
    })),
    ...CLASSES.filter((one) => target.kind === 'tool' && one !== call.class).map((one) => ({
      what: 'the same tool in another class',
      file: { ...file, class: one },
    })),
    { what: 'another actor', file: withActor({ id: `${caller.actor.id}-other` }) },
    { what: 'another tenant', file: withActor({ tenant: `${caller.tenant}-other` }) },
    ...pins.map(({ path, members, value }) => ({
      what: `another value of ${path}`,
      file: { ...file, arguments: put(isJsonObject(args) ? args : {}, members, otherValue(value)) },
    })),
  ]
}

const CLASSES: readonly ToolClass[] = ['destructive', 'write', 'egress', 'memory', 'poll', 'read']

/** Tools of the same class come first, since they are what a wider rule would open. */
function otherNames({ target, class: own }: PolicyCall, tools: readonly PolicyTool[]): string[] {
  const others = tools.filter(
    ({ server, name }) => target.kind === 'tool' && server === target.server && name !== target.name,
  )
  const known = others.toSorted((a, b) => Number(b.class === own) - Number(a.class === own))
  return [...known.map(({ name }) => name), `${target.name}-other`]
}

/** A call as a call file has it. What no rule reads of session and circumstances is left out. */
function callFile(call: PolicyCall, reads: ReadonlySet<string>): JsonObject {
  const { target, caller, session, ctx, labels, args } = call
  const { id, type } = caller.actor
  const { subject, tenant, grants } = caller
  return {
    server: target.server,
    [target.kind]: target.name,
    class: call.class,
    ...(labels.length === 0 ? {} : { labels }),
    actor: { id, type, subject, tenant, ...(reads.has('actor') ? { grants } : {}) },
    ...(Object.keys(args).length === 0 ? {} : { arguments: args }),
    ...(reads.has('session') ? { session: { ...session } } : {}),
    ...(reads.has('ctx') ? { ctx: { chain: ctx.chain } } : {}),
  }
}

function onlyPinned(pins: readonly Pin[]): JsonObject {
  return pins.reduce<JsonObject>((args, { members, value }) => put(args, members, value), {})
}

/** The object with a value at a path; own members only, `__proto__` like any other. */
function put(object: JsonObject, [name = '', ...rest]: readonly string[], value: Json): JsonObject {
  const inner = member(object, name)
  const next = rest.length === 0 ? value : put(isJsonObject(inner) ? inner : {}, rest, value)
  return Object.fromEntries([...Object.entries(object).filter(([key]) => key !== name), [name, next]])
}

/** Another value of the same kind. */
function otherValue(value: Json): Json {
  switch (typeof value) {
    case 'string':
      return `${value}-other`
    case 'number':
      return value === 0 ? 1 : -value
    case 'boolean':
      return !value
    default:
      if (value === null) return 'other'
      return isJsonObject(value)
        ? put(value, ['other'], !(member(value, 'other') === true))
        : [...value, 'other']
  }
}
