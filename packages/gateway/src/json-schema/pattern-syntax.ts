import { ANY, ANY_BUT_LINE_END, NOTHING, SETS, escaped, inverse, literal, repeat } from './pattern-classes.ts'
import { re2Property } from './pattern-property.ts'

/** A pattern as searches in RE2's syntax: a text matches when one of the ways holds. */
export interface Re2Pattern {
  readonly searches: readonly string[]
  readonly ways: readonly Way[]
  /** Instructions of all searches, roughly. */
  readonly size: number
}

/** Holds when each search of `all` finds something and none of `none` does. Indices of the searches. */
export interface Way {
  readonly all: readonly number[]
  readonly none: readonly number[]
}

/** A piece of a search. */
interface Part {
  readonly source: string
  readonly size: number
  /** Code points that every match takes; undefined when matches differ. */
  readonly width: number | undefined
}

/** One alternative of the whole pattern: its main search, and those that stand for its lookaheads. */
interface Branch {
  readonly main: string
  readonly ahead: readonly { readonly source: string; readonly negative: boolean }[]
  readonly size: number
}

/** Why a pattern cannot be had in linear time with equal meaning; `construct` is the part after `pattern.`. */
export class PatternRefused extends Error {
  override readonly name = 'PatternRefused'
  readonly construct: string

  constructor(construct: string, message: string) {
    super(message)
    this.construct = construct
  }
}

const CONTROLS: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13 }
const MAX_GROUPS_DEEP = 100
const QUANTIFIER = /^(?:[*+?]|\{(\d+)(,?)(\d*)\})/
const EMPTY: Part = { source: '', size: 0, width: 0 }

/**
 * Translates an ECMA-262 pattern (read with the `u` flag, as JSON Schema 2020-12 core s6.4 asks; without it when the
 * pattern is only valid so) into RE2's syntax of equal meaning. Groups lose their captures and quantifiers their
 * laziness: neither changes whether there is a match.
 *
 * RE2 has no lookahead, but where it stands at one certain place of the text it is a search of its own: a match of
 * `^P(?!X)R` is a match of `^PR` in a text without a match of `^P(?:X)`, for every P that takes a fixed number of code
 * points. At the end of an alternative `R(?=X)` is `RX`, and `R(?!c)` is R before the end or another character.
 * @param maxSize most instructions after repeats are expanded.
 * @throws PatternRefused for any other lookaround, for backreferences and whatever else has no equal.
 */
export function translatePattern(pattern: string, maxSize: number): Re2Pattern {
  return new Translator(pattern, maxSize, isValid(pattern, 'u')).whole()
}

function isValid(pattern: string, flags: string): boolean {
  try {
    return new RegExp(pattern, flags).flags === flags
  } catch {
    return false
  }
}

/** One escape: a single code point, or a set as the inside of an RE2 class. */
type Escape = { readonly point: number } | { readonly set: string }

class Translator {
  private readonly text: string
  private readonly maxSize: number
  private readonly unicode: boolean
  private at = 0
  private deep = 0

  constructor(text: string, maxSize: number, unicode: boolean) {
    this.text = text
    this.maxSize = maxSize
    this.unicode = unicode
  }

  whole(): Re2Pattern {
    // Refusals by name come first: a reader learns more from "lookahead" than from "not valid".
    const branches = [this.branch()]
    let size = branches[0]?.size ?? 0
    while (this.eat('|')) {
      const branch = this.branch()
      size = this.bounded(size + branch.size)
      branches.push(branch)
    }
    if (!this.unicode && !isValid(this.text, ''))
      throw new PatternRefused('syntax', 'is not a valid ECMA-262 pattern')
    if (this.at < this.text.length) throw new PatternRefused('syntax', 'has an unmatched `)`')
    if (branches.every(({ ahead }) => ahead.length === 0)) {
      const source = branches.map(({ main }) => main).join('|')
      return { searches: [source], ways: [{ all: [0], none: [] }], size }
    }
    const searches: string[] = []
    const add = (source: string): number => searches.push(source) - 1
    const ways = branches.map(({ main, ahead }) => ({
      all: [main, ...ahead.filter(({ negative }) => !negative).map(({ source }) => source)].map(add),
      none: ahead.filter(({ negative }) => negative).map(({ source }) => add(source)),
    }))
    return { searches, ways, size }
  }

  /** An alternative of the whole pattern: only here a lookahead may stand. */
  private branch(): Branch {
    const ahead: { source: string; negative: boolean }[] = []
    let total = 1
    let main: Part = EMPTY
    let anchored = false
    while (!this.atEnd()) {
      if (main.width === 0 && this.peek() === '^') anchored = true
      const negative = this.text.startsWith('(?!', this.at)
      if (!negative && !this.text.startsWith('(?=', this.at)) {
        main = this.joined(main, this.term())
        continue
      }
      const body = this.lookahead()
      if (anchored && main.width !== undefined) {
        const source = `${main.source}(?:${body.source})`
        // INVARIANT: `main` ends at one place only, whatever the text, so its matches and those of `source` meet there.
        ahead.push({ source, negative })
        total = this.bounded(total + main.size + body.size + 1)
      } else if (this.atEnd()) main = this.joined(main, negative ? notBefore(body) : body)
      else throw new PatternRefused('lookahead', 'looks ahead from a place that differs between texts')
    }
    return { main: main.source, ahead, size: this.bounded(total + main.size) }
  }

  /** The body of the lookahead at hand. */
  private lookahead(): Part {
    this.at += '(?='.length
    const body = this.alternatives()
    if (!this.eat(')')) throw new PatternRefused('syntax', 'has an unmatched `(`')
    if (QUANTIFIER.test(this.rest())) throw new PatternRefused('lookahead', 'repeats a lookahead')
    return { ...body, source: `(?:${body.source})` }
  }

  private alternatives(): Part {
    let whole = this.sequence()
    while (this.eat('|')) {
      const other = this.sequence()
      whole = {
        source: `${whole.source}|${other.source}`,
        size: this.bounded(whole.size + other.size),
        width: whole.width === other.width ? whole.width : undefined,
      }
    }
    return whole
  }

  private sequence(): Part {
    let whole: Part = { ...EMPTY, size: 1 }
    while (!this.atEnd()) whole = this.joined(whole, this.term())
    return whole
  }

  private joined(left: Part, right: Part): Part {
    const width = left.width === undefined || right.width === undefined ? undefined : left.width + right.width
    return { source: left.source + right.source, size: this.bounded(left.size + right.size), width }
  }

  private atEnd(): boolean {
    return this.at >= this.text.length || /^[|)]/.test(this.peek())
  }

  private term(): Part {
    if (this.eat('^')) return { source: '\\A', size: 1, width: 0 }
    if (this.eat('$')) return { source: '\\z', size: 1, width: 0 }
    if (this.eat('\\b')) return { source: '\\b', size: 1, width: 0 }
    if (this.eat('\\B')) return { source: '\\B', size: 1, width: 0 }
    return this.quantified(this.atom())
  }

  private atom(): Part {
    if (this.eat('(')) return this.group()
    if (this.eat('[')) return { source: this.characterClass(), size: 1, width: 1 }
    if (this.eat('.')) return { source: ANY_BUT_LINE_END, size: 1, width: 1 }
    if (this.peek() === '\\') {
      const escape = this.escape()
      return { source: 'set' in escape ? `[${escape.set}]` : literal(escape.point), size: 1, width: 1 }
    }
    if (/^[*+?]/.test(this.peek())) throw new PatternRefused('syntax', 'repeats nothing')
    return { source: literal(this.point()), size: 1, width: 1 }
  }

  private group(): Part {
    if (this.eat('?=') || this.eat('?!')) throw new PatternRefused('lookahead', 'looks ahead inside a group')
    if (this.eat('?<=') || this.eat('?<!')) throw new PatternRefused('lookbehind', 'looks behind')
    if (this.eat('?<')) {
      const end = this.text.indexOf('>', this.at)
      if (end < 0) throw new PatternRefused('syntax', 'has an unfinished group name')
      this.at = end + 1
    } else if (!this.eat('?:') && this.peek() === '?') {
      throw new PatternRefused('modifier', 'sets flags inside the pattern')
    }
    if (++this.deep > MAX_GROUPS_DEEP)
      throw new PatternRefused('nesting', `nests over ${MAX_GROUPS_DEEP} groups`)
    const inner = this.alternatives()
    if (!this.eat(')')) throw new PatternRefused('syntax', 'has an unmatched `(`')
    this.deep -= 1
    return { ...inner, source: `(?:${inner.source})` }
  }

  private quantified(atom: Part): Part {
    const found = QUANTIFIER.exec(this.rest())
    if (found === null) return atom
    this.at += found[0].length
    this.eat('?')
    const [sign, min, comma, max] = found
    if (min === undefined)
      return { source: atom.source + sign, size: this.bounded(atom.size + 1), width: undefined }
    const least = Number(min)
    const most = comma === '' ? least : max === undefined || max === '' ? undefined : Number(max)
    const times = most ?? least + 1
    if (times < least) throw new PatternRefused('syntax', 'has a repeat with its bounds out of order')
    const size = this.bounded(Math.max(1, atom.size * times + (times - least)))
    const width = most === least && atom.width !== undefined ? atom.width * least : undefined
    return { source: repeat(atom.source, least, most), size, width }
  }

  /** After `[`. Sides of a range that are sets themselves leave the hyphen a plain one, as without the `u` flag. */
  private characterClass(): string {
    const negated = this.eat('^')
    let inside = ''
    while (!this.eat(']')) {
      if (this.at >= this.text.length) throw new PatternRefused('syntax', 'has an unmatched `[`')
      const from = this.classAtom()
      if (this.peek() !== '-' || this.text[this.at + 1] === ']' || this.at + 1 >= this.text.length) {
        inside += 'set' in from ? from.set : escaped(from.point)
        continue
      }
      this.at += 1
      const to = this.classAtom()
      if ('set' in from || 'set' in to) {
        inside += `${'set' in from ? from.set : escaped(from.point)}\\x{2D}${'set' in to ? to.set : escaped(to.point)}`
      } else if (from.point > to.point) {
        throw new PatternRefused('syntax', 'has a range with its bounds out of order')
      } else inside += `${escaped(from.point)}-${escaped(to.point)}`
    }
    if (inside === '') return negated ? ANY : NOTHING
    return `[${negated ? '^' : ''}${inside}]`
  }

  private classAtom(): Escape {
    if (this.eat('\\b')) return { point: 8 }
    return this.peek() === '\\' ? this.escape() : { point: this.point() }
  }

  private escape(): Escape {
    this.at += 1
    const letter = this.peek()
    if (letter === '') throw new PatternRefused('syntax', 'ends in a backslash')
    if (/[1-9]/.test(letter) || letter === 'k')
      throw new PatternRefused('backreference', 'refers back to a group')
    if (letter === 'u') return { point: this.unicodeEscape() }
    this.at += letter.length
    const set = Object.hasOwn(SETS, letter) ? SETS[letter] : undefined
    if (set !== undefined) return { set }
    const control = Object.hasOwn(CONTROLS, letter) ? CONTROLS[letter] : undefined
    if (control !== undefined) return { point: control }
    if (letter === 'p' || letter === 'P') return { set: this.property(letter === 'P') }
    if (letter === '0' && !/\d/.test(this.peek())) return { point: 0 }
    if (letter === 'c' && /[A-Za-z]/.test(this.peek())) return { point: this.point() % 32 }
    if (letter === 'x') return { point: this.hex(/^[0-9A-Fa-f]{2}/) }
    // Letters that ECMA-262 gives no meaning carry one in other engines (`\A`, `\Z`, `\h`): do not guess.
    if (/[A-Za-z0-9]/.test(letter))
      throw new PatternRefused('escape', `has an escape of no meaning, \`\\${letter}\``)
    return { point: letter.codePointAt(0) ?? 0 }
  }

  private property(negated: boolean): string {
    const found = /^\{([A-Za-z_=]+)\}/.exec(this.text.slice(this.at, this.at + 80))
    const set = found === null || !this.unicode ? undefined : re2Property(found[1] ?? '', negated)
    if (found === null || set === undefined)
      throw new PatternRefused('property', 'names a character property not known here')
    this.at += found[0].length
    return set
  }

  private unicodeEscape(): number {
    this.at += 1
    if (this.unicode && this.eat('{')) {
      const point = this.hex(/^[0-9A-Fa-f]+/)
      this.eat('}')
      return point
    }
    const high = this.hex(/^[0-9A-Fa-f]{4}/)
    const pair = /^\\u([Dd][C-Fc-f][0-9A-Fa-f]{2})/.exec(this.text.slice(this.at, this.at + 6))
    if (high < 0xd800 || high > 0xdbff || pair === null) return high
    this.at += 6
    return 0x10000 + (high - 0xd800) * 0x400 + (Number.parseInt(pair[1] ?? '', 16) - 0xdc00)
  }

  private hex(digits: RegExp): number {
    const found = digits.exec(this.text.slice(this.at, this.at + 16))
    if (found === null) throw new PatternRefused('escape', 'has an unfinished hexadecimal escape')
    this.at += found[0].length
    return Number.parseInt(found[0], 16)
  }

  /** Takes one code point as it stands. */
  private point(): number {
    const point = this.text.codePointAt(this.at) ?? 0
    this.at += point > 0xffff ? 2 : 1
    return point
  }

  /** Enough of what follows to see any quantifier of use. */
  private rest(): string {
    return this.text.slice(this.at, this.at + 40)
  }

  private peek(): string {
    const point = this.text.codePointAt(this.at)
    return point === undefined ? '' : String.fromCodePoint(point)
  }

  private eat(text: string): boolean {
    const found = this.text.startsWith(text, this.at)
    if (found) this.at += text.length
    return found
  }

  private bounded(size: number): number {
    if (size > this.maxSize) throw new PatternRefused('size', `takes over ${this.maxSize} instructions`)
    return size
  }
}

/** `(?!body)` before the end of an alternative, for a body of one character or `$`. */
function notBefore(body: Part): Part {
  const inside = body.source.slice('(?:'.length, -1)
  if (inside === '\\z') return { source: ANY, size: 1, width: 1 }
  const others = inverse(inside)
  if (others === undefined)
    throw new PatternRefused('lookahead', 'ends by looking ahead for more than one character')
  return { source: `(?:\\z|${others})`, size: 3, width: undefined }
}
