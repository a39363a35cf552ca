/** Bytes that the shared memory holds at first and at most; longer texts get their own. */
const FIRST = 131_072
const MOST = 2_097_152

let memory = Buffer.allocUnsafeSlow(FIRST)

/** Units of short texts: to make an array for each would cost more than to look through it. */
const SHORT = 256
const short = new Uint16Array(SHORT)

/**
 * The UTF-16 units of a text in one array: a loop over it costs a third of one over the text itself. A text of ASCII has them as
 * bytes, and two of them at once in `pairs`. Valid until the next call.
 */
export interface Units {
  /** Of the text; the arrays may be longer. */
  readonly length: number
  readonly units: Uint8Array | Uint16Array
  /** Each two bytes as one number, the first of them low; the last may hold a blank that is not in the text. */
  readonly pairs: Uint16Array | undefined
}

export function unitsOf(text: string): Units {
  const { length } = text
  if (length <= SHORT) {
    for (let i = 0; i < length; i++) short[i] = text.charCodeAt(i)
    return { length, units: short, pairs: undefined }
  }
  // No unit takes less than a byte, and every one beyond ASCII takes more.
  if (Buffer.byteLength(text) === length) {
    const bytes = room(length + 1)
    bytes.write(text, 'latin1')
    bytes[length] = 0x20
    return {
      length,
      units: new Uint8Array(bytes.buffer, 0, length),
      pairs: new Uint16Array(bytes.buffer, 0, (length + 1) >> 1),
    }
  }
  const bytes = room(length * 2)
  bytes.write(text, 'utf16le')
  return { length, units: new Uint16Array(bytes.buffer, 0, length), pairs: undefined }
}

function room(bytes: number): Buffer {
  if (bytes <= memory.length) return memory
  if (bytes > MOST) return Buffer.allocUnsafeSlow(bytes + (bytes & 1))
  memory = Buffer.allocUnsafeSlow(MOST)
  return memory
}

/** Finds the places of a text where a sign of a set stands. */
export class Lookout {
  readonly #kinds: Uint8Array
  readonly #pairs = new Uint8Array(0x10000)

  /** @param kinds by UTF-16 unit; 0 for those that are passed over */
  constructor(kinds: Uint8Array) {
    this.#kinds = kinds
    for (let pair = 0; pair < 0x10000; pair++)
      this.#pairs[pair] = (kinds[pair & 0xff] ?? 0) | (kinds[pair >> 8] ?? 0)
  }

  /** The first place from `at` on, or the length of the text. */
  next({ length, units, pairs }: Units, at: number): number {
    const kinds = this.#kinds
    if (pairs === undefined) {
      while (at < length && kinds[units[at] ?? 0] === 0) at++
      return at
    }
    if (at % 2 === 1) {
      if (kinds[units[at] ?? 0] !== 0) return at
      at++
    }
    const both = this.#pairs
    let i = at >> 1
    while (i < pairs.length && both[pairs[i] ?? 0] === 0) i++
    if (i >= pairs.length) return length
    return kinds[units[2 * i] ?? 0] === 0 ? 2 * i + 1 : 2 * i
  }
}
