import { isUtf8 } from 'node:buffer'
import { getRandomValues } from 'node:crypto'
import { ESCAPES, JsonFault, escapedUnit } from './json-bytes.ts'
import { halfSip } from './json-key-hash.ts'
import { fold, type PlanName, type PlanNode } from './json-plan.ts'

const BACKSLASH = 0x5c

const LOWER = Uint8Array.from({ length: 256 }, (_, c) => {
  const lower = String.fromCharCode(c).toLowerCase()
  return c < 0x80 ? lower.charCodeAt(0) : c
})

/** Names of an object up to this count are compared one by one; then a table takes over. */
const LISTED = 8

/**
 * The member names of the open objects. Finds a name given twice after unescaping, in time linear in the names whoever
 * chose them: the table's hash is keyed (HalfSipHash-1-3), so that colliding names cannot be made outside.
 */
export class KeyLedger {
  readonly #maxKeys: number
  readonly #seed = getRandomValues(new Int32Array(2))
  #bytes: Uint8Array = new Uint8Array(0)
  /** Names that were written with escapes, unescaped. Their offsets are stored complemented. */
  #unescaped: Buffer = Buffer.alloc(64)
  #unescapedLength = 0

  // One entry per name: where it is, the one before it in its object, and its tag, or in the table its hash and object.
  #size = 0
  #start = new Int32Array(64)
  #end = new Int32Array(64)
  #hash = new Int32Array(64)
  #owner = new Int32Array(64)
  #before = new Int32Array(64)

  // One entry per depth: the first name (it tells objects apart), the latest, and how many.
  readonly #first: Int32Array
  readonly #last: Int32Array
  readonly #count: Int32Array

  /** Open addressing over names of all large objects; values below #epoch are left from earlier scans. */
  #table = new Int32Array(0)
  #epoch = 1

  // The name at hand.
  #source: Uint8Array = this.#bytes
  #from = 0
  #to = 0

  constructor(maxDepth: number, maxKeys: number) {
    this.#maxKeys = maxKeys
    this.#first = new Int32Array(maxDepth + 1)
    this.#last = new Int32Array(maxDepth + 1)
    this.#count = new Int32Array(maxDepth + 1)
  }

  /** Forgets all names: the next ones are those of this document. */
  reset(bytes: Uint8Array): void {
    this.#epoch += this.#size
    if (this.#epoch > 2 ** 30) {
      this.#table.fill(0)
      this.#epoch = 1
    }
    this.#size = 0
    this.#unescapedLength = 0
    if (this.#unescaped.length > 65_536) this.#unescaped = Buffer.alloc(64)
    this.#bytes = bytes
  }

  /** Whether the document has as many members as it may. */
  full(): boolean {
    return this.#size === this.#maxKeys
  }

  /** Opens an object without names at a depth. */
  open(depth: number): void {
    this.#first[depth] = this.#size
    this.#last[depth] = -1
    this.#count[depth] = 0
  }

  /** Takes the name in [start, end) of the document for the object open at a depth. @returns false for a duplicate. */
  claim(depth: number, start: number, end: number, escaped: boolean): boolean {
    if (escaped) this.#unescape(start, end)
    else {
      this.#source = this.#bytes
      this.#from = start
      this.#to = end
    }
    const index = this.#size
    if (index === this.#start.length) this.#grow()
    const owner = this.#first[depth] ?? 0
    const last = this.#last[depth] ?? -1
    const count = this.#count[depth] ?? 0
    this.#start[index] = escaped ? ~this.#from : start
    this.#end[index] = this.#to
    this.#before[index] = last
    if (count < LISTED) {
      const tag = this.#tag()
      const tags = this.#hash
      tags[index] = tag
      for (let other = last; other >= 0; other = this.#before[other] ?? -1) {
        if (tags[other] === tag && this.#isAtHand(other)) return false
      }
    } else {
      if (count === LISTED) {
        for (let other = last; other >= 0; other = this.#before[other] ?? -1) this.#enter(other, owner)
      }
      if (!this.#enter(index, owner)) return false
    }
    this.#last[depth] = index
    this.#count[depth] = count + 1
    this.#size = index + 1
    return true
  }

  /** The planned name that the name at hand is. @throws JsonFault when it is the odd-case twin of one. */
  match(node: PlanNode, at: number): PlanName | undefined {
    const length = this.#to - this.#from
    const source = this.#source
    let longest = 0
    for (const name of node.names) {
      const { exact, folded } = name
      if (name.guarded && exact.length > longest) longest = exact.length
      if (exact.length !== length) continue
      let same = true
      let i = 0
      for (; i < length; i++) {
        const c = source[this.#from + i] ?? 0
        if (c === exact[i]) continue
        same = false
        if (LOWER[c] !== folded[i]) break
      }
      if (same) return name
      if (i === length && name.guarded) throw twin(name.text, at)
    }
    // Three bytes are the most that fold to one letter.
    if (length > longest * 3) return undefined
    for (let i = this.#from; i < this.#to; i++) {
      if ((source[i] ?? 0) < 0x80) continue
      const folded = fold(this.text())
      const name = node.names.find((candidate) => candidate.guarded && fold(candidate.text) === folded)
      if (name !== undefined && name.text !== this.text()) throw twin(name.text, at)
      break
    }
    return undefined
  }

  /** The name at hand as text. */
  text(): string {
    const source = this.#source
    const whole = Buffer.isBuffer(source)
      ? source
      : Buffer.from(source.buffer, source.byteOffset, source.length)
    if (source === this.#bytes) return whole.toString('utf8', this.#from, this.#to)
    const view = whole.subarray(this.#from, this.#to)
    if (isUtf8(view)) return view.toString()
    // Lone surrogates, which UTF-8 decoders refuse: three bytes each, as #unescape wrote them.
    const units: string[] = []
    for (let i = 0; i < view.length;) {
      const lead = view[i] ?? 0
      const length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
      const one = view.subarray(i, i + length)
      const lone = 0xd000 | (((one[1] ?? 0) & 0x3f) << 6) | ((one[2] ?? 0) & 0x3f)
      units.push(isUtf8(one) ? one.toString() : String.fromCharCode(lone))
      i += length
    }
    return units.join('')
  }

  /** Length, first and last byte of the name at hand: tells most names of a small object apart. */
  #tag(): number {
    const length = this.#to - this.#from
    if (length === 0) return 0
    return (length << 16) | ((this.#source[this.#from] ?? 0) << 8) | (this.#source[this.#to - 1] ?? 0)
  }

  #isAtHand(index: number): boolean {
    const stored = this.#start[index] ?? 0
    const from = stored < 0 ? ~stored : stored
    const length = this.#to - this.#from
    if ((this.#end[index] ?? 0) - from !== length) return false
    const source = stored < 0 ? this.#unescaped : this.#bytes
    for (let i = 0; i < length; i++) if (source[from + i] !== this.#source[this.#from + i]) return false
    return true
  }

  /** Puts a name into the table. @returns false when it is the name at hand and its object has it there. */
  #enter(index: number, owner: number): boolean {
    if (this.#table.length === 0) this.#table = new Int32Array(2 ** Math.ceil(Math.log2(this.#maxKeys) + 1))
    const table = this.#table
    const mask = table.length - 1
    const stored = this.#start[index] ?? 0
    const source = stored < 0 ? this.#unescaped : this.#bytes
    const hash = halfSip(this.#seed, owner, source, stored < 0 ? ~stored : stored, this.#end[index] ?? 0)
    this.#hash[index] = hash
    this.#owner[index] = owner
    let slot = hash & mask
    for (;;) {
      const other = (table[slot] ?? 0) - this.#epoch
      if (other < 0) break
      const rival = index === this.#size && this.#hash[other] === hash && this.#owner[other] === owner
      if (rival && this.#isAtHand(other)) return false
      slot = (slot + 1) & mask
    }
    table[slot] = this.#epoch + index
    return true
  }

  /** Makes the escaped name in [start, end) the name at hand: UTF-8, a lone surrogate in three bytes. */
  #unescape(start: number, end: number): void {
    const bytes = this.#bytes
    const needed = this.#unescapedLength + end - start // unescaped is never longer
    if (needed > this.#unescaped.length) {
      const larger = Buffer.alloc(needed * 2)
      this.#unescaped.copy(larger, 0, 0, this.#unescapedLength)
      this.#unescaped = larger
    }
    const out = this.#unescaped
    let to = this.#unescapedLength
    this.#source = out
    this.#from = to
    for (let i = start; i < end; i++) {
      const c = bytes[i] ?? 0
      if (c !== BACKSLASH) {
        out[to++] = c
        continue
      }
      const short = ESCAPES[bytes[i + 1] ?? 0] ?? 0
      if (short !== 0) {
        out[to++] = short
        i++
        continue
      }
      let point = escapedUnit(bytes, i, end)
      i += 5
      const low = point >= 0xd800 && point < 0xdc00 ? escapedUnit(bytes, i + 1, end) : -1
      if (low >= 0xdc00 && low < 0xe000) {
        point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00)
        i += 6
      }
      if (point < 0x80) out[to++] = point
      else {
        if (point < 0x800) out[to++] = 0xc0 | (point >> 6)
        else {
          if (point < 0x10000) out[to++] = 0xe0 | (point >> 12)
          else {
            out[to++] = 0xf0 | (point >> 18)
            out[to++] = 0x80 | ((point >> 12) & 0x3f)
          }
          out[to++] = 0x80 | ((point >> 6) & 0x3f)
        }
        out[to++] = 0x80 | (point & 0x3f)
      }
    }
    this.#to = to
    this.#unescapedLength = to
  }

  #grow(): void {
    const length = this.#start.length * 2
    this.#start = longer(this.#start, length)
    this.#end = longer(this.#end, length)
    this.#hash = longer(this.#hash, length)
    this.#owner = longer(this.#owner, length)
    this.#before = longer(this.#before, length)
  }
}

function twin(name: string, at: number): JsonFault {
  return new JsonFault('twin', at, `member name reads as \`${name}\` when case is ignored`)
}

function longer(from: Int32Array<ArrayBuffer>, length: number): Int32Array<ArrayBuffer> {
  const to = new Int32Array(length)
  to.set(from)
  return to
}
