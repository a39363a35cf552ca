import { type JsonObject, isJsonObject, member, stringMember } from '../call/json.ts'
import { Refusal } from '../call/refusal.ts'
import { wireName, wireUri } from '../mcp/naming.ts'
import { type Gate, type Known, LIST_MEMBERS, type ListMethod, type Page } from '../pipeline/gate.ts'
import { capabilitiesOf } from './calls.ts'
import type { Replies, Request } from './turn.ts'

/** Longest cursor of the aggregated endpoint, in characters: it holds one cursor of each server that has more. */
const MAX_CURSOR = 65_536

/** resources/list, resources/templates/list and prompts/list: of one server, or of all of them under their wire names. */
export function createLists(
  gate: Gate,
  replies: Replies,
  learnPrompts: (server: string, names: readonly string[]) => void,
) {
  return async function listed(request: Request, method: ListMethod): Promise<void> {
    const known = await gate.identify(request.caller)
    const { server } = request.endpoint
    const cursor = member(request.message.params, 'cursor')
    if (cursor !== undefined && typeof cursor !== 'string') throw cursorRefused()
    const { items } = LIST_MEMBERS[method]
    const page =
      server === undefined
        ? await ofAll(request, known, method, cursor)
        : await ofOne(request, known, server, method, cursor)
    const { nextCursor } = page
    replies.answer(request, { [items]: page.items, ...(nextCursor === undefined ? {} : { nextCursor }) })
  }

  async function ofOne(
    request: Request,
    known: Known,
    server: string,
    method: ListMethod,
    cursor: string | undefined,
  ): Promise<Page> {
    // Some hosts ask without looking at the capabilities: an empty list keeps them calm.
    if (gate.serversWith(known, server, LIST_MEMBERS[method].capability).length === 0)
      return { items: [], nextCursor: undefined }
    return gate.list({ known, server, capabilities: capabilitiesOf(request) }, method, cursor)
  }

  /** A page of each server that has one more, in parallel; a server that fails leaves a gap and breaks nothing. */
  async function ofAll(
    request: Request,
    known: Known,
    method: ListMethod,
    cursor: string | undefined,
  ): Promise<Page> {
    const places = cursor === undefined ? undefined : decodeCursor(cursor)
    const asked = gate
      .serversWith(known, undefined, LIST_MEMBERS[method].capability)
      .filter(({ id }) => places === undefined || places.has(id))
    const pages = await Promise.all(
      asked.map(async ({ id: server }) => ({
        server,
        page: await ofOne(request, known, server, method, places?.get(server)).catch(
          (error: unknown): Page => {
            if (error instanceof Refusal) return { items: [], nextCursor: undefined }
            throw error
          },
        ),
      })),
    )
    const rest = pages.flatMap(({ server, page }) =>
      page.nextCursor === undefined ? [] : [[server, page.nextCursor] as const],
    )
    return {
      items: pages.flatMap(({ server, page }) => renamed(server, method, page.items)),
      nextCursor: rest.length === 0 ? undefined : encodeCursor(rest),
    }
  }

  function renamed(server: string, method: ListMethod, items: readonly JsonObject[]): JsonObject[] {
    const { key, kind } = LIST_MEMBERS[method]
    const names = items.map((item) => stringMember(item, key) ?? '')
    if (kind === 'prompt') learnPrompts(server, names)
    return items.map((item, i) => {
      const name = names[i] ?? ''
      return { ...item, [key]: kind === 'prompt' ? wireName(server, name) : wireUri(server, name) }
    })
  }
}

function cursorRefused(): Refusal {
  return new Refusal('CG_WIRE_PARAMS', { publicText: '`cursor` is not one that this endpoint gave' })
}

function encodeCursor(rest: readonly (readonly [string, string])[]): string {
  return Buffer.from(JSON.stringify(Object.fromEntries(rest))).toString('base64url')
}

/**
 * Cursors of servers by id.
 * @throws Refusal CG_WIRE_PARAMS for a cursor that the gate did not make
 */
function decodeCursor(cursor: string): ReadonlyMap<string, string> {
  if (cursor.length > MAX_CURSOR) throw cursorRefused()
  try {
    const value: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
    if (!isJsonObject(value)) throw cursorRefused()
    return new Map(
      Object.entries(value).map(([server, at]) => {
        if (typeof at !== 'string') throw cursorRefused()
        return [server, at]
      }),
    )
  } catch {
    throw cursorRefused()
  }
}
