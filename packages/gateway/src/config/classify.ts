import type { ToolClass } from '../call/call.ts'
import { globMatcher } from '../text/glob.ts'
import type { ServerConfig } from './declaration.ts'

type Entry = ServerConfig['tools'][string]

/** What the operator says of a tool. */
export interface Classified {
  readonly class: ToolClass
  readonly labels: readonly string[]
  readonly scopes: readonly string[]
  readonly urls: Entry['urls']
  readonly restore?: Entry['restore']
  /** Absent: the tool has no rules of its own. */
  readonly binary?: NonNullable<Entry['binary']>
  readonly idempotency: NonNullable<Entry['idempotency']>
  /** Absent: no argument names an object of somebody. */
  readonly owned?: NonNullable<Entry['owned']>
}

/**
 * The operator's class, labels, needed scopes, kind of URLs, rules for binary content and meaning of idempotency keys of a tool by its bare name: an exact name wins over a glob, an earlier glob over a
 * later one. A tool that nothing names is of class write.
 */
export function classifier(tools: Readonly<Record<string, Entry>>) {
  const globs = Object.entries(tools)
    .filter(([name]) => /[*?]/.test(name))
    .map(([glob, entry]) => ({ matches: globMatcher(glob), entry }))
  return (tool: string): Classified => {
    const entry = Object.hasOwn(tools, tool) ? tools[tool] : globs.find((glob) => glob.matches(tool))?.entry
    return {
      class: entry?.class ?? 'write',
      labels: entry?.labels ?? [],
      scopes: entry?.scopes ?? [],
      urls: entry?.urls ?? 'judged',
      ...(entry?.restore === undefined ? {} : { restore: entry.restore }),
      idempotency: entry?.idempotency ?? (entry?.class === 'read' ? 'off' : 'accepted'),
      ...(entry?.owned === undefined ? {} : { owned: entry.owned }),
      ...(entry?.binary === undefined ? {} : { binary: entry.binary }),
    }
  }
}
