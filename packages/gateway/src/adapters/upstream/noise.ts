import { UpstreamFailed } from '../../ports/upstream.ts'
import type { UpstreamLimits } from './options.ts'

/**
 * Counts what a server sends unasked on one stream (notifications, requests, answers to nobody, stray lines) and ends a flood, of
 * messages or of bytes: each costs a scan. One meter a stream, never one a server: a flood that one caller's tool makes ends that
 * caller's call and no other.
 */
export class NoiseMeter {
  readonly #server: string
  readonly #limits: Pick<UpstreamLimits, 'maxNoisePerSecond' | 'maxNoiseBytesPerSecond'>
  readonly #clock: () => number
  #since = -Infinity
  #heard = 0
  #heardBytes = 0

  constructor(
    server: string,
    limits: Pick<UpstreamLimits, 'maxNoisePerSecond' | 'maxNoiseBytesPerSecond'>,
    clock: () => number = () => performance.now(),
  ) {
    this.#server = server
    this.#limits = limits
    this.#clock = clock
  }

  /**
   * Counts messages, by their length.
   * @param messages default 1
   * @throws UpstreamFailed `protocol` above maxNoisePerSecond or maxNoiseBytesPerSecond
   */
  count(bytes: number, messages = 1): void {
    const { maxNoisePerSecond, maxNoiseBytesPerSecond } = this.#limits
    const now = this.#clock()
    if (now - this.#since >= 1_000) {
      this.#since = now
      this.#heard = 0
      this.#heardBytes = 0
    }
    this.#heardBytes += bytes
    this.#heard += messages
    if (this.#heard > maxNoisePerSecond) throw this.#flood(`${maxNoisePerSecond} unasked messages`)
    if (this.#heardBytes > maxNoiseBytesPerSecond)
      throw this.#flood(`${maxNoiseBytesPerSecond} unasked bytes`)
  }

  #flood(what: string): UpstreamFailed {
    return new UpstreamFailed('protocol', `server \`${this.#server}\` sent more than ${what} in a second`)
  }
}
