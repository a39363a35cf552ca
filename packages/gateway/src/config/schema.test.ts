import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SchemaNode } from './schema.ts'
import { configSchema, expectation, schemaAt } from './schema.ts'

/** Every named key of the schema with its path. */
function keys(node: SchemaNode, path = ''): [string, SchemaNode][] {
  const own = Object.entries(node.properties ?? {}).flatMap(([key, child]): [string, SchemaNode][] => [
    [`${path}.${key}`, child],
    ...keys(child, `${path}.${key}`),
  ])
  const values = node.additionalProperties ? keys(node.additionalProperties, `${path}.*`) : []
  return [...own, ...values, ...(node.items ? keys(node.items, `${path}[]`) : [])]
}

test('every key of the configuration says what it means', () => {
  const all = keys(configSchema())
  assert.ok(all.length > 40)
  for (const [path, node] of all) assert.match(node.description ?? '', /^[A-Z].{10,}\.$/, path)
})

test('every number has bounds and every list and text has an end', () => {
  for (const [path, node] of keys(configSchema())) {
    if (node.type === 'integer') assert.ok(node.minimum !== undefined && node.maximum !== undefined, path)
    if (node.type === 'array' && !node.items?.enum) assert.ok(node.maxItems !== undefined, path)
    if (node.type === 'string' && !node.enum)
      assert.ok(node.maxLength !== undefined || node.pattern !== undefined, path)
  }
})

test('every map refuses unknown keys or says what its values are', () => {
  for (const [path, node] of [['', configSchema()] as const, ...keys(configSchema())]) {
    if (node.type === 'object') assert.notEqual(node.additionalProperties, undefined, path)
  }
})

test('a path is followed through maps, lists and named keys, and ends at unknown ones', () => {
  const schema = configSchema()
  assert.equal(schemaAt(['servers', 'x', 'tools', 'y', 'class'], schema)?.default, 'write')
  assert.equal(schemaAt(['identity', 'issuers', 0, 'dev'], schema)?.type, 'boolean')
  assert.equal(schemaAt(['listener', 'toString'], schema), undefined)
  assert.equal(schemaAt(['listener', 'port', 'x'], schema), undefined)
})

test('expectations are told in words', () => {
  assert.equal(expectation({ type: 'integer', minimum: 1, maximum: 600 }), 'an integer from 1 to 600')
  assert.equal(expectation({ enum: ['a', 'b', 'c'] }), '`a`, `b` or `c`')
  assert.equal(expectation({ type: 'array', minItems: 1 }), 'a list of at least 1 entry')
  assert.equal(expectation({ type: 'boolean' }), '`true` or `false`')
  assert.equal(expectation({ type: 'object', required: ['a', 'b'] }), 'a map with `a` and `b`')
})
