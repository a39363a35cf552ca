import type { InputResponse, InputResponses } from '../call/input.ts'
import { Refusal } from '../call/refusal.ts'
import type { Channel } from './channel.ts'

/** Calls of one session that may wait for answers at once. Source: ARCHITECTURE.md section 4. */
const MAX_PARKED = 16

/** A modern host came back to a call that waits for it. */
export interface Resumed {
  readonly channel: Channel
  readonly id: string | number
  readonly progressToken: string | number | undefined
  readonly responses: InputResponses
}

interface Parked {
  readonly session: string
  readonly resume: (resumed: Resumed) => void
  readonly stop: () => void
}

/**
 * Questions that wait for their hosts: requests that were sent to legacy hosts, and calls whose answer to a modern host was a
 * question. INVARIANT: only the session that was asked can answer.
 */
export class Questions {
  readonly #asked = new Map<string, (response: InputResponse) => void>()
  readonly #parked = new Map<string, Parked>()
  #lastId = 0

  /**
   * Asks a legacy host by a request with an id of our own.
   * @param send hands the request to the host, or says that it cannot
   * @param signal ends the wait
   * @throws Refusal CG_HOST_UNREACHABLE, CG_HOST_SILENT
   */
  ask(session: string, send: (id: string) => boolean, signal: AbortSignal): Promise<InputResponse> {
    const id = `callgate-${++this.#lastId}`
    const key = keyOf(session, id)
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        this.#asked.delete(key)
        reject(silent())
      }
      if (signal.aborted) return stop()
      signal.addEventListener('abort', stop, { once: true })
      this.#asked.set(key, (response) => {
        this.#asked.delete(key)
        signal.removeEventListener('abort', stop)
        resolve(response)
      })
      if (send(id)) return
      this.#asked.delete(key)
      signal.removeEventListener('abort', stop)
      reject(
        new Refusal('CG_HOST_UNREACHABLE', {
          internal: 'the connection to the host cannot carry a question',
        }),
      )
    })
  }

  /** Takes what a legacy host answered; false: this session was not asked that. */
  answer(session: string, id: string | number, response: InputResponse): boolean {
    const take = this.#asked.get(keyOf(session, id))
    take?.(response)
    return take !== undefined
  }

  /**
   * Lets a call wait until its host comes back to it. When too many calls of the session wait, the one that waits longest gives
   * way: a host that left its questions unanswered is not locked out by them.
   * @throws Refusal CG_HOST_SILENT: at once when the signal is aborted already, before the host is asked in vain
   */
  park(call: string, session: string, signal: AbortSignal): Promise<Resumed> {
    if (signal.aborted) throw silent()
    const ofSession = [...this.#parked.values()].filter((parked) => parked.session === session)
    if (ofSession.length >= MAX_PARKED) ofSession[0]?.stop()
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        this.#parked.delete(call)
        signal.removeEventListener('abort', stop)
        reject(silent())
      }
      signal.addEventListener('abort', stop, { once: true })
      const resume = (resumed: Resumed): void => {
        this.#parked.delete(call)
        signal.removeEventListener('abort', stop)
        resolve(resumed)
      }
      this.#parked.set(call, { session, resume, stop })
    })
  }

  /** Goes on with a call that waits; false: none of this session waits under that id. */
  resume(call: string, session: string, resumed: Resumed): boolean {
    const parked = this.#parked.get(call)
    if (parked === undefined || parked.session !== session) return false
    parked.resume(resumed)
    return true
  }
}

function keyOf(session: string, id: string | number): string {
  return `${session} ${typeof id} ${id}`
}

function silent(): Refusal {
  return new Refusal('CG_HOST_SILENT', {
    internal: 'the host went away, its time to answer ended, or it left too many questions open',
  })
}
