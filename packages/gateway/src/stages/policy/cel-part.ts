import { CelTime } from './cel-time.ts'
import type { Frame, Value } from './cel-runtime.ts'
import type { CelType } from './cel-type.ts'

/** How much a value holds at most: UTF-16 units of text, names of members included, and elements and members, at every depth. */
export interface Size {
  readonly text: number
  readonly items: number
}

/**
 * How much the facts of an ordinary call hold at most. What a condition costs on that much is known when it is loaded,
 * and one that costs more than a decision may is refused then; on larger calls the steps themselves are counted.
 */
export const ORDINARY: Size = { text: 4_096, items: 128 }

/** A compiled piece of a condition. */
export interface Part {
  readonly type: CelType
  readonly run: (frame: Frame) => Value
  /** Steps that one run costs, loops apart. */
  readonly cost: number
  /** Steps that one run may cost beside them on an ordinary call: loops, and texts by their length. Faults apart. */
  readonly extra: number
  /** How much the value holds on an ordinary call. Of one element of a loop: on average. */
  readonly size: Size
  /** The value when it is the same in every call. */
  readonly constant?: Value
  /** Fact that the piece reads, such as `args.filter.name`; undefined for anything computed. */
  readonly path?: readonly string[]
}

export function constantPart(type: CelType, value: Value): Part {
  return { type, run: () => value, cost: 1, extra: 0, size: sizeOf(value), constant: value }
}

/** What a piece costs that is made of others. @param own steps that it may spend itself, beside the one for itself */
export function priced(parts: readonly Part[], own = 0): Pick<Part, 'cost' | 'extra' | 'size'> {
  return {
    cost: parts.reduce((sum, part) => sum + part.cost, 1),
    extra: parts.reduce((sum, part) => sum + part.extra, own),
    size: sizes(parts.map((part) => part.size)),
  }
}

/** The size of a list or an object by what is in it. @param names of members */
export function holding(names: readonly string[], { text, items }: Size, count: number): Size {
  return { text: names.reduce((sum, name) => sum + name.length, text), items: items + count }
}

function sizes(all: readonly Size[]): Size {
  return {
    text: all.reduce((sum, { text }) => sum + text, 0),
    items: all.reduce((sum, { items }) => sum + items, 0),
  }
}

function sizeOf(value: Value): Size {
  if (typeof value === 'string') return { text: value.length, items: 0 }
  if (typeof value !== 'object' || value === null || value instanceof CelTime) return { text: 0, items: 0 }
  const within = Object.values<Value>(value)
  const names = Array.isArray(value) ? [] : Object.keys(value)
  return holding(names, sizes(within.map(sizeOf)), within.length)
}
