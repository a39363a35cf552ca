import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { GrowingBytes } from '../mcp/growing-bytes.ts'

const LF = 0x0a
const CR = 0x0d
const SPACE = 0x20
/** Bytes that may wait for a host which does not read before everything else waits for it. */
const MAX_UNREAD = 256 * 1024

/** Stands for a line that was longer than the cap; its bytes are gone. */
export const TOO_LONG: unique symbol = Symbol('line is too long')

/**
 * Lines of a byte stream without their ends. Only LF ends a line: U+2028 may stand in a JSON text, and bytes that are no
 * UTF-8 must reach the gate as they are, which refuses them.
 * @param maxBytes longest line; of a longer one nothing is kept, and TOO_LONG is given in its place
 */
export async function* readLines(
  input: AsyncIterable<Uint8Array>,
  maxBytes: number,
): AsyncGenerator<Buffer | typeof TOO_LONG, void, undefined> {
  const waiting = new GrowingBytes()
  let bytes = 0
  const take = (last: Buffer): Buffer | typeof TOO_LONG => {
    const isTooLong = bytes + last.length > maxBytes
    bytes = 0
    if (!isTooLong) waiting.append(last)
    const whole = waiting.take()
    return isTooLong ? TOO_LONG : whole
  }
  for await (const chunk of input) {
    const buffer = Buffer.from(chunk)
    let from = 0
    for (let at = buffer.indexOf(LF); at >= 0; at = buffer.indexOf(LF, from)) {
      const line = take(buffer.subarray(from, at))
      from = at + 1
      yield line
    }
    const rest = buffer.subarray(from)
    bytes += rest.length
    if (bytes > maxBytes) waiting.take()
    else if (rest.length > 0) waiting.append(rest)
  }
  if (bytes > 0) yield take(Buffer.alloc(0))
}

/** Writes messages, one after the other, at the pace of who reads them. */
export class MessageWriter {
  /** How a message leaves; default: as one line. */
  cut: (message: Uint8Array) => Buffer = oneLine
  readonly #output: Writable
  /** Settles when what was written last is on its way. */
  #last: Promise<void> = Promise.resolve()
  #gone = false

  /** @param onGone called once when nobody reads any more */
  constructor(output: Writable, onGone: () => void) {
    this.#output = output
    const gone = (): void => {
      if (this.#gone) return
      this.#gone = true
      onGone()
    }
    output.on('error', gone)
    output.on('close', gone)
  }

  /** Resolves when the reader keeps up. */
  async ready(): Promise<void> {
    await this.#last
  }

  /** Writes one message. @returns when the next one may be written */
  write(message: Uint8Array): Promise<void> {
    this.#last = this.#last.then(() => this.#put(message))
    return this.#last
  }

  async #put(message: Uint8Array): Promise<void> {
    if (this.#gone) return
    this.#output.write(this.cut(message))
    if (this.#output.writableLength <= MAX_UNREAD) return
    const ended = new AbortController()
    const end = (): void => ended.abort()
    this.#output.once('close', end).once('error', end)
    await once(this.#output, 'drain', { signal: ended.signal }).catch(() => undefined)
    this.#output.off('close', end).off('error', end)
  }
}

/** A message and its end. A line end inside a JSON text is white space, so a space says the same. */
function oneLine(message: Uint8Array): Buffer {
  const line = Buffer.allocUnsafe(message.length + 1)
  line.set(message)
  line[message.length] = LF
  for (const end of [LF, CR]) {
    for (let at = line.indexOf(end); at >= 0 && at < message.length; at = line.indexOf(end, at + 1)) {
      line[at] = SPACE
    }
  }
  return line
}
