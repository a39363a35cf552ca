import assert from 'node:assert/strict'
import { compileSchema, SchemaRefused, type CompileOptions, type Violation } from '../compile.ts'

/** The violation of one value, null when it passes. */
export function judge(schema: unknown, value: unknown, options: CompileOptions = {}): Violation | null {
  return compileSchema(schema, options).validate(value)
}

/** Asserts that a schema passes some values and violates on others. */
export function assertVerdicts(
  schema: unknown,
  { passes, fails }: { passes: readonly unknown[]; fails: readonly unknown[] },
  options: CompileOptions = {},
): void {
  const compiled = compileSchema(schema, options)
  for (const value of passes) assert.equal(compiled.validate(value), null, `fails: ${JSON.stringify(value)}`)
  for (const value of fails)
    assert.notEqual(compiled.validate(value), null, `passes: ${JSON.stringify(value)}`)
}

/** Asserts that a schema is refused by this construct at this place. */
export function assertRefused(
  schema: unknown,
  construct: string,
  pointer?: string,
  options: CompileOptions = {},
): void {
  assert.throws(
    () => compileSchema(schema, options),
    (error: unknown) => {
      assert.ok(error instanceof SchemaRefused, String(error))
      assert.equal(error.construct, construct)
      if (pointer !== undefined) assert.equal(error.pointer, pointer)
      return true
    },
  )
}
