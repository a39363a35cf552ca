import type { IncomingMessage, ServerResponse } from 'node:http'
import { type JsonObject, isJsonObject, member, stringMember } from '../../packages/gateway/src/call/json.ts'
import { header, sendError, sendJson, startEvents } from './backend-http.ts'
import { INVALID_PARAMS, METHOD_NOT_FOUND, RpcError } from './fixture-call.ts'
import type { Fixture, Notice } from './fixture.ts'
import { MODERN, type ModernRequest, ModernServer, errorOf, isModern } from './fixture-modern.ts'

const HEADER_MISMATCH = -32020
const KEEP_ALIVE_MS = 15_000
const NAMED_BY: Readonly<Record<string, string>> = {
  'tools/call': 'name',
  'prompts/get': 'name',
  'resources/read': 'uri',
}

/** Streamable HTTP of 2026-07-28: one POST a request, headers that repeat the body, no sessions. */
export class ModernEndpoint {
  readonly #fixture: Fixture
  readonly #server: ModernServer

  constructor(fixture: Fixture, versions: readonly string[]) {
    this.#fixture = fixture
    this.#server = new ModernServer(fixture, versions)
  }

  /** Whether a request is of this era; the header decides only where the body lacks the metadata. */
  owns(request: IncomingMessage, message: JsonObject): boolean {
    return isModern(message) || MODERN.includes(header(request, 'mcp-protocol-version') ?? '')
  }

  async post(request: IncomingMessage, response: ServerResponse, message: JsonObject): Promise<void> {
    const id = member(message, 'id')
    if (stringMember(message, 'method') === undefined) {
      return sendError(response, 400, -32600, 'a client sends no responses')
    }
    if (typeof id !== 'string' && typeof id !== 'number') {
      response.writeHead(202).end()
      return
    }
    try {
      const asked = this.#server.read(id, message)
      this.#check(request, asked)
      if (asked.method === 'subscriptions/listen') this.#listen(asked, response)
      else await this.#answer(asked, response)
    } catch (error) {
      const known = errorOf(error)
      // A stream that has begun has sent its status.
      if (response.headersSent) response.end(event({ jsonrpc: '2.0', id, error: known }))
      else sendError(response, statusOf(known.code), known.code, known.message, { id, ...known })
    }
  }

  /** Headers against the body (SEP-2243). @throws RpcError */
  #check(request: IncomingMessage, asked: ModernRequest): void {
    const { method, params, version } = asked
    const claims: readonly (readonly [string, string | undefined])[] = [
      ['mcp-protocol-version', version],
      ['mcp-method', method],
      ['mcp-name', stringMember(params, NAMED_BY[method] ?? '')],
    ]
    for (const [name, value] of claims) {
      if (value !== undefined && decoded(header(request, name)) !== value) {
        throw new RpcError(HEADER_MISMATCH, `${name} does not repeat the body`)
      }
    }
    this.#server.checkVersion(asked)
    if (method === 'tools/call') this.#checkArguments(request, params)
  }

  /** Arguments whose schema says `x-mcp-header` travel twice. */
  #checkArguments(request: IncomingMessage, params: JsonObject): void {
    const schema = this.#fixture.inputSchema(stringMember(params, 'name') ?? '')
    const properties = member(schema ?? {}, 'properties')
    const args = member(params, 'arguments')
    if (!isJsonObject(properties)) return
    for (const [key, property] of Object.entries(properties)) {
      const name = isJsonObject(property) ? stringMember(property, 'x-mcp-header') : undefined
      if (name === undefined) continue
      const value = isJsonObject(args) ? member(args, key) : undefined
      const sent = header(request, `mcp-param-${name.toLowerCase()}`)
      const absent = value === undefined || value === null
      if (absent ? sent !== undefined : decoded(sent) !== String(value)) {
        throw new RpcError(HEADER_MISMATCH, `Mcp-Param-${name} does not repeat the argument`)
      }
    }
  }

  /** Plain JSON, unless there is something to tell before the answer. */
  async #answer(asked: ModernRequest, response: ServerResponse): Promise<void> {
    const gone = new AbortController()
    response.once('close', () => gone.abort())
    const notify = (notice: Notice): void => {
      if (!response.headersSent) startEvents(response)
      response.write(event({ jsonrpc: '2.0', ...notice }))
    }
    const result = await this.#server.answer(asked, notify, gone.signal)
    const answer = { jsonrpc: '2.0', id: asked.id, result }
    if (response.headersSent) response.end(event(answer))
    else sendJson(response, 200, answer)
  }

  #listen(asked: ModernRequest, response: ServerResponse): void {
    startEvents(response)
    const silence = this.#server.listen(asked, (notice) => {
      response.write(event({ jsonrpc: '2.0', ...notice }))
    })
    const beat = setInterval(() => response.write(':\n\n'), KEEP_ALIVE_MS)
    response.once('close', () => {
      silence()
      clearInterval(beat)
    })
  }
}

const event = (message: object): string => `data: ${JSON.stringify(message)}\n\n`

/** A header value as the body would say it; undefined when it is absent or badly wrapped. */
function decoded(value: string | undefined): string | undefined {
  const wrapped = /^=\?base64\?(.*)\?=$/.exec(value ?? '')?.[1]
  if (wrapped === undefined) return value
  const bytes = Buffer.from(wrapped, 'base64')
  return bytes.toString('base64') === wrapped ? bytes.toString('utf8') : undefined
}

/** HTTP statuses that 2026-07-28 names. */
function statusOf(code: number): number {
  if (code === METHOD_NOT_FOUND) return 404
  const named = code === INVALID_PARAMS || (code <= HEADER_MISMATCH && code > HEADER_MISMATCH - 3)
  return named ? 400 : 200
}
