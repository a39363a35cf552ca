import type { HostLink, InputRequests, InputResponses } from '../../call/input.ts'
import { type Json, type JsonObject, isJsonObject, member, textsIn } from '../../call/json.ts'
import { Refusal } from '../../call/refusal.ts'
import type { Screened } from '../../text/screen.ts'

/** Screening of what passes between server and host; a promise where a detector is asked. */
export interface Sides {
  readonly says: (value: Json) => Screened | Promise<Screened>
  readonly hears: (value: Json) => Screened | Promise<Screened>
  /** Whether something that may not pass stands over the seam of two texts that follow one another. */
  readonly crosses: (before: string, text: string) => boolean
}

/** Signs of earlier messages that are looked at with the next one (ARCHITECTURE.md section 2). */
const OVERLAP = 256

/** Most messages of one call that wait for a detector; more are lost, as with a host that is slow. */
const MAX_WAITING = 64

/** What a server says to the host in the middle of a call is its result, and what the host answers is an argument. */
export function screenedHost(host: HostLink, { says, hears, crosses }: Sides): HostLink {
  const passed = ({ value, denied }: Screened): JsonObject | undefined =>
    denied.length > 0 || !isJsonObject(value) ? undefined : value
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

  /** Messages stay in their order; one that cannot be screened is lost. */
  function tell(params: JsonObject, name: 'message' | 'data', to: (params: JsonObject) => void): void {
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
  const { progress } = host
  return {
    capabilities: host.capabilities,
    logLevel: host.logLevel,
    progress: progress === undefined ? undefined : (params) => tell(params, 'message', progress),
    log: (params) => tell(params, 'data', (shown) => host.log(shown)),
    async ask(requests, call, signal) {
      const shown: Record<string, InputRequests[string]> = {}
      for (const [key, { method, params }] of Object.entries(requests)) {
        const told = passed(await says(params))
        if (told === undefined)
          throw new Refusal('CG_DLP_RESULT', { internal: 'denied in a question of the server' })
        shown[key] = { method, params: told }
      }
      return heard(await host.ask(shown, call, signal))
    },
  }

  async function heard(responses: InputResponses): Promise<InputResponses> {
    const screened: Record<string, InputResponses[string]> = {}
    for (const [key, response] of Object.entries(responses)) {
      screened[key] = response
      if (response.kind === 'error') continue
      const { value, denied } = await hears(response.result)
      if (denied.length > 0)
        throw new Refusal('CG_DLP_ARGUMENT', {
          internal: `denied in an answer of the host: ${denied.join(', ')}`,
        })
      if (isJsonObject(value)) screened[key] = { ...response, result: value }
    }
    return screened
  }
}
