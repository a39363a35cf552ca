import type { SchemaNode } from './schema.ts'
import { configSchema, expectation } from './schema.ts'

/** Renders docs/config.md: every key of callgate.yaml with what it takes, its default and its meaning. */
export function configPage(): string {
  const schema = configSchema()
  const sections = Object.entries(schema.properties ?? {}).map(([key, node]) => section(key, node, schema))
  return `<!-- generated from packages/gateway/src/config/declaration.ts by \`npm run docs\`; do not edit -->
# callgate.yaml

One YAML file. Unknown keys are errors that name the line and the nearest known key; duplicate keys, merge keys, \`\${...}\`, more than 100 aliases
and files over 1 MiB are refused. Paths are relative to the folder of the file. Every default is the strict choice, and
\`callgate check\` tells every problem at once. JSON Schema for editors: [callgate.schema.json](callgate.schema.json).

${sections.join('\n')}`
}

function section(key: string, node: SchemaNode, root: SchemaNode): string {
  const rows =
    node.properties || node.additionalProperties
      ? leaves(key, node)
      : [[key, node, optional(root, key)] as const]
  const lines = rows.map(
    ([path, leaf, presence]) =>
      `| \`${path}\` | ${takes(leaf)} | ${presence} | ${cell(leaf.description ?? '')} |`,
  )
  return `## ${key}

${node.description ?? ''}

| Key | Takes | Default | Meaning |
| --- | --- | --- | --- |
${lines.join('\n')}
`
}

type Row = readonly [path: string, node: SchemaNode, presence: string]

/** Every key below a map; a list or map of maps has a row of its own and one for each member. */
function leaves(path: string, node: SchemaNode): Row[] {
  if (node.additionalProperties)
    return member(`${path}.<${NAMES[path] ?? 'name'}>`, node.additionalProperties)
  return Object.entries(node.properties ?? {}).flatMap(([key, child]): Row[] => {
    const at = `${path}.${key}`
    if (child.properties) return leaves(at, child)
    const own: Row = [at, child, optional(node, key)]
    if (child.additionalProperties)
      return [own, ...member(`${at}.<${NAMES[at] ?? 'name'}>`, child.additionalProperties)]
    if (child.items?.properties) return [own, ...leaves(`${at}[]`, child.items)]
    return [own]
  })
}

/** What the keys of a map stand for, as the page writes it. */
const NAMES: Readonly<Record<string, string>> = {
  servers: 'id',
  'identity.actors': 'id',
  'servers.<id>.tools': 'tool',
}

/** Rows of a map's values; plain values are told by the map's own row. */
function member(path: string, node: SchemaNode): Row[] {
  return node.properties ? leaves(path, node) : []
}

function optional(parent: SchemaNode, key: string): string {
  const node = parent.properties?.[key]
  if (node?.default !== undefined) return `\`${JSON.stringify(node.default)}\``
  return parent.required?.includes(key) ? 'required' : 'none'
}

function takes(node: SchemaNode): string {
  const of = node.items && !node.items.properties ? `; each ${expectation(node.items)}` : ''
  return cell(expectation(node) + of)
}

function cell(text: string): string {
  return text.replaceAll('|', String.raw`\|`).replaceAll('<', '&lt;')
}
