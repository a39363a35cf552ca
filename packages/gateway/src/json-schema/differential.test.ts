import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Ajv2020 } from 'ajv/dist/2020.js'
import * as fc from 'fast-check'
import { Check } from 'typebox/schema'
import { verifies } from '../testing/verifies.ts'
import { compileSchema } from './compile.ts'
import { instances, schemas } from './testing/generated-schemas.ts'

const SCHEMAS = Number(process.env['CALLGATE_FUZZ_RUNS'] ?? 200)
const SEED = Number(process.env['CALLGATE_FUZZ_SEED'] ?? Date.now() % 2 ** 31)

/** ajv 8 makes code that throws for some compositions of `unevaluated*`: then it has no opinion. */
function opinion(judge: () => boolean): boolean | undefined {
  try {
    return judge()
  } catch (error) {
    if (error instanceof ReferenceError || error instanceof TypeError) return undefined
    throw error
  }
}

/**
 * Where both oracles err, their agreement says nothing: ajv mistakes what `contains` and `if` evaluate in arrays,
 * typebox applies `unevaluatedProperties` to arrays. The suite says otherwise, and it decides.
 */
function isBlindSpot(schema: unknown): boolean {
  const text = JSON.stringify(schema)
  return (
    text.includes('"unevaluatedItems"') &&
    (text.includes('"contains"') || text.includes('"unevaluatedProperties"'))
  )
}

test('a verdict on which ajv and typebox agree is ours too', (t) => {
  verifies('play3.strict-schema')
  t.diagnostic(`seed ${SEED}, ${SCHEMAS} schemas`)
  const ajv = new Ajv2020({
    strict: false,
    ownProperties: true,
    validateFormats: false,
    validateSchema: false,
  })
  try {
    ajv.compile({})
  } catch (error) {
    if (!(error instanceof EvalError)) throw error
    t.skip('play3.strict-schema: ajv generates code, which --disallow-code-generation-from-strings forbids')
    return
  }
  let accepted = 0
  let refused = 0
  fc.assert(
    fc.property(schemas, fc.array(instances, { minLength: 10, maxLength: 10 }), (schema, values) => {
      const ours = compileSchema(schema, { strict: false })
      if (isBlindSpot(schema)) return
      const theirs = ajv.compile(schema)
      for (const value of values) {
        const verdict = opinion(() => theirs(value))
        if (verdict === undefined || verdict !== Check(schema, value)) continue
        if (verdict) accepted += 1
        else refused += 1
        const violation = ours.validate(value)
        assert.equal(
          violation === null,
          verdict,
          `${JSON.stringify(schema)} on ${JSON.stringify(value)}: ${JSON.stringify(violation)}`,
        )
      }
      ajv.removeSchema()
    }),
    { seed: SEED, numRuns: SCHEMAS },
  )
  t.diagnostic(`agreed on ${accepted} accepted and ${refused} refused values`)
  assert.ok(accepted > SCHEMAS && refused > SCHEMAS)
})

test('what the strict rule accepts, the plain schema accepts too', (t) => {
  t.diagnostic(`seed ${SEED}, ${SCHEMAS} schemas`)
  let stricter = 0
  fc.assert(
    fc.property(schemas, fc.array(instances, { minLength: 10, maxLength: 10 }), (schema, values) => {
      const plain = compileSchema(schema, { strict: false })
      const strict = compileSchema(schema)
      for (const value of values) {
        const open = plain.validate(value) === null
        const closed = strict.validate(value)
        if (open && closed !== null) {
          stricter += 1
          assert.equal(closed.keyword, 'unevaluatedProperties')
        }
        assert.ok(open || closed !== null, `${JSON.stringify(schema)} on ${JSON.stringify(value)}`)
      }
    }),
    { seed: SEED, numRuns: SCHEMAS * 2 },
  )
  t.diagnostic(`the strict rule alone refused ${stricter} values`)
  assert.ok(stricter > 0)
})
