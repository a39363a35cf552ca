import type { z } from 'zod'
import { parseReference } from '../ports/secret-reference.ts'
import { nearest } from '../text/nearest.ts'
import type { ConfigPath, Problem } from './problem.ts'
import { formatPath } from './problem.ts'
import type { SchemaNode } from './schema.ts'
import { expectation, memberOf, schemaAt } from './schema.ts'
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
        source.problemAt(
          [...path, key],
          unknownKey([...path, key], key, schemaAt(path, schema, source.value)),
          'key',
        ),
      )
    }
    if (issue.code === 'invalid_key') {
      const expected = issue.issues[0]?.message ?? 'another name'
      return [
        source.problemAt(
          path,
          `\`${formatPath(toldPath(path))}\` is not a valid name (expected ${expected})`,
          'key',
        ),
      ]
    }
    const value = path.reduce(memberOf, source.value)
    return [source.problemAt(path, wrongValue(issue, path, value, schemaAt(path, schema, source.value)))]
  })
}

function unknownKey(path: ConfigPath, key: string, parent: SchemaNode | undefined): string {
  const known = Object.keys(parent?.properties ?? {})
  const meant = nearest(key, known)
  const hint =
    meant === undefined
      ? `the keys here are ${known.map((name) => `\`${name}\``).join(', ')}`
      : `did you mean \`${meant}\``
  return `\`${formatPath(toldPath(path))}\` is not a known key; ${hint}`
}

function wrongValue(issue: Issue, path: ConfigPath, value: unknown, node: SchemaNode | undefined): string {
  const name = path.length === 0 ? 'the file' : `\`${formatPath(path)}\``
  if (issue.code === 'custom' && issue.params?.['whole'] === true) return `${name} ${issue.message}`
  const written = issue.code === 'custom' || issue.code === 'invalid_format'
  const expected = written ? issue.message : expectation(node ?? {})
  const message = `${name} ${describe(value, path)} (expected ${expected})`
  const meant = typeof value === 'string' && node?.enum ? nearest(value, node.enum.map(String)) : undefined
  return meant === undefined ? message : `${message}; did you mean \`${meant}\``
}

/** Fields that hold a reference to a secret, and what people write a secret into instead: the map around them. */
const SECRET_FIELDS: ReadonlySet<ConfigPath[number] | undefined> = new Set([
  'secret',
  'key',
  'token',
  'signingKey',
  'clientSecret',
  'oidc',
  'credentials',
  'auth',
  'detector',
])

/** Who writes a secret in place of a reference to it must not find it in a log. */
function mayBeSecret(path: ConfigPath, value: unknown): boolean {
  if (['env', 'command', 'canaries', 'credentials'].some((name) => path.includes(name))) return true
  // What stands around an address, or behind it, may be a password or a key, however the address is broken.
  if (typeof value === 'string' && /[@?#]/.test(value)) return true
  if (!SECRET_FIELDS.has(path.at(-1))) return false
  return typeof value !== 'string' || 'problem' in parseReference(value, { strict: false })
}

/** People write `NAME=value` where a name belongs, and a canary where a file belongs: of such keys no more than a name is told. */
function toldPath(path: ConfigPath): ConfigPath {
  const at = path.findIndex((part) => part === 'env' || part === 'canaries')
  if (at < 0) return path
  return path.map((part, i) => {
    if (i <= at || typeof part !== 'string') return part
    return path[at] === 'canaries' ? '...' : part.replace(/[^A-Za-z0-9_-].*$/s, '...')
  })
}

/** What stands there now. */
function describe(value: unknown, path: ConfigPath): string {
  if (value === undefined) return 'is missing'
  if (value === null) return 'is empty'
  if (Array.isArray(value)) return value.length === 0 ? 'is an empty list' : `is a list of ${value.length}`
  if (typeof value === 'object') return 'is a map'
  if (mayBeSecret(path, value)) return `is a ${typeof value}`
  // Control characters would write to the terminal.
  const text = String(value).replaceAll(/[\s\p{Cc}]+/gu, ' ')
  return `is \`${text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}...` : text}\``
}
