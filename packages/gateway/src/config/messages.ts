import type { z } from 'zod'
import { nearest } from '../text/nearest.ts'
import type { ConfigPath, Problem } from './problem.ts'
import { formatPath } from './problem.ts'
import type { SchemaNode } from './schema.ts'
import { expectation, schemaAt } from './schema.ts'
import type { Source } from './source.ts'

type Issue = z.core.$ZodIssue

/** Longest value that a message quotes. */
const MAX_QUOTED = 60

/** Turns what the declaration found into problems: what, where, what was expected, what was meant. */
export function problemsOf(issues: readonly Issue[], source: Source, schema: SchemaNode): Problem[] {
  return issues.flatMap((issue) => {
    const path = issue.path.filter((part) => typeof part !== 'symbol')
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) =>
        source.problemAt([...path, key], unknownKey([...path, key], key, schemaAt(path, schema)), 'key'),
      )
    }
    if (issue.code === 'invalid_key') {
      const expected = issue.issues[0]?.message ?? 'another name'
      return [
        source.problemAt(path, `\`${formatPath(path)}\` is not a valid name (expected ${expected})`, 'key'),
      ]
    }
    return [source.problemAt(path, wrongValue(issue, path, valueAt(source.value, path), schema))]
  })
}

function unknownKey(path: ConfigPath, key: string, parent: SchemaNode | undefined): string {
  const known = Object.keys(parent?.properties ?? {})
  const meant = nearest(key, known)
  const hint =
    meant === undefined
      ? `the keys here are ${known.map((name) => `\`${name}\``).join(', ')}`
      : `did you mean \`${meant}\``
  return `\`${formatPath(path)}\` is not a known key; ${hint}`
}

function wrongValue(issue: Issue, path: ConfigPath, value: unknown, schema: SchemaNode): string {
  const name = path.length === 0 ? 'the file' : `\`${formatPath(path)}\``
  if (issue.code === 'custom' && issue.params?.['whole'] === true) return `${name} ${issue.message}`
  const node = schemaAt(path, schema)
  const written = issue.code === 'custom' || issue.code === 'invalid_format'
  const expected = written ? issue.message : expectation(node ?? {})
  const message = `${name} ${describe(value, path)} (expected ${expected})`
  const meant = typeof value === 'string' && node?.enum ? nearest(value, node.enum.map(String)) : undefined
  return meant === undefined ? message : `${message}; did you mean \`${meant}\``
}

/** What stands there now. Values of `env` may be secrets and are never quoted. */
function describe(value: unknown, path: ConfigPath): string {
  if (value === undefined) return 'is missing'
  if (value === null) return 'is empty'
  if (Array.isArray(value)) return value.length === 0 ? 'is an empty list' : `is a list of ${value.length}`
  if (typeof value === 'object') return 'is a map'
  if (path.includes('env')) return `is a ${typeof value}`
  // Control characters would write to the terminal, and `user:password@` is a secret that should not be there.
  const text = String(value)
    .replaceAll(/[\s\p{Cc}]+/gu, ' ')
    .replaceAll(/\/\/[^/@]*@/g, '//***@')
  return `is \`${text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}...` : text}\``
}

function valueAt(root: unknown, path: ConfigPath): unknown {
  let value = root
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined
    value = (value as Readonly<Record<string | number, unknown>>)[part]
  }
  return value
}
