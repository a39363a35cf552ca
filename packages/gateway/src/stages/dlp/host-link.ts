import type { HostLink, InputRequests, InputResponses } from '../../call/input.ts'
import { type Json, isJsonObject } from '../../call/json.ts'
import { Refusal } from '../../call/refusal.ts'
import type { Screened } from '../../text/screen.ts'
import { type MessageScreen, passed, screenedMessages } from './messages.ts'

/** Screening of what passes between server and host; a promise where a detector is asked. */
export interface Sides extends MessageScreen {
  readonly hears: (value: Json) => Screened | Promise<Screened>
}

/** What a server says to the host in the middle of a call is its result, and what the host answers is an argument. */
export function screenedHost(host: HostLink, { says, hears, crosses }: Sides): HostLink {
  const tell = screenedMessages({ says, crosses })
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
