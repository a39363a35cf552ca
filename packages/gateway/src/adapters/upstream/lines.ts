import { GrowingBytes } from '../../mcp/growing-bytes.ts'

const NEWLINE = 0x0a

/** A line that never ended. */
export class LineTooLong extends Error {
  override readonly name = 'LineTooLong'
}

/** Cuts a byte stream into lines, with a cap on what waits for its end. */
export interface LineDecoder {
  /**
   * Hands each whole line to the listener, without its newline.
   * @throws LineTooLong when a line is longer than the cap; what the listener throws passes
   */
  push(chunk: Buffer, onLine: (line: Buffer) => void): void
}

/** @param maxBytes longest line; one exactly as long passes */
export function createLineDecoder(maxBytes: number): LineDecoder {
  const waiting = new GrowingBytes()
  return {
    push(chunk, onLine) {
      let from = 0
      for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
        const last = chunk.subarray(from, at)
        if (waiting.length + last.length > maxBytes) throw tooLong(maxBytes)
        from = at + 1
        if (waiting.length === 0) onLine(last)
        else {
          waiting.append(last)
          onLine(waiting.take())
        }
      }
      if (from === chunk.length) return
      const rest = chunk.subarray(from)
      if (waiting.length + rest.length > maxBytes) throw tooLong(maxBytes)
      waiting.append(rest)
    },
  }
}

function tooLong(maxBytes: number): LineTooLong {
  return new LineTooLong(`line is longer than ${maxBytes} bytes`)
}
