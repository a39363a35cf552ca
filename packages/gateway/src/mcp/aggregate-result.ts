import { isJsonObject, member, type Json, type JsonObject } from '../call/json.ts'
import { wireUri } from './naming.ts'

declare global {
  interface JSON {
    /** ECMAScript 2026: stringify writes the text as it stands. */
    rawJSON(text: string): unknown
  }
}

/** Types of content that name a resource of the server. */
const NAMING = new Set(['resource_link', 'resource'])

/**
 * A server's result as the aggregated endpoint shows it: URIs of its resources get the server's prefix, so that the host can
 * read them there. Everything else stays as it is.
 * @returns undefined when nothing had to change, and the received bytes may go on as they are
 */
export function aggregateResult(server: string, bytes: Uint8Array, value: JsonObject): Buffer | undefined {
  if (!namesResource(value)) return undefined
  // Numbers keep the text that the server wrote: parse and stringify would change those that no double holds.
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
  const exact: unknown = JSON.parse(text, (_key, parsed: unknown, context?: { readonly source?: string }) =>
    typeof parsed === 'number' && context?.source !== undefined && String(parsed) !== context.source
      ? JSON.rawJSON(context.source)
      : parsed,
  )
  if (!isJsonObject(exact)) return undefined
  const changed: Record<string, Json> = { ...exact }
  for (const key of ['content', 'contents', 'messages']) {
    const list = member(exact, key)
    if (Array.isArray(list))
      changed[key] = list.map((item) => aggregateItem(server, item, key === 'contents'))
  }
  return Buffer.from(JSON.stringify(changed))
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
