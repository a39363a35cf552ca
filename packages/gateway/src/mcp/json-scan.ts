import { JsonFault, unexpected } from './json-bytes.ts'
import { KeyLedger } from './json-keys.ts'
import { isExactNumber } from './json-number.ts'
import { NOWHERE, createPlan, type PlanNode } from './json-plan.ts'
import { scanLiteral, scanNumber, scanString, skipSpace } from './json-tokens.ts'

export { JsonFault, type JsonFaultKind } from './json-bytes.ts'

/** Caps of one scan. A document exactly at a cap passes. Source: SECURITY.md 1.2 (JSON bombs). */
export interface ScanLimits {
  /** Longest document, in bytes. Default 1 MiB; checked before any byte is read. */
  readonly maxBytes: number
  /** Deepest nesting of objects and arrays. Default 64; from 1 to 1,024 (`JSON.stringify` overflows near 5,000). */
  readonly maxDepth: number
  /** Members of all objects together. Default 10,000; from 1 to 1,000,000. */
  readonly maxKeys: number
}

/** What a scan looks for. Compiled once per options object: keep one constant, and do not change it afterwards. */
export interface ScanOptions extends Partial<ScanLimits> {
  /** Dotted paths of members below the top-level object whose spans are wanted, such as `params.arguments`. */
  readonly want?: readonly string[]
  /** Names that may be spelt in one way only, by dotted path of their object (`''` is the top). Default ENVELOPE_NAMES. */
  readonly twinKeys?: Readonly<Record<string, readonly string[]>>
  /** Refuses lone surrogates written as escapes, which no UTF-8 writer can pass on. Default true. */
  readonly strictSurrogates?: boolean
  /**
   * Whether numbers are looked at for exactness. Default `exact`; `any` saves the time where bytes are only spliced
   * verbatim, and then nothing counts as proven: exactNumbers and exactIn are false.
   */
  readonly numbers?: 'exact' | 'any'
}

/** Byte offsets of one value, white space around it left out; `end` is exclusive. */
export interface Span {
  readonly start: number
  readonly end: number
}

/** A document that every RFC 8259 parser reads in the same way. */
export interface ScannedJson {
  readonly kind: 'object' | 'array' | 'string' | 'number' | 'boolean' | 'null'
  /** Members of the top-level object by unescaped name; empty for other kinds. */
  readonly members: ReadonlyMap<string, Span>
  /** Span of a wanted member; undefined when the document lacks it. @throws TypeError for a path that `want` lacks. */
  child(path: string): Span | undefined
  /**
   * True when each number survives parse + stringify by value (json-number.ts), so that re-serialising loses nothing.
   * False also when nobody looked (`numbers: 'any'`).
   */
  readonly exactNumbers: boolean
  /** The first number that does not survive; undefined also when nobody looked. */
  readonly inexact: Span | undefined
  /** exactNumbers for one wanted member; an absent one holds no inexact number. @throws TypeError for a path that `want` lacks. */
  exactIn(path: string): boolean
}

/**
 * Names of the MCP envelope. Parsers that ignore case (Go's encoding/json) read `Method` or `METHOD` as `method`,
 * so a twin would be judged here and obeyed there (CVE-2026-27896). Elements of a batch are not covered: refuse batches.
 */
export const ENVELOPE_NAMES: Readonly<Record<string, readonly string[]>> = {
  '': ['jsonrpc', 'id', 'method', 'params', 'result', 'error'],
  params: ['name', 'arguments', 'uri', '_meta', 'cursor', 'requestState', 'inputResponses', 'progressToken'],
}

// Bytes are constants of each file: V8 folds them there, but loads imported ones at each use (15 % of a scan).
const QUOTE = 0x22
const COMMA = 0x2c
const MINUS = 0x2d
const ZERO = 0x30
const NINE = 0x39
const COLON = 0x3a
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
/** Stands for the byte behind the document. */
const NOTHING = -1

const DEFAULTS: ScanOptions = {}
const scanners = new WeakMap<ScanOptions, (bytes: Uint8Array) => ScannedJson>()

/**
 * Proves that received bytes are one unambiguous JSON document, before anything parses them: one pass, no recursion,
 * work linear in the bytes, stopping at the first fault. What it accepts, `JSON.parse` accepts.
 * @throws JsonFault with the kind and the byte offset.
 * @throws TypeError for an option out of bounds.
 */
export function scanJson(bytes: Uint8Array, options: ScanOptions = DEFAULTS): ScannedJson {
  let scan = scanners.get(options)
  if (scan === undefined) {
    scan = createScanner(options)
    scanners.set(options, scan)
  }
  return scan(bytes)
}

/** The scratch belongs to one scanner and is free between two scans: a scan is synchronous and calls nobody back. */
function createScanner(options: ScanOptions): (bytes: Uint8Array) => ScannedJson {
  const maxBytes = bounded('maxBytes', options.maxBytes ?? 1_048_576, 2 ** 30)
  const maxDepth = bounded('maxDepth', options.maxDepth ?? 64, 1_024)
  const maxKeys = bounded('maxKeys', options.maxKeys ?? 10_000, 1_000_000)
  const strict = options.strictSurrogates ?? true
  const exact = options.numbers !== 'any'
  const plan = createPlan(options.want ?? [], new Map(Object.entries(options.twinKeys ?? ENVELOPE_NAMES)))
  const wanted = new Set(options.want)
  const blank = plan.map(() => undefined)
  const root = plan[0] ?? NOWHERE
  const keys = new KeyLedger(maxDepth, maxKeys)

  // One frame per open container, from 1; 0 stands for what is around the document.
  const closerAt = new Uint8Array(maxDepth + 1)
  const startAt = new Int32Array(maxDepth + 1)
  const nodeAt: PlanNode[] = Array.from({ length: maxDepth + 1 }, () => NOWHERE)
  const insideAt: PlanNode[] = nodeAt.slice() // the innermost planned object around

  function nodeOf(path: string): number {
    const node = wanted.has(path) ? plan.findIndex((candidate) => candidate.path === path) : -1
    if (node < 0) throw new TypeError(`path \`${path}\` is not among the wanted paths of this scan`)
    return node
  }

  return function scan(bytes) {
    const end = bytes.length
    if (end > maxBytes) throw new JsonFault('bytes', maxBytes, `document is longer than ${maxBytes} bytes`)
    keys.reset(bytes)
    const members = new Map<string, Span>()
    const spans: (Span | undefined)[] = blank.slice()
    let inexact: Span | undefined
    let inexactNodes: Set<PlanNode> | undefined

    let depth = 0
    let i = skipSpace(bytes, 0, end)
    const kind = kindOf(i < end ? (bytes[i] ?? 0) : 0)
    let atKey = false
    let member = ''
    let node = root // of the value at i

    for (;;) {
      if (atKey) {
        if (i >= end || bytes[i] !== QUOTE) throw unexpected(bytes, i, 'a member name in quotes')
        const at = i
        const closed = scanString(bytes, i + 1, end, strict)
        i = closed < 0 ? ~closed : closed
        if (keys.full()) throw new JsonFault('keys', at, `document has more than ${maxKeys} members`)
        if (!keys.claim(depth, at + 1, i - 1, closed < 0)) {
          throw new JsonFault('duplicate', at, 'member name appears twice in one object')
        }
        node = NOWHERE
        const parent = nodeAt[depth] ?? NOWHERE
        if (parent !== NOWHERE) {
          const name = keys.match(parent, at)
          if (name !== undefined) node = name.node
          if (depth === 1) member = name === undefined ? keys.text() : name.text
        }
        i = skipSpace(bytes, i, end)
        if (i >= end || bytes[i] !== COLON) throw unexpected(bytes, i, '`:`')
        i = skipSpace(bytes, i + 1, end)
        atKey = false
      }

      let start = i
      const c = i < end ? (bytes[i] ?? 0) : NOTHING
      if (c === QUOTE) {
        i = scanString(bytes, i + 1, end, strict)
        if (i < 0) i = ~i
      } else if (c === OPEN_OBJECT || c === OPEN_ARRAY) {
        if (depth === maxDepth) throw new JsonFault('depth', i, `nesting is deeper than ${maxDepth}`)
        const inside = insideAt[depth] ?? NOWHERE
        const closer = c + 2
        i = skipSpace(bytes, i + 1, end)
        if (i < end && bytes[i] === closer) i++
        else {
          depth++
          closerAt[depth] = closer
          startAt[depth] = start
          nodeAt[depth] = node
          insideAt[depth] = node === NOWHERE ? inside : node
          atKey = c === OPEN_OBJECT
          if (atKey) keys.open(depth)
          node = NOWHERE
          continue
        }
      } else if (c === MINUS || (c >= ZERO && c <= NINE)) {
        i = scanNumber(bytes, i, end)
        if (i < 0) {
          i = ~i
          const owner = node === NOWHERE ? (insideAt[depth] ?? root) : node
          // Where one number is known to be inexact the others change nothing.
          if (exact && inexactNodes?.has(owner) !== true && !isExactNumber(bytes, start, i)) {
            inexact ??= { start, end: i }
            inexactNodes ??= new Set()
            for (let at: PlanNode | undefined = owner; at !== undefined; at = at.parent) inexactNodes.add(at)
          }
        }
      } else i = scanLiteral(bytes, i, c)

      // The value [start, i) is whole; so may be the containers that end behind it.
      for (;;) {
        if (node !== NOWHERE) spans[node.index] = { start, end: i }
        if (depth === 1 && closerAt[1] === CLOSE_OBJECT) members.set(member, { start, end: i })
        i = skipSpace(bytes, i, end)
        if (depth === 0) {
          if (i < end) throw unexpected(bytes, i, 'the end of the document')
          return {
            kind,
            members,
            child: (path) => spans[nodeOf(path)],
            exactNumbers: exact && inexact === undefined,
            inexact,
            exactIn: (path) => {
              const place = plan[nodeOf(path)] ?? NOWHERE
              return exact && inexactNodes?.has(place) !== true
            },
          }
        }
        const next = i < end ? bytes[i] : NOTHING
        const closer = closerAt[depth]
        i++
        if (next === COMMA) {
          i = skipSpace(bytes, i, end)
          atKey = closer === CLOSE_OBJECT
          node = NOWHERE
          break
        }
        if (next !== closer)
          throw unexpected(bytes, i - 1, closer === CLOSE_ARRAY ? '`,` or `]`' : '`,` or `}`')
        start = startAt[depth] ?? 0
        node = nodeAt[depth] ?? NOWHERE
        depth--
      }
    }
  }
}

function bounded(name: string, value: number, most: number): number {
  if (Number.isInteger(value) && value >= 1 && value <= most) return value
  throw new TypeError(`\`${name}\` is \`${value}\` (expected an integer from 1 to ${most})`)
}

function kindOf(first: number): ScannedJson['kind'] {
  if (first === OPEN_OBJECT) return 'object'
  if (first === OPEN_ARRAY) return 'array'
  if (first === QUOTE) return 'string'
  if (first === MINUS || (first >= ZERO && first <= NINE)) return 'number'
  return first === 0x6e ? 'null' : 'boolean'
}
