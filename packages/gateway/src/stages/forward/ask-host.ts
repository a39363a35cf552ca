import type { IdentifiedCall } from '../../call/call.ts'
import type { InputRequest, InputRequests, InputResponse, InputResponses } from '../../call/input.ts'
import { Refusal } from '../../call/refusal.ts'
import { legacyRequest, modernRequest, type Problem } from '../../mcp/bridge-requests.ts'
import { readInputResponse } from '../../mcp/bridge-responses.ts'
import { bindingOf } from './request-state.ts'

/**
 * Asks the host of a call in the words of its own protocol version, and reads what it answers strictly: what comes back goes
 * to the server.
 * @throws Refusal CG_HOST_UNREACHABLE when the host's version has no such question or its answer is malformed, CG_HOST_SILENT
 */
export async function askHost(
  call: IdentifiedCall,
  requests: InputRequests,
  signal: AbortSignal,
): Promise<InputResponses> {
  const asked = Object.fromEntries(
    Object.entries(requests).map(([key, request]): [string, InputRequest] => [
      key,
      forHost(call, key, request),
    ]),
  )
  const asking = { id: call.id, session: call.session.id, binding: bindingOf(call) }
  const given = await call.host.ask(asked, asking, signal)
  return Object.fromEntries(
    Object.entries(requests).map(([key, request]): [string, InputResponse] => {
      const response = Object.hasOwn(given, key) ? given[key] : undefined
      if (response === undefined) throw unreachable(`the host left \`${request.method}\` unanswered`)
      return [key, orRefuse(readInputResponse(request, response))]
    }),
  )
}

function forHost(
  { era, id, protocolVersion }: IdentifiedCall,
  key: string,
  request: InputRequest,
): InputRequest {
  if (era === 'modern') return modernRequest(request)
  const { params } = orRefuse(legacyRequest(request, protocolVersion, `${id}-${key}`))
  return { method: request.method, params }
}

function orRefuse<T extends object>(value: T | Problem): T {
  if (isProblem(value)) throw unreachable(value.problem)
  return value
}

function isProblem(value: object): value is Problem {
  return 'problem' in value
}

function unreachable(internal: string): Refusal {
  return new Refusal('CG_HOST_UNREACHABLE', { internal })
}
