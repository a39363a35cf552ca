import { isJsonObject, member, type Json, type JsonObject } from '../call/json.ts'
import { parseExact } from './json-exact.ts'
import { wireUri } from './naming.ts'

/** Types of content that name a resource of the server. */
const NAMING = new Set(['resource_link', 'resource'])

/**
 * A server's result as the aggregated endpoint shows it: URIs of its resources get the server's prefix, so that the host can
 * read them there. Everything else stays as it is.
 * @returns undefined when nothing had to change, and the received bytes may go on as they are
 */
export function aggregateResult(server: string, bytes: Uint8Array, value: JsonObject): Buffer | undefined {
  if (!namesResource(value)) return undefined
  const exact = parseExact(bytes)
  return exact && Buffer.from(JSON.stringify(prefixed(server, exact)))
}

/** As aggregateResult, for the state of a task: its result is that of the tool. */
export function aggregateTask(server: string, bytes: Uint8Array, value: JsonObject): Buffer | undefined {
  const result = member(value, 'result')
  if (!isJsonObject(result) || !namesResource(result)) return undefined
  const exact = parseExact(bytes) ?? {}
  const inner = member(exact, 'result')
  return isJsonObject(inner)
    ? Buffer.from(JSON.stringify({ ...exact, result: prefixed(server, inner) }))
    : undefined
}

function prefixed(server: string, exact: JsonObject): JsonObject {
  const changed: Record<string, Json> = { ...exact }
  for (const key of ['content', 'contents', 'messages']) {
    const list = member(exact, key)
    if (Array.isArray(list))
      changed[key] = list.map((item) => aggregateItem(server, item, key === 'contents'))
  }
  return changed
}

function namesResource(value: JsonObject): boolean {
  if (Array.isArray(member(value, 'contents'))) return true
  const named = (item: Json): boolean => isJsonObject(item) && NAMING.has(String(member(item, 'type')))
  const content = member(value, 'content')
  if (Array.isArray(content) && content.some(named)) return true
  const messages = member(value, 'messages')
  return (
    Array.isArray(messages) &&
    messages.some((message) => isJsonObject(message) && named(member(message, 'content') ?? null))
  )
}

function aggregateItem(server: string, item: Json, isResource: boolean): Json {
  if (!isJsonObject(item)) return item
  const content = member(item, 'content')
  // A prompt's message holds its content one level below.
  if (content !== undefined) return { ...item, content: aggregateItem(server, content, false) }
  if (isResource || member(item, 'type') === 'resource_link') return withWireUri(server, item)
  const resource = member(item, 'resource')
  if (member(item, 'type') !== 'resource' || !isJsonObject(resource)) return item
  return { ...item, resource: withWireUri(server, resource) }
}

function withWireUri(server: string, item: JsonObject): JsonObject {
  const uri = member(item, 'uri')
  return typeof uri === 'string' ? { ...item, uri: wireUri(server, uri) } : item
}
