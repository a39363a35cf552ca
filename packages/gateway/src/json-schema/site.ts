import type { Check } from './run.ts'
import type { Dialect } from './dialect.ts'
import type { Pattern } from './pattern.ts'
import type { Place } from './schema-object.ts'
import type { Resource } from './resources.ts'

/** A subschema that may not be compiled yet: references go through it, so that they may run in circles. */
export interface Slot {
  check: Check
}

/** What the compilers of single keywords get: the schema object they stand in and how to compile what is inside it. */
export interface Site {
  readonly place: Place
  readonly dialect: Dialect
  /** The strict rule holds here at once: nothing else describes the same value. */
  readonly closed: boolean
  /** Compiles a subschema for a member or an item of the value, strict where this site is. */
  readonly inner: (schema: unknown, pointer: string) => Check
  /** Compiles a subschema that judges this very value, or a condition: never closed by itself. */
  readonly open: (schema: unknown, pointer: string) => Check
  /** What `$ref` names. */
  readonly reference: () => Slot
  /** What `$dynamicRef` names, as a function of the dynamic scope. */
  readonly dynamicReference: () => {
    readonly fixed: Slot
    readonly pick?: (scope: readonly Resource[]) => Slot
  }
  readonly pattern: (source: string, pointer: string) => Pattern
}

/** Schema text in a message: short, printable ASCII, in quotes, so that it cannot pass for ours. */
export function quote(text: string): string {
  const cut = text.length > 64 ? `${text.slice(0, 64)}...` : text
  return JSON.stringify(cut.replaceAll(/[^\x20-\x7e]/g, '?').replaceAll('`', "'"))
}
