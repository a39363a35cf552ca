import type { InputRequest } from '../call/input.ts'
import { isJsonObject, member, type JsonObject } from '../call/json.ts'

/** Name of the tasks extension (2026-07-28). */
const TASKS = 'io.modelcontextprotocol/tasks'

/** Capabilities of a peer that knows tasks and nothing else, as each side declares them. */
export const TASKS_CAPABILITIES: JsonObject = { extensions: { [TASKS]: {} } }

/** Whether capabilities, of a host or of a server, hold the tasks extension. */
export function declaresTasks(capabilities: JsonObject): boolean {
  const extensions = member(capabilities, 'extensions')
  return isJsonObject(extensions) && has(extensions, TASKS)
}

/**
 * What a server may ask of a host, or make of its calls (`tasks`), as `servers.X.clientCapabilities` names it. Roots are not in
 * the list: what a server is told of them is the operator's `servers.X.roots`, never the host's.
 */
export type ClientCapability =
  'elicitation.form' | 'elicitation.url' | 'sampling' | 'sampling.tools' | 'sampling.context' | 'tasks'

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
  if (declaresTasks(capabilities)) allowed.add('tasks')
  return allowed
}

/**
 * Capabilities that a server is told of: what the host declared and the operator grants, and nothing else that the host said
 * (settings, other extensions, roots). The same rights give the same text, so a connection can be kept by it.
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
    ...(both('tasks') ? TASKS_CAPABILITIES : {}),
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
