import { priced, type Part } from './cel-part.ts'
import { EvaluationFault, isObject, kindOf, type Frame, type Value } from './cel-runtime.ts'
import { BOOL, listOf, type CelType } from './cel-type.ts'

/** A loop over the elements of a list or the member names of an object. */
export interface Loop {
  readonly range: Part
  /** Slot of the variable in the frame. */
  readonly slot: number
  readonly item: CelType
  /** One body, or a filter and a body. */
  readonly bodies: readonly Part[]
}

interface Macro {
  /** Numbers of bodies that it takes. */
  readonly bodies: readonly number[]
  readonly compile: (loop: Loop) => Part
}

/** CEL's macros over lists. `all` and `exists` absorb errors when another element decides; the others do not. */
export const MACROS: Readonly<Record<'all' | 'exists' | 'exists_one' | 'filter' | 'map', Macro>> = {
  all: { bodies: [1], compile: (loop) => quantifier(loop, false) },
  exists: { bodies: [1], compile: (loop) => quantifier(loop, true) },
  exists_one: {
    bodies: [1],
    compile: (loop) => ({ ...collect(loop, 'filter', (kept) => kept.length === 1), type: BOOL }),
  },
  filter: {
    bodies: [1],
    compile: (loop) => ({ ...collect(loop, 'filter', (kept) => kept), type: listOf(loop.item) }),
  },
  map: {
    bodies: [1, 2],
    compile: (loop) => {
      const body = loop.bodies.at(-1)
      return { ...collect(loop, 'map', (kept) => kept), type: listOf(body?.type ?? loop.item) }
    },
  },
}

export function isMacro(name: string): name is keyof typeof MACROS {
  return Object.hasOwn(MACROS, name)
}

/** `exists` is decided by the first true, `all` by the first false. */
function quantifier(loop: Loop, decides: boolean): Part {
  const [body] = loop.bodies
  if (body === undefined) throw new TypeError('`loop.bodies` is empty')
  const run = (frame: Frame): Value => {
    let fault: EvaluationFault | undefined
    for (const element of elements(frame, loop)) {
      frame.slots[loop.slot] = element
      try {
        if (ask(frame, body) === decides) return decides
      } catch (error) {
        if (!(error instanceof EvaluationFault) || error.exhausted) throw error
        fault ??= error
      }
    }
    if (fault !== undefined) throw fault
    return !decides
  }
  return { type: BOOL, run, ...looped(loop, loop.bodies) }
}

function collect(loop: Loop, kind: 'filter' | 'map', finish: (kept: Value[]) => Value): Omit<Part, 'type'> {
  const [first, second] = loop.bodies
  if (first === undefined) throw new TypeError('`loop.bodies` is empty')
  const test = kind === 'filter' || second !== undefined ? first : undefined
  const body = kind === 'map' ? (second ?? first) : undefined
  const run = (frame: Frame): Value => {
    const kept: Value[] = []
    for (const element of elements(frame, loop)) {
      frame.slots[loop.slot] = element
      if (test !== undefined && !ask(frame, test)) continue
      if (body !== undefined) frame.spend(body.cost)
      kept.push(body === undefined ? element : body.run(frame))
    }
    return finish(kept)
  }
  return { run, ...looped(loop, loop.bodies) }
}

/** Each element pays for every body; what a `map` makes of it is kept. */
function looped({ range, bodies }: Loop, kept: readonly Part[]): Pick<Part, 'cost' | 'extra' | 'size'> {
  const count = Math.max(1, range.size.items)
  const each = bodies.reduce((sum, body) => sum + body.cost + body.extra, 1)
  const { size } = priced(kept)
  return {
    ...priced([range], count * each),
    size: { text: range.size.text + count * size.text, items: range.size.items + count * (size.items + 1) },
  }
}

function ask(frame: Frame, body: Part): boolean {
  frame.spend(body.cost)
  const answer = body.run(frame)
  if (typeof answer !== 'boolean') throw frame.fault(`loop asks ${kindOf(answer)} (expected bool)`)
  return answer
}

function elements(frame: Frame, loop: Loop): readonly Value[] {
  const range = loop.range.run(frame)
  if (Array.isArray(range)) return range
  if (!isObject(range)) throw frame.fault(`loop over ${kindOf(range)} (expected list or object)`)
  const keys = Object.keys(range)
  frame.spend(keys.length)
  return keys
}
