// oxlint-disable unicorn/no-thenable -- `then` is a keyword of JSON Schema
import * as fc from 'fast-check'
import type { SchemaObject } from '../schema-object.ts'

// No `toString` or the like: ajv's deep equality throws on it. Own properties have facts of their own in compile.test.ts.
const NAMES = ['a', 'b', 'c', 'd']
const name = fc.constantFrom(...NAMES)

/** Values small enough that random schemas meet them: few names, few numbers, few strings. */
export const instances: fc.Arbitrary<unknown> = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom(null, true, false, 0, 1, 2, 1.5, -1, 0.3, '', 'a', 'ab', 'abc', 'é', '🐲'),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(name, tie('value'), { maxKeys: 4, noNullPrototype: true }),
  ),
})).value

const count = fc.nat({ max: 3 })
const number = fc.constantFrom(-1, 0, 0.1, 1, 1.5, 2)

/** Schemas over the same few names: every keyword, freely composed, with references to three definitions. */
export const schemas: fc.Arbitrary<SchemaObject> = fc
  .letrec<{ schema: unknown; keywords: SchemaObject }>((tie) => {
    const schema = tie('schema')
    const list = fc.array(schema, { minLength: 1, maxLength: 3 })
    const map = fc.dictionary(name, schema, { maxKeys: 3, noNullPrototype: true })
    return {
      schema: fc.oneof(
        { depthSize: 'small', withCrossShrink: true },
        fc.constantFrom<unknown>(true, {}, { type: 'string' }, { type: 'integer' }, { type: 'object' }),
        tie('keywords'),
        fc.constantFrom<unknown>(false, { $ref: '#/$defs/x' }, { $ref: '#/$defs/y' }),
      ),
      keywords: someOf({
        type: fc.constantFrom('object', 'array', 'string', 'number', ['object', 'array'], ['null', 'string']),
        enum: fc.array(instances, { minLength: 1, maxLength: 3 }),
        const: instances,
        minimum: number,
        exclusiveMaximum: number,
        multipleOf: fc.constantFrom(0.1, 0.5, 2),
        minLength: count,
        maxLength: count,
        pattern: fc.constantFrom('^a', 'b$', '^(a|b)*$', '[^a]'),
        minItems: count,
        maxItems: count,
        uniqueItems: fc.boolean(),
        prefixItems: list,
        items: schema,
        contains: schema,
        minContains: count,
        maxContains: count,
        unevaluatedItems: schema,
        minProperties: count,
        maxProperties: count,
        required: fc.uniqueArray(fc.constantFrom('a', 'b', 'c'), { maxLength: 2 }),
        properties: map,
        patternProperties: fc.dictionary(fc.constantFrom('^a', 'b'), schema, {
          maxKeys: 2,
          noNullPrototype: true,
        }),
        additionalProperties: schema,
        propertyNames: fc.constantFrom<unknown>(true, { maxLength: 1 }, { enum: ['a', 'b'] }),
        unevaluatedProperties: schema,
        dependentRequired: fc.constantFrom<unknown>({ a: ['b'] }, { b: ['a', 'c'] }),
        dependentSchemas: map,
        allOf: list,
        anyOf: list,
        oneOf: list,
        not: schema,
        if: schema,
        then: schema,
        else: schema,
      }),
    }
  })
  .keywords.chain((root) =>
    fc.constantFrom<SchemaObject>(
      {
        ...root,
        $defs: { x: { properties: { a: { type: 'string' } } }, y: { items: { $ref: '#/$defs/x' } } },
      },
      {
        ...root,
        $defs: {
          x: { required: ['b'], properties: { b: true } },
          y: { $ref: '#/$defs/x', maxProperties: 2 },
        },
      },
    ),
  )

/** One to five of the keywords. */
function someOf(keywords: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<SchemaObject> {
  return fc
    .uniqueArray(fc.constantFrom(...Object.keys(keywords)), { minLength: 1, maxLength: 5 })
    .chain((chosen) => {
      const picked: Record<string, fc.Arbitrary<unknown>> = {}
      for (const keyword of chosen) picked[keyword] = keywords[keyword] ?? fc.constant(true)
      return fc.record(picked)
    })
}
