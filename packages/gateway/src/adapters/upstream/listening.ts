import { UpstreamFailed } from '../../ports/upstream.ts'
import { createBackoff } from './backoff.ts'
import { pause, type Wish } from './connection.ts'
import type { UpstreamLimits } from './options.ts'
import type { Address, Slots } from './slots.ts'

/** What was heard for this long and then ended is no failure, in milliseconds. */
const STABLE_MS = 5_000

/**
 * Hears a server until the signal is aborted: what ends on the way (a child, a session, a stream) is opened again, with backoff.
 * Resolves once the server has taken the wish for the first time, or the signal was aborted before.
 * @throws UpstreamFailed when the first attempt fails; later ones are made again
 */
export function keepListening(
  slots: Slots,
  address: Address,
  wish: Wish,
  { limits, clock }: { readonly limits: UpstreamLimits; readonly clock: () => number },
  signal: AbortSignal,
): Promise<void> {
  const taken = Promise.withResolvers<void>()
  let hasTaken = false
  const onTaken = (): void => {
    hasTaken = true
    taken.resolve()
  }

  async function run(): Promise<void> {
    const backoff = createBackoff(limits.backoffMinMs, limits.backoffMaxMs)
    while (!signal.aborted) {
      const since = clock()
      try {
        await slots.hear(address, signal, (connection) => connection.listen(wish, signal, onTaken))
      } catch (cause) {
        if (!(cause instanceof UpstreamFailed)) throw cause
        if (!hasTaken && !signal.aborted) throw cause
      }
      if (clock() - since >= STABLE_MS) backoff.recovered()
      backoff.failed(clock())
      await pause(backoff.waitMs(clock()), signal)
    }
  }

  run().then(onTaken, taken.reject)
  return taken.promise
}
