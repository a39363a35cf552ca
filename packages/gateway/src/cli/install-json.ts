import { Unusable } from './install-document.ts'

/** A value with its place in the text. */
export type JsonNode =
  | { readonly kind: 'object'; readonly start: number; readonly end: number; readonly members: JsonMember[] }
  | { readonly kind: 'array'; readonly start: number; readonly end: number; readonly items: JsonNode[] }
  | { readonly kind: 'scalar'; readonly start: number; readonly end: number; readonly value: unknown }

/** A member of an object, from its key up to the end of its value. */
export interface JsonMember {
  readonly key: string
  readonly start: number
  readonly node: JsonNode
  /** Offset of the comma after it. */
  comma: number | undefined
}

/** A text read as JSON: its value, and the ranges of its comments. */
export interface JsonText {
  readonly root: JsonNode
  readonly comments: readonly { readonly start: number; readonly end: number }[]
}

/** Deepest nesting that is read; hosts write less than ten levels. */
const MAX_DEPTH = 200

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const WORD = /true|false|null/y
const BLANK = /[ \t\r\n]*/y

/**
 * Reads JSON as editors take it for configuration: comments and a comma after the last member are allowed.
 * @throws Unusable with the offset of the first fault
 */
export function readJson(text: string): JsonText {
  const reader = new JsonReader(text)
  return reader.read()
}

/** The value of a node as JSON.parse would have it. */
export function valueOf(node: JsonNode): unknown {
  switch (node.kind) {
    case 'object':
      return Object.fromEntries(node.members.map(({ key, node: member }) => [key, valueOf(member)]))
    case 'array':
      return node.items.map(valueOf)
    case 'scalar':
      return node.value
  }
}

class JsonReader {
  readonly #text: string
  readonly #comments: { start: number; end: number }[] = []
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  read(): JsonText {
    this.#skip()
    const root = this.#value(0)
    this.#skip()
    if (this.#at < this.#text.length) throw this.#expected('the end of the file')
    return { root, comments: this.#comments }
  }

  #value(depth: number): JsonNode {
    if (depth > MAX_DEPTH) throw new Unusable(`is nested more than ${MAX_DEPTH} levels deep`, this.#at)
    const start = this.#at
    const sign = this.#text[start]
    if (sign === '{') return this.#object(start, depth)
    if (sign === '[') return this.#array(start, depth)
    const token = this.#string() ?? this.#take(NUMBER) ?? this.#take(WORD)
    if (token === undefined) throw this.#expected('a value')
    return { kind: 'scalar', start, end: this.#at, value: this.#parsed(token, start) }
  }

  #object(start: number, depth: number): JsonNode {
    const members: JsonMember[] = []
    this.#at++
    this.#skip()
    while (this.#text[this.#at] !== '}') {
      if (members.length > 0 && members.at(-1)?.comma === undefined) throw this.#expected('`,` or `}`')
      const keyStart = this.#at
      const token = this.#string()
      if (token === undefined) throw this.#expected('a key in double quotes or `}`')
      const key = String(this.#parsed(token, keyStart))
      this.#skip()
      if (this.#text[this.#at] !== ':') throw this.#expected('`:`')
      this.#at++
      this.#skip()
      members.push({ key, start: keyStart, node: this.#value(depth + 1), comma: undefined })
      this.#skip()
      const last = members.at(-1)
      if (this.#text[this.#at] === ',' && last !== undefined) {
        last.comma = this.#at
        this.#at++
        this.#skip()
      }
    }
    this.#at++
    return { kind: 'object', start, end: this.#at, members }
  }

  #array(start: number, depth: number): JsonNode {
    const items: JsonNode[] = []
    let comma = true
    this.#at++
    this.#skip()
    while (this.#text[this.#at] !== ']') {
      if (!comma) throw this.#expected('`,` or `]`')
      items.push(this.#value(depth + 1))
      this.#skip()
      comma = this.#text[this.#at] === ','
      if (comma) this.#at++
      this.#skip()
    }
    this.#at++
    return { kind: 'array', start, end: this.#at, items }
  }

  /** A string in its quotes; a loop and no pattern, since a pattern runs out of stack on a long one. */
  #string(): string | undefined {
    const start = this.#at
    if (this.#text[start] !== '"') return undefined
    for (let at = start + 1; at < this.#text.length; at++) {
      const code = this.#text.charCodeAt(at)
      if (code === 0x5c) at++
      else if (code === 0x22) {
        this.#at = at + 1
        return this.#text.slice(start, this.#at)
      } else if (code < 0x20)
        throw new Unusable('has a string with a line end or control character in it', at)
    }
    throw new Unusable('has a string without an end', start)
  }

  #parsed(token: string, offset: number): unknown {
    try {
      return JSON.parse(token)
    } catch {
      throw new Unusable('has a string with an escape that JSON does not know', offset)
    }
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text)?.[0]
    if (found !== undefined) this.#at += found.length
    return found
  }

  /** Passes blanks and comments. */
  #skip(): void {
    for (;;) {
      this.#take(BLANK)
      const start = this.#at
      const sign = this.#text.slice(start, start + 2)
      if (sign !== '//' && sign !== '/*') return
      const close = this.#text.indexOf(sign === '//' ? '\n' : '*/', start + 2)
      if (close === -1 && sign === '/*') throw new Unusable('has a comment without an end', start)
      this.#at = close === -1 ? this.#text.length : sign === '//' ? close : close + 2
      this.#comments.push({ start, end: this.#at })
    }
  }

  #expected(what: string): Unusable {
    const found = this.#text.at(this.#at)
    const shown = this.#at >= this.#text.length ? 'the end' : JSON.stringify(found)
    return new Unusable(`has ${shown} here (expected ${what})`, this.#at)
  }
}
