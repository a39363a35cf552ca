import { type Json, type JsonObject, isJsonObject, member, textsIn } from '../../call/json.ts'
import type { Screened } from '../../text/screen.ts'

/** How messages of a server are screened; a promise where a detector is asked. */
export interface MessageScreen {
  readonly says: (value: Json) => Screened | Promise<Screened>
  /** Whether something that may not pass stands over the seam of two texts that follow one another. */
  readonly crosses: (before: string, text: string) => boolean
}

/** Signs of earlier messages that are looked at with the next one (ARCHITECTURE.md section 2). */
const OVERLAP = 256

/** Most messages that wait for a detector; more are lost, as with a host that is slow. */
const MAX_WAITING = 64

/** Tells one message of a row of them: its params, which member of them the text stands in, and to whom. */
export type TellMessage = (
  params: JsonObject,
  name: 'message' | 'data',
  to: (params: JsonObject) => void,
) => void

/** Messages of one server to one host, which stay in their order; one that may not be read, or cannot be screened, is lost. */
export function screenedMessages({ says, crosses }: MessageScreen): TellMessage {
  let waiting = 0
  let last = Promise.resolve()
  let before = ''

  /** Whether something was cut in two by two messages: it passes in neither half, because the second is withheld. */
  function isCut(told: Json | undefined): boolean {
    const text = textsIn(told).join('')
    const cut = before !== '' && crosses(before, text)
    before = `${before}${text}`.slice(-OVERLAP)
    return cut
  }

  return (params, name, to) => {
    if (waiting >= MAX_WAITING || isCut(member(params, name))) return
    const screened = says(params)
    const pass = (found: Screened): void => {
      const shown = passed(found)
      if (shown !== undefined) to(shown)
    }
    if (!(screened instanceof Promise)) return pass(screened)
    waiting++
    last = Promise.allSettled([screened, last]).then(([found]) => {
      waiting--
      if (found.status === 'fulfilled') pass(found.value)
    })
  }
}

/** What may be shown of something screened; undefined: nothing. */
export function passed({ value, denied }: Screened): JsonObject | undefined {
  return denied.length > 0 || !isJsonObject(value) ? undefined : value
}
