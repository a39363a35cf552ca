import { isJsonObject, member, stringMember, type Json, type JsonObject } from '../../call/json.ts'
import type { Actor, ToolClass } from '../../call/call.ts'
import type { Decision } from '../../call/decision.ts'
import type { PolicyCall } from './facts.ts'
import type { PolicySet } from './policy-set.ts'
import { didYouMean, nearestName, quoted } from './problem.ts'
import type { PolicyTool } from './rule-index.ts'
import type { WindowedRead } from './windowed-fact.ts'

const CALL_KEYS = [
  'server',
  'tool',
  'resource',
  'prompt',
  'arguments',
  'ctx',
  'actor',
  'session',
  'class',
  'labels',
  'windows',
]
const CTX_KEYS = ['ticket', 'purpose', 'region', 'chain']
const ACTOR_KEYS = ['id', 'type', 'grants', 'subject', 'tenant']
const SESSION_KEYS = ['id', 'calls', 'labels']
const CLASSES: readonly ToolClass[] = ['read', 'write', 'destructive', 'egress', 'memory', 'poll']
const ACTOR_TYPES: readonly Actor['type'][] = ['agent', 'human', 'service']

/** What `callgate policy eval` prints. */
export interface Evaluation {
  readonly effect: Decision['effect']
  readonly reason: string
  /** Ids of the rules that decided. */
  readonly rules: readonly string[]
  readonly observed: readonly string[]
  readonly errors: readonly { readonly rule: string; readonly message: string }[]
  /** Facts that the rules read, in the clear: the call is the operator's own. */
  readonly facts: JsonObject
  readonly policy: string
}

/** Decides a call out of a file, as the gate would decide it on the wire after rows 1-5. */
export function evaluateCall(set: PolicySet, call: PolicyCall, now: number = Date.now()): Evaluation {
  const { decision, facts } = set.decide(call, {
    now,
    conceal: (value) => value,
    total: ({ name }) => call.windows?.[name] ?? 0,
  })
  return { ...decision, facts, policy: set.digest }
}

/**
 * Reads a call file: `server` and one of `tool`, `resource`, `prompt`, and if wanted `arguments`, `ctx`, `actor`,
 * `session`, `class`, `labels`, and `windows`: what earlier calls added to windowed facts, by the facts as rules write them. What
 * is left out is what a plain agent of tenant `default` has, before any other call.
 * @param windowed facts that `windows` may name
 * @param tools pinned tools, for the class and the labels of a tool that the file does not give
 */
export function readCall(
  value: unknown,
  tools: readonly PolicyTool[] = [],
  windowed: readonly WindowedRead[] = [],
): { call: PolicyCall } | { message: string } {
  try {
    const file = objectOf(value, 'call file', CALL_KEYS)
    return { call: { ...callOf(file, tools), windows: windowsOf(file, windowed) } }
  } catch (error) {
    if (error instanceof CallFileError) return { message: error.message }
    throw error
  }
}

class CallFileError extends Error {
  override readonly name = 'CallFileError'
}

function callOf(file: JsonObject, tools: readonly PolicyTool[]): PolicyCall {
  const server = textOf(file, 'server')
  const kinds = (['tool', 'resource', 'prompt'] as const).filter((kind) => member(file, kind) !== undefined)
  const [kind] = kinds
  if (server === undefined || kind === undefined || kinds.length > 1) {
    throw new CallFileError(
      'call file names no target (expected `server` and one of `tool`, `resource`, `prompt`)',
    )
  }
  const name = textOf(file, kind) ?? ''
  const pinned =
    kind === 'tool' ? tools.find((tool) => tool.server === server && tool.name === name) : undefined
  const ctx = objectOf(member(file, 'ctx') ?? {}, '`ctx`', CTX_KEYS)
  const actor = objectOf(member(file, 'actor') ?? {}, '`actor`', ACTOR_KEYS)
  const session = objectOf(member(file, 'session') ?? {}, '`session`', SESSION_KEYS)
  const calls = member(session, 'calls') ?? 1
  if (typeof calls !== 'number') throw new CallFileError('`session.calls` is not a number')
  return {
    target: { server, kind, name },
    class: wordOf(file, 'class', CLASSES) ?? pinned?.class ?? (kind === 'tool' ? 'write' : 'read'),
    labels: textsOf(file, 'labels') ?? pinned?.labels ?? [],
    args: objectOf(member(file, 'arguments') ?? {}, '`arguments`'),
    caller: {
      actor: { id: textOf(actor, 'id') ?? 'agent', type: wordOf(actor, 'type', ACTOR_TYPES) ?? 'agent' },
      subject: textOf(actor, 'subject') ?? 'user',
      tenant: textOf(actor, 'tenant') ?? 'default',
      grants: textsOf(actor, 'grants') ?? [],
    },
    session: {
      id: textOf(session, 'id') ?? 'session',
      key: textOf(session, 'id') ?? 'session',
      calls,
      labels: textsOf(session, 'labels') ?? [],
    },
    ctx: {
      ticket: textOf(ctx, 'ticket') ?? null,
      purpose: textOf(ctx, 'purpose') ?? null,
      region: textOf(ctx, 'region') ?? null,
      chain: textOf(ctx, 'chain') ?? 'session',
    },
  }
}

function windowsOf(file: JsonObject, windowed: readonly WindowedRead[]): Record<string, number> {
  const names = [...new Set(windowed.map(({ fact }) => fact.name))]
  const given = objectOf(member(file, 'windows') ?? {}, '`windows`', names)
  return Object.fromEntries(
    Object.entries(given).map(([name, value]) => {
      if (typeof value === 'number' && value >= 0) return [name, value]
      throw new CallFileError(`${quoted(name)} of \`windows\` is not a number from 0 on`)
    }),
  )
}

function objectOf(value: unknown, what: string, known?: readonly string[]): JsonObject {
  if (!isJsonObject(value)) throw new CallFileError(`${what} is not an object`)
  for (const key of known === undefined ? [] : Object.keys(value)) {
    if (known?.includes(key) === true) continue
    const expected = known?.map((one) => `\`${one}\``).join(', ') || 'none'
    throw new CallFileError(
      `${what} has no member ${quoted(key)} (expected ${expected})${didYouMean(nearestName(key, known ?? []))}`,
    )
  }
  return value
}

/** Null is the same as absent: that is how an unset ticket is written. */
function textOf(object: JsonObject, key: string): string | undefined {
  const value = member(object, key) ?? undefined
  if (value !== undefined && typeof value !== 'string') throw new CallFileError(`\`${key}\` is not a text`)
  return value === undefined ? undefined : stringMember(object, key)
}

function textsOf(object: JsonObject, key: string): readonly string[] | undefined {
  const value: Json | undefined = member(object, key)
  if (value === undefined) return undefined
  if (!Array.isArray(value)) throw new CallFileError(`\`${key}\` is not a list of texts`)
  const texts = value.filter((item: Json): item is string => typeof item === 'string')
  if (texts.length !== value.length) throw new CallFileError(`\`${key}\` is not a list of texts`)
  return texts
}

function wordOf<W extends string>(object: JsonObject, key: string, words: readonly W[]): W | undefined {
  const value = textOf(object, key)
  const word = words.find((candidate) => candidate === value)
  if (value === undefined || word !== undefined) return word
  const expected = words.map((one) => `\`${one}\``).join(', ')
  throw new CallFileError(
    `\`${key}\` is ${quoted(value)} (expected ${expected})${didYouMean(nearestName(value, words))}`,
  )
}
