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
  let waiting: Buffer[] = []
  let waitingBytes = 0
  return {
    push(chunk, onLine) {
      let from = 0
      for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
        const last = chunk.subarray(from, at)
        if (waitingBytes + last.length > maxBytes) throw tooLong(maxBytes)
        from = at + 1
        if (waitingBytes === 0) onLine(last)
        else {
          const line = Buffer.concat([...waiting, last], waitingBytes + last.length)
          waiting = []
          waitingBytes = 0
          onLine(line)
        }
      }
      if (from === chunk.length) return
      const rest = chunk.subarray(from)
      if (waitingBytes + rest.length > maxBytes) throw tooLong(maxBytes)
      waiting.push(rest)
      waitingBytes += rest.length
    },
  }
}

function tooLong(maxBytes: number): LineTooLong {
  return new LineTooLong(`line is longer than ${maxBytes} bytes`)
}
