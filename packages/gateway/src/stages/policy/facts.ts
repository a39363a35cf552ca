import type { Principal, Session, Target, ToolClass } from '../../call/call.ts'
import type { JsonObject } from '../../call/json.ts'
import type { UrlFacts } from '../../net/url-facts.ts'
import { BOOL, DYN, INT, listOf, nullable, objectOf, STRING, type CelType } from './cel-type.ts'

/** What policy judges: a call from the wire, or one from a file. */
export interface PolicyCall {
  readonly target: Target
  readonly class: ToolClass
  readonly labels: readonly string[]
  readonly args: JsonObject
  readonly caller: PolicyCaller
  readonly session: Session
  /** Of a call from a file: what earlier calls added to windowed facts, by their names. */
  readonly windows?: Readonly<Record<string, number>>
  readonly ctx: PolicyContext
}

/** The caller as conditions see it. */
export type PolicyCaller = Pick<Principal, 'actor' | 'subject' | 'tenant' | 'grants'>

/** Circumstances of a call. On the wire ticket and region are null until their providers confirm them; the purpose is what the token says. */
export interface PolicyContext {
  readonly ticket: string | null
  readonly purpose: string | null
  readonly region: string | null
  readonly chain: string
}

/** Methods by what they aim at, for `when: { method }`. */
export const METHOD_OF = { tool: 'tools/call', resource: 'resources/read', prompt: 'prompts/get' } as const

const MAYBE_TEXT = nullable(STRING)

/** The closed facts but `args`, whose type is the tool's own (ARCHITECTURE.md section 3, "Facts for conditions"). */
const ROOTS: Readonly<Record<string, CelType>> = {
  url: objectOf({
    href: STRING,
    hostname: STRING,
    port: nullable(INT),
    scheme: STRING,
    domain: MAYBE_TEXT,
    is_link_local: BOOL,
    is_private: BOOL,
  }),
  ctx: objectOf({ ticket: MAYBE_TEXT, purpose: MAYBE_TEXT, region: MAYBE_TEXT, chain: STRING }),
  actor: objectOf({ id: STRING, type: STRING, grants: listOf(STRING), subject: STRING, tenant: STRING }),
  tool: objectOf({ name: MAYBE_TEXT, class: STRING, labels: listOf(STRING) }),
  server: objectOf({ name: STRING, vendor: MAYBE_TEXT, regions: listOf(STRING) }),
  session: objectOf({ id: STRING, labels: listOf(STRING), calls: INT }),
}

/** Facts that are known before a call is made: only these can hide a tool from a list. */
export const STANDING_FACTS: ReadonlySet<string> = new Set(['actor', 'tool', 'server'])

/** Arguments of prompts are texts by protocol; nothing says which. */
export const PROMPT_ARGUMENTS: CelType = objectOf({}, STRING)

/** Types of every fact for conditions on one tool. @param args type of its arguments; default: not known */
export function factTypes(args: CelType = DYN): ReadonlyMap<string, CelType> {
  return new Map([['args', args], ...Object.entries(ROOTS)])
}

/** The facts of one call, `url` apart. */
export function factsOf(call: PolicyCall): JsonObject {
  const { caller, target } = call
  return {
    args: call.args,
    url: null,
    ctx: { ...call.ctx },
    actor: {
      id: caller.actor.id,
      type: caller.actor.type,
      grants: caller.grants,
      subject: caller.subject,
      tenant: caller.tenant,
    },
    tool: {
      name: target.kind === 'tool' ? `${target.server}.${target.name}` : null,
      class: call.class,
      labels: call.labels,
    },
    server: { name: target.server, vendor: null, regions: [] },
    session: { id: call.session.id, labels: call.session.labels, calls: call.session.calls },
  }
}

/** The same facts with one URL of the arguments as `url`. */
export function withUrl(facts: JsonObject, url: UrlFacts): JsonObject {
  return { ...facts, url: { ...url } }
}
