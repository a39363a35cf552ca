import type { Frame, Value } from './cel-runtime.ts'
import type { CelType } from './cel-type.ts'

/** A compiled piece of a condition. */
export interface Part {
  readonly type: CelType
  readonly run: (frame: Frame) => Value
  /** Steps that one run costs, loops apart. */
  readonly cost: number
  /** The value when it is the same in every call. */
  readonly constant?: Value
  /** Fact that the piece reads, such as `args.filter.name`; undefined for anything computed. */
  readonly path?: readonly string[]
}

export function constantPart(type: CelType, value: Value): Part {
  return { type, run: () => value, cost: 1, constant: value }
}

export function costOf(...parts: readonly Part[]): number {
  return parts.reduce((sum, part) => sum + part.cost, 1)
}
