import { SchemaRefused } from './schema-refused.ts'
import type { SchemaLimits } from './limits.ts'
import { pointerTo } from './pointer.ts'

/**
 * Holds a schema to the load bounds before anything walks it by recursion.
 * @throws SchemaRefused `limit.depth`, `limit.nodes` or `limit.bytes`.
 */
export function measureSchema(schema: unknown, limits: SchemaLimits): void {
  let nodes = 0
  const open: { value: unknown; depth: number; pointer: string }[] = [
    { value: schema, depth: 0, pointer: '' },
  ]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    nodes += 1
    if (nodes > limits.nodes) throw over('limit.nodes', next.pointer, `more than ${limits.nodes} values`)
    const { value, pointer } = next
    if (typeof value !== 'object' || value === null) continue
    const depth = next.depth + 1
    if (depth > limits.depth) throw over('limit.depth', pointer, `nests deeper than ${limits.depth} levels`)
    for (const [key, child] of Object.entries(value)) {
      // Each pending child is a value to come: a wide object is refused before it is unrolled in full.
      if (open.length + nodes > limits.nodes)
        throw over('limit.nodes', pointer, `more than ${limits.nodes} values`)
      open.push({ value: child, depth, pointer: pointerTo(pointer, key) })
    }
  }
  const bytes = Buffer.byteLength(JSON.stringify(schema) ?? '')
  if (bytes > limits.bytes) throw over('limit.bytes', '', `${bytes} bytes, at most ${limits.bytes} allowed`)
}

function over(construct: string, pointer: string, fact: string): SchemaRefused {
  return new SchemaRefused(
    construct,
    pointer,
    `the schema is too large at \`${pointer}\`: ${fact}; ask for a smaller one`,
  )
}
