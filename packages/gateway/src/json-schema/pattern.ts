import { RE2Set } from 're2js'
import { PatternRefused, translatePattern, type Re2Pattern, type Way } from './pattern-syntax.ts'
import { SchemaRefused } from './schema-refused.ts'
import { charge, type Run } from './run.ts'
import type { SchemaLimits } from './limits.ts'

/** A pattern of a tool's schema, searched in time linear in the text whatever a stranger wrote. */
export interface Pattern {
  /** Instructions of its program, roughly. */
  readonly size: number
  /** Takes steps by length of text and size of program. @throws BudgetSpent */
  readonly matches: (text: string, run: Run) => boolean
}

/** Memory for the matcher's states, in bytes; beyond it RE2 simulates without them, still linear. */
const STATE_BYTES = 262_144
/** One step pays for this many instructions times characters, about a microsecond at worst. */
const WORK_PER_STEP = 128
/** Patterns kept for other schemas with the same one. The oldest goes first. */
const CACHE_ENTRIES = 512

/** A translated pattern with its machine: one pass over a text tells which of the searches find something. */
interface Compiled extends Re2Pattern {
  readonly set: RE2Set
}

const cache = new Map<string, Compiled>()

/** @throws SchemaRefused `limit.pattern` or `pattern.<construct>`. */
export function compilePattern(source: string, pointer: string, limits: SchemaLimits): Pattern {
  if (source.length > limits.patternLength) {
    throw refused('limit.pattern', pointer, `is longer than ${limits.patternLength} characters`)
  }
  const { set, ways, size } = cached(source, pointer, limits)
  const plain = ways.length === 1 && ways[0]?.all.length === 1 && ways[0].none.length === 0
  return {
    size,
    matches: (text, run) => {
      charge(run, 1 + Math.floor((text.length * size) / WORK_PER_STEP))
      const found = set.match(text)
      return plain ? found.length > 0 : ways.some((way) => holds(way, found))
    },
  }
}

function holds({ all, none }: Way, found: readonly number[]): boolean {
  return all.every((search) => found.includes(search)) && !none.some((search) => found.includes(search))
}

function cached(source: string, pointer: string, limits: SchemaLimits): Compiled {
  const known = cache.get(source)
  if (known !== undefined && known.size <= limits.patternProgram) return known
  const entry = build(source, pointer, limits)
  const oldest = cache.size >= CACHE_ENTRIES ? cache.keys().next().value : undefined
  if (oldest !== undefined) cache.delete(oldest)
  cache.set(source, entry)
  return entry
}

function build(source: string, pointer: string, limits: SchemaLimits): Compiled {
  try {
    const translated = translatePattern(source, limits.patternProgram)
    const set = new RE2Set(RE2Set.UNANCHORED, 0, STATE_BYTES)
    for (const search of translated.searches) set.add(search)
    set.compile()
    return { ...translated, set }
  } catch (cause) {
    if (cause instanceof PatternRefused) {
      const construct = cause.construct === 'size' ? 'limit.pattern' : `pattern.${cause.construct}`
      throw refused(construct, pointer, cause.message, cause)
    }
    throw refused('pattern.unsupported', pointer, 'is beyond the linear-time engine (RE2)', cause)
  }
}

function refused(construct: string, pointer: string, fact: string, cause?: unknown): SchemaRefused {
  const message = `the pattern at \`${pointer}\` ${fact}; rewrite it without, or check the value by policy`
  return new SchemaRefused(construct, pointer, message, { cause })
}
