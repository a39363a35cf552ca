const EMPTY = Buffer.alloc(0)

/**
 * Bytes that grow at the end, each copied a bounded number of times however small the pieces are. Kept as views, pieces of one
 * byte would hold a hundred times their length, and the buffers that they were read into. A single piece goes on uncopied.
 */
export class GrowingBytes {
  #held: Buffer = EMPTY
  length = 0

  append(bytes: Uint8Array, from = 0, to = bytes.length): void {
    if (this.length === 0) {
      this.#held = Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from)
      this.length = to - from
      return
    }
    const needed = this.length + to - from
    if (needed > this.#held.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#held.length * 2, 256))
      this.#held.copy(larger, 0, 0, this.length)
      this.#held = larger
    }
    this.#held.set(bytes.subarray(from, to), this.length)
    this.length = needed
  }

  /** Hands the bytes over and starts anew. */
  take(): Buffer {
    const taken = this.#held.subarray(0, this.length)
    this.#held = EMPTY
    this.length = 0
    return taken
  }
}
