import { GrowingBytes } from '../mcp/growing-bytes.ts'
import { TOO_LONG, readLines } from './stdio-relay-lines.ts'

/** What a host begins with that cuts its messages by length; no JSON text begins so. */
const FRAMED = 'content-length:'
const BLANK_LINE = '\r\n\r\n'
/** Longest header of a frame, in bytes. */
const MAX_HEADER_BYTES = 1_024

/**
 * Messages of a host on stdio. MCP has one message a line; Cline, whose server did not answer in 3 seconds, starts it again and
 * cuts its messages by `Content-Length` instead, as the language server protocol does (3.17, base protocol), and reads nothing
 * else. The first bytes decide, once for all.
 * @param onFramed called before the first message when the host cuts by length
 */
export async function* readMessages(
  input: AsyncIterable<Uint8Array>,
  maxBytes: number,
  onFramed: () => void,
): AsyncGenerator<Buffer | typeof TOO_LONG, void, undefined> {
  const chunks = input[Symbol.asyncIterator]()
  let first = Buffer.alloc(0)
  while (first.length < FRAMED.length && FRAMED.startsWith(start(first))) {
    const { value, done } = await chunks.next()
    if (done === true) break
    first = Buffer.concat([first, value])
  }
  const framed = start(first) === FRAMED
  if (framed) onFramed()
  yield* (framed ? readFrames : readLines)(behind(first, chunks), maxBytes)
}

function start(bytes: Buffer): string {
  return bytes.toString('latin1', 0, FRAMED.length).toLowerCase()
}

async function* behind(
  first: Buffer,
  rest: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  yield first
  yield* { [Symbol.asyncIterator]: () => rest }
}

/**
 * Messages that are cut by length. Behind a header without a length nobody knows where the next message begins: that is
 * given in place of a message, and is the last.
 * @param maxBytes longest message; of a longer one nothing is kept, and TOO_LONG is given in its place
 */
async function* readFrames(
  input: AsyncIterable<Uint8Array>,
  maxBytes: number,
): AsyncGenerator<Buffer | typeof TOO_LONG, void, undefined> {
  const waiting = new GrowingBytes()
  /** Bytes of the frame that has begun. */
  let wanted = 0
  /** Bytes that are still to come of a message that is too long. */
  let dropped = 0
  for await (const chunk of input) {
    const fresh = chunk.subarray(dropped)
    dropped -= chunk.length - fresh.length
    waiting.append(fresh)
    if (waiting.length < wanted) continue
    let rest = waiting.take()
    for (;;) {
      wanted = 0
      const head = rest.subarray(0, MAX_HEADER_BYTES).indexOf(BLANK_LINE)
      if (head < 0 && rest.length < MAX_HEADER_BYTES) break
      const length = lengthIn(rest.toString('latin1', 0, Math.max(head, 0)))
      if (length === undefined) return yield rest.subarray(0, MAX_HEADER_BYTES)
      const from = head + BLANK_LINE.length
      wanted = from + length
      if (length > maxBytes) {
        yield TOO_LONG
        dropped = Math.max(0, wanted - rest.length)
      } else if (wanted > rest.length) break
      else yield rest.subarray(from, wanted)
      rest = rest.subarray(wanted)
    }
    waiting.append(rest)
  }
}

function lengthIn(header: string): number | undefined {
  const digits = /(?:^|\r\n)content-length:[ \t]*(\d{1,15})[ \t]*(?:\r\n|$)/i.exec(header)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/** A message with its length before it. */
export function frame(message: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`Content-Length: ${message.length}${BLANK_LINE}`), message])
}
