import { type JsonObject, isJsonObject, member, stringMember } from '../call/json.ts'
import { type ParamHeader, expectedHeaders, paramHeadersOf } from '../mcp/param-headers.ts'

/** Tools whose headers are remembered; a longer list loses the rest, and the gate refuses their calls. */
const MAX_TOOLS = 100_000

/**
 * The `Mcp-Param-*` headers that a modern call needs (2026-07-28, SEP-2243). A host on stdio sends none, so they are made from
 * the definitions that passed on their way to it.
 */
export class ParamHeaders {
  readonly #tools = new Map<string, readonly ParamHeader[]>()

  /** Takes one page of a tool list. @param first the list begins anew with it */
  learn(result: JsonObject, first: boolean): void {
    if (first) this.#tools.clear()
    const tools = member(result, 'tools')
    for (const tool of Array.isArray(tools) ? tools : []) {
      if (!isJsonObject(tool) || this.#tools.size >= MAX_TOOLS) continue
      const name = stringMember(tool, 'name')
      const schema = member(tool, 'inputSchema')
      const asked = isJsonObject(schema) ? paramHeadersOf(schema) : { headers: [] }
      if (name !== undefined && 'headers' in asked && asked.headers.length > 0)
        this.#tools.set(name, asked.headers)
    }
  }

  /** Headers of a call with these parameters. */
  of(params: JsonObject): Record<string, string> {
    const headers = this.#tools.get(stringMember(params, 'name') ?? '')
    const args = member(params, 'arguments')
    return headers === undefined || !isJsonObject(args)
      ? {}
      : Object.fromEntries(expectedHeaders(headers, args))
  }
}
