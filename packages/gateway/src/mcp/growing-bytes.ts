const EMPTY = Buffer.alloc(0)

/** Bytes that grow at the end, each copied a bounded number of times however small the pieces are. */
export class GrowingBytes {
  #held: Buffer = EMPTY
  length = 0

  append(bytes: Uint8Array, from: number, to: number): void {
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
