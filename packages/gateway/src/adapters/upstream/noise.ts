import { UpstreamFailed } from '../../ports/upstream.ts'
import type { UpstreamLimits } from './options.ts'

/**
 * Counts what a server sends unasked on one stream (notifications, requests, answers to nobody, stray lines) and ends a flood, of
 * messages or of bytes: each costs a scan.
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
    clock: () => number,
  ) {
    this.#server = server
    this.#limits = limits
    this.#clock = clock
  }

  /**
   * Counts one message, by its length.
   * @throws UpstreamFailed `protocol` above maxNoisePerSecond or maxNoiseBytesPerSecond
   */
  count(bytes: number): void {
    const { maxNoisePerSecond, maxNoiseBytesPerSecond } = this.#limits
    const now = this.#clock()
    if (now - this.#since >= 1_000) {
      this.#since = now
      this.#heard = 0
      this.#heardBytes = 0
    }
    this.#heardBytes += bytes
    if (++this.#heard > maxNoisePerSecond) throw this.#flood(`${maxNoisePerSecond} unasked messages`)
    if (this.#heardBytes > maxNoiseBytesPerSecond)
      throw this.#flood(`${maxNoiseBytesPerSecond} unasked bytes`)
  }

  #flood(what: string): UpstreamFailed {
    return new UpstreamFailed('protocol', `server \`${this.#server}\` sent more than ${what} in a second`)
  }
}
