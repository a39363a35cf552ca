import type { InputRequest } from '../call/input.ts'
import { isJsonObject, member, type JsonObject } from '../call/json.ts'

/**
 * What a server may ask of a host, as `servers.X.clientCapabilities` names it. Roots are not in the list: what a server is told
 * of them is the operator's `servers.X.roots`, never the host's.
 */
export type ClientCapability =
  'elicitation.form' | 'elicitation.url' | 'sampling' | 'sampling.tools' | 'sampling.context'

/**
 * What a declaration of client capabilities lets a server ask, in both eras. `elicitation: {}` means forms alone: that is what
 * hosts before 2025-11-25 say.
 */
export function allowedRequests(capabilities: JsonObject): ReadonlySet<ClientCapability> {
  const allowed = new Set<ClientCapability>()
  const elicitation = member(capabilities, 'elicitation')
  if (isJsonObject(elicitation)) {
    const url = has(elicitation, 'url')
    if (has(elicitation, 'form') || !url) allowed.add('elicitation.form')
    if (url) allowed.add('elicitation.url')
  }
  const sampling = member(capabilities, 'sampling')
  if (isJsonObject(sampling)) {
    allowed.add('sampling')
    if (has(sampling, 'tools')) allowed.add('sampling.tools')
    if (has(sampling, 'context')) allowed.add('sampling.context')
  }
  return allowed
}

/**
 * Capabilities that a server is told of: what the host declared and the operator grants, and nothing else that the host said
 * (settings, extensions, roots). The same rights give the same text, so a connection can be kept by it.
 */
export function declaredUpstream(host: JsonObject, granted: readonly ClientCapability[]): JsonObject {
  const allowed = allowedRequests(host)
  const both = (capability: ClientCapability): boolean =>
    allowed.has(capability) && granted.includes(capability)
  const elicitation = {
    ...(both('elicitation.form') ? { form: {} } : {}),
    ...(both('elicitation.url') ? { url: {} } : {}),
  }
  const sampling = {
    ...(both('sampling.context') ? { context: {} } : {}),
    ...(both('sampling.tools') ? { tools: {} } : {}),
  }
  return {
    ...(Object.keys(elicitation).length > 0 ? { elicitation } : {}),
    ...(both('sampling') ? { sampling } : {}),
  }
}

/**
 * Whether a question was declared to the server that asks it. Servers MUST NOT ask more (2026-07-28, MRTR, server requirement 6).
 * `roots/list` is always allowed: it never reaches a host.
 */
export function isAllowed(allowed: ReadonlySet<ClientCapability>, { method, params }: InputRequest): boolean {
  switch (method) {
    case 'elicitation/create':
      return allowed.has(member(params, 'mode') === 'url' ? 'elicitation.url' : 'elicitation.form')
    case 'sampling/createMessage': {
      const usesTools = Object.hasOwn(params, 'tools') || Object.hasOwn(params, 'toolChoice')
      return allowed.has('sampling') && (!usesTools || allowed.has('sampling.tools'))
    }
    case 'roots/list':
      return true
  }
}

function has(object: JsonObject, key: string): boolean {
  return isJsonObject(member(object, key))
}
