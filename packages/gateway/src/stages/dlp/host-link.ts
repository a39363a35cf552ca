import type { HostLink, InputRequests, InputResponses } from '../../call/input.ts'
import { type Json, type JsonObject, isJsonObject, member, textsIn } from '../../call/json.ts'
import { Refusal } from '../../call/refusal.ts'
import type { Screened } from '../../text/screen.ts'

/** How the two sides of the middle of a call are screened. */
interface Sides {
  readonly says: (value: Json) => Screened
  readonly hears: (value: Json) => Screened
  /** Whether something that may not pass stands over the seam of two texts that follow one another. */
  readonly crosses: (before: string, text: string) => boolean
}

/** Signs of earlier messages that are looked at with the next one (ARCHITECTURE.md section 2). */
const OVERLAP = 256

/** What a server says to the host in the middle of a call is its result, and what the host answers is an argument. */
export function screenedHost(host: HostLink, { says, hears, crosses }: Sides): HostLink {
  const said = (params: JsonObject): JsonObject | undefined => {
    const { value, denied } = says(params)
    return denied.length > 0 || !isJsonObject(value) ? undefined : value
  }
  let before = ''
  /** A message of many: what was cut in two passes in neither half, because the second is withheld. */
  const told = (params: JsonObject, name: 'message' | 'data'): JsonObject | undefined => {
    const text = textsIn(member(params, name)).join('')
    const cut = before !== '' && crosses(before, text)
    before = `${before}${text}`.slice(-OVERLAP)
    return cut ? undefined : said(params)
  }
  const { progress } = host
  return {
    capabilities: host.capabilities,
    logLevel: host.logLevel,
    progress:
      progress === undefined
        ? undefined
        : (params) => {
            const passed = told(params, 'message')
            if (passed !== undefined) progress(passed)
          },
    log(params) {
      const passed = told(params, 'data')
      if (passed !== undefined) host.log(passed)
    },
    async ask(requests, call, signal) {
      const shown: Record<string, InputRequests[string]> = {}
      for (const [key, { method, params }] of Object.entries(requests)) {
        const passed = said(params)
        if (passed === undefined)
          throw new Refusal('CG_DLP_RESULT', { internal: 'denied in a question of the server' })
        shown[key] = { method, params: passed }
      }
      return heard(await host.ask(shown, call, signal))
    },
  }

  function heard(responses: InputResponses): InputResponses {
    return Object.fromEntries(
      Object.entries(responses).map(([key, response]) => {
        if (response.kind === 'error') return [key, response]
        const { value, denied } = hears(response.result)
        if (denied.length > 0)
          throw new Refusal('CG_DLP_ARGUMENT', {
            internal: `denied in an answer of the host: ${denied.join(', ')}`,
          })
        return [key, isJsonObject(value) ? { ...response, result: value } : response]
      }),
    )
  }
}
