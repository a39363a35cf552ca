import { re2Property } from './pattern-property.ts'

/** A pattern in RE2's syntax and how many instructions it takes, roughly. */
export interface Re2Pattern {
  readonly source: string
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

const DIGIT = '0-9'
const NOT_DIGIT = '\\x{0}-\\x{2F}\\x{3A}-\\x{10FFFF}'
const WORD = '0-9A-Za-z_'
const NOT_WORD = '\\x{0}-\\x{2F}\\x{3A}-\\x{40}\\x{5B}-\\x{5E}\\x{60}\\x{7B}-\\x{10FFFF}'
// ECMA-262 WhiteSpace and LineTerminator, which RE2's \s is not.
const SPACE =
  '\\x{9}-\\x{D}\\x{20}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}'
const NOT_SPACE =
  '\\x{0}-\\x{8}\\x{E}-\\x{1F}\\x{21}-\\x{9F}\\x{A1}-\\x{167F}\\x{1681}-\\x{1FFF}\\x{200B}-\\x{2027}\\x{202A}-\\x{202E}' +
  '\\x{2030}-\\x{205E}\\x{2060}-\\x{2FFF}\\x{3001}-\\x{FEFE}\\x{FF00}-\\x{10FFFF}'
const SETS: Readonly<Record<string, string>> = {
  d: DIGIT,
  D: NOT_DIGIT,
  w: WORD,
  W: NOT_WORD,
  s: SPACE,
  S: NOT_SPACE,
}
const CONTROLS: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13 }
const ANY = '[\\x{0}-\\x{10FFFF}]'
const NOTHING = '[^\\x{0}-\\x{10FFFF}]'
const ANY_BUT_LINE_END = '[^\\x{A}\\x{D}\\x{2028}\\x{2029}]'
/** RE2's own cap on one repeat; greater counts are written as several. */
const MAX_REPEAT = 1_000
const MAX_GROUPS_DEEP = 100

/**
 * Translates an ECMA-262 pattern (read with the `u` flag, as JSON Schema 2020-12 core s6.4 asks; without it when the
 * pattern is only valid so) into RE2's syntax of equal meaning. Groups lose their captures and quantifiers their
 * laziness: neither changes whether there is a match.
 * @param maxSize most instructions after repeats are expanded.
 * @throws PatternRefused for lookaround, backreferences and whatever else has no equal.
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
    const result = this.alternatives()
    if (!this.unicode && !isValid(this.text, ''))
      throw new PatternRefused('syntax', 'is not a valid ECMA-262 pattern')
    if (this.at < this.text.length) throw new PatternRefused('syntax', 'has an unmatched `)`')
    return result
  }

  private alternatives(): Re2Pattern {
    let source = ''
    let size = 0
    for (;;) {
      const end = this.at >= this.text.length || this.peek() === ')'
      if (end) return { source, size: size + 1 }
      if (this.eat('|')) {
        source += '|'
        size += 1
        continue
      }
      const term = this.term()
      source += term.source
      size = this.bounded(size + term.size)
    }
  }

  private term(): Re2Pattern {
    if (this.eat('^')) return { source: '\\A', size: 1 }
    if (this.eat('$')) return { source: '\\z', size: 1 }
    if (this.eat('\\b')) return { source: '\\b', size: 1 }
    if (this.eat('\\B')) return { source: '\\B', size: 1 }
    return this.quantified(this.atom())
  }

  private atom(): Re2Pattern {
    if (this.eat('(')) return this.group()
    if (this.eat('[')) return { source: this.characterClass(), size: 1 }
    if (this.eat('.')) return { source: ANY_BUT_LINE_END, size: 1 }
    if (this.peek() === '\\') {
      const escape = this.escape()
      return { source: 'set' in escape ? `[${escape.set}]` : literal(escape.point), size: 1 }
    }
    if (/^[*+?]/.test(this.peek())) throw new PatternRefused('syntax', 'repeats nothing')
    return { source: literal(this.point()), size: 1 }
  }

  private group(): Re2Pattern {
    if (this.eat('?=') || this.eat('?!')) throw new PatternRefused('lookahead', 'looks ahead')
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
    return { source: `(?:${inner.source})`, size: inner.size }
  }

  private quantified(atom: Re2Pattern): Re2Pattern {
    const found = /^(?:[*+?]|\{(\d+)(,?)(\d*)\})/.exec(this.text.slice(this.at, this.at + 40))
    if (found === null) return atom
    this.at += found[0].length
    this.eat('?')
    const [sign, min, comma, max] = found
    if (min === undefined) return { source: atom.source + sign, size: this.bounded(atom.size + 1) }
    const least = Number(min)
    const most = comma === '' ? least : max === undefined || max === '' ? undefined : Number(max)
    const times = most ?? least + 1
    if (times < least) throw new PatternRefused('syntax', 'has a repeat with its bounds out of order')
    const size = this.bounded(Math.max(1, atom.size * times + (times - least)))
    return { source: repeat(atom.source, least, most), size }
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

function escaped(point: number): string {
  return `\\x{${point.toString(16).toUpperCase()}}`
}

function literal(point: number): string {
  const character = String.fromCodePoint(point)
  return /[A-Za-z0-9]/.test(character) ? character : escaped(point)
}

/** `a{1500,2500}` as `a{1000,1000}a{500,1000}a{0,500}`: RE2 caps one repeat, not their sequence. */
function repeat(atom: string, least: number, most: number | undefined): string {
  let source = ''
  let low = least
  let high = most ?? least
  do {
    const upTo = Math.min(high, MAX_REPEAT)
    const from = Math.min(low, upTo)
    source += `(?:${atom}){${from},${upTo}}`
    low -= from
    high -= upTo
  } while (high > 0)
  return most === undefined ? `${source}(?:${atom})*` : source
}
