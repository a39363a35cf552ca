import type { Answer } from '../../../call/call.ts'
import type { InputRequests, InputResponses } from '../../../call/input.ts'
import type { JsonObject } from '../../../call/json.ts'
import type { HostReach, Upstream, UpstreamRequest } from '../../../ports/upstream.ts'
import { PATIENCE_MS } from './ask.ts'

/** The host of one call, for tests: accepts every question at once unless `ask` says otherwise, and keeps what it hears. */
export interface TestHost extends HostReach {
  readonly progress: JsonObject[]
  readonly logs: JsonObject[]
  readonly asked: InputRequests[]
}

/** What a host may be made of. */
export type HostParts = Partial<Pick<HostReach, 'capabilities' | 'logLevel' | 'hearsLogs' | 'ask'>>

export function testHost(parts: HostParts = {}): TestHost {
  const [progress, logs, asked]: [JsonObject[], JsonObject[], InputRequests[]] = [[], [], []]
  const accept = (): Promise<InputResponses> =>
    Promise.resolve({ '1': { kind: 'result', result: { action: 'accept', content: { region: 'eu' } } } })
  return {
    capabilities: {},
    logLevel: undefined,
    hearsLogs: false,
    ...parts,
    onProgress: (params) => progress.push(params),
    onLog: (params) => logs.push(params),
    ask: (requests, signal) => {
      asked.push(requests)
      return (parts.ask ?? accept)(requests, signal)
    },
    progress,
    logs,
    asked,
  }
}

/** Calls a tool for a host. */
export function callFor(
  upstream: Upstream,
  server: string,
  name: string,
  host: HostReach | undefined,
  more: Partial<UpstreamRequest> & { readonly signal?: AbortSignal } = {},
): Promise<Answer> {
  const { signal = AbortSignal.timeout(PATIENCE_MS), ...rest } = more
  return upstream.request(
    {
      server,
      session: 's1',
      principal: undefined,
      method: 'tools/call',
      head: { name },
      argsBytes: Buffer.from('{}'),
      meta: {},
      host,
      ...rest,
    },
    signal,
  )
}
