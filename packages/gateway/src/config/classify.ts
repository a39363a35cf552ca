import type { ToolClass } from '../call/call.ts'
import { globMatcher } from '../text/glob.ts'
import type { ServerConfig } from './declaration.ts'

type Entry = ServerConfig['tools'][string]

/**
 * The operator's class, labels and needed scopes of a tool by its bare name: an exact name wins over a glob, an earlier glob over a
 * later one. A tool that nothing names is of class write.
 */
export function classifier(tools: Readonly<Record<string, Entry>>) {
  const globs = Object.entries(tools)
    .filter(([name]) => /[*?]/.test(name))
    .map(([glob, entry]) => ({ matches: globMatcher(glob), entry }))
  return (tool: string): { class: ToolClass; labels: readonly string[]; scopes: readonly string[] } => {
    const entry = Object.hasOwn(tools, tool) ? tools[tool] : globs.find((glob) => glob.matches(tool))?.entry
    return { class: entry?.class ?? 'write', labels: entry?.labels ?? [], scopes: entry?.scopes ?? [] }
  }
}
