import type { ResolvedCall, Session, Target } from '../../call/call.ts'
import { type Json, isJsonObject } from '../../call/json.ts'
import type { Stage } from '../../call/stage.ts'
import { parseExact } from '../../mcp/json-exact.ts'
import type { Placeholders } from '../../ports/placeholders.ts'
import { dataClassOf } from '../../text/data-class.ts'

/** Arguments of a tool that get values back: JSON pointers, `*` for any member or item, with the classes that may go there. */
export type Restorable = readonly (readonly [pointer: readonly string[], classes: ReadonlySet<string>])[]

export interface RestoreOptions {
  readonly placeholders: Pick<Placeholders, 'any' | 'value'>
  /** Undefined: this tool gets nothing back. */
  readonly restorable: (target: Target) => Restorable | undefined
}

const REVERSIBLE = /<[A-Z][A-Z_]{1,31}_[1-9]\d{0,5}>/g

/**
 * Row 4b: where a tool may have them, placeholders in its arguments become the values again that they stood for, so that the rows
 * below judge what is sent. Everywhere else they stay what they are: the model never gets a value, and no other tool does.
 */
export function createRestoreStage({
  placeholders,
  restorable,
}: RestoreOptions): Stage<ResolvedCall, ResolvedCall> {
  return {
    name: 'restore',
    budgetMs: 1_000,
    run(call) {
      const allowed = placeholders.any(call.session) ? restorable(call.target) : undefined
      if (allowed === undefined) return call
      const counts: Record<string, number> = {}
      const value = (placeholder: string, classes: ReadonlySet<string>): string => {
        const kept = placeholders.value(call.session as Session, placeholder)
        const known = kept === undefined ? undefined : dataClassOf(kept.found)
        if (kept === undefined || known === undefined || !classes.has(known)) return placeholder
        counts[kept.found] = (counts[kept.found] ?? 0) + 1
        return kept.value
      }
      const before = parseExact(call.argsBytes) ?? call.args
      const restored = restore(before, allowed, value)
      if (restored === before) return call
      const argsBytes = Buffer.from(JSON.stringify(restored))
      const args: unknown = JSON.parse(argsBytes.toString('utf8'))
      return isJsonObject(args) ? { ...call, args, argsBytes, restored: counts, written: call.args } : call
    },
  }
}

/** The same value where nothing was restored. */
function restore(
  value: Json,
  allowed: Restorable,
  valueOf: (placeholder: string, classes: ReadonlySet<string>) => string,
): Json {
  if (typeof value === 'string') {
    const here = allowed.find(([pointer]) => pointer.length === 0)
    return here === undefined
      ? value
      : value.replaceAll(REVERSIBLE, (placeholder) => valueOf(placeholder, here[1]))
  }
  const below = (name: string): Restorable =>
    allowed.flatMap(([[first, ...rest], classes]) =>
      first === name || first === '*' ? [[rest, classes] as const] : [],
    )
  const entry = ([name, item]: readonly [string, Json]): readonly [string, Json] => {
    const inner = below(name)
    return [name, inner.length === 0 ? item : restore(item, inner, valueOf)]
  }
  if (Array.isArray(value)) {
    const items = value.map((item, i) => entry([String(i), item])[1])
    return items.every((item, i) => item === value[i]) ? value : items
  }
  if (!isJsonObject(value)) return value
  const entries = Object.entries(value).map(entry)
  return entries.every(([name, item]) => item === value[name]) ? value : Object.fromEntries(entries)
}
