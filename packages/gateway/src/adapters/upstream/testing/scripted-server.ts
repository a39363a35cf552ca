import type { IncomingMessage, ServerResponse } from 'node:http'
import { isJsonObject, member, stringMember, type Json, type JsonObject } from '../../../call/json.ts'
import { listen, type Listening } from './http-servers.ts'

/** One message as the server got it. */
export interface Heard {
  readonly method: string | undefined
  readonly message: JsonObject
  readonly headers: IncomingMessage['headers']
}

/** The reply to one POST or GET, at the test's hands. */
export class Reply {
  readonly #response: ServerResponse
  readonly id: Json
  #begun = false
  closed = false

  constructor(response: ServerResponse, id: Json) {
    this.#response = response
    this.id = id
    response.on('close', () => {
      this.closed = true
    })
  }

  /** Answers as one JSON body. */
  json(body: JsonObject, status = 200): void {
    this.#response.writeHead(status, { 'content-type': 'application/json' })
    this.#response.end(JSON.stringify(body))
  }

  /** Answers the request with one text. */
  result(text: string): void {
    this.json(this.answer(text))
  }

  /** The response to the request, for a stream. */
  answer(text: string): JsonObject {
    return { jsonrpc: '2.0', id: this.id, result: { content: [{ type: 'text', text }] } }
  }

  status(status: number): void {
    this.#response.writeHead(status).end()
  }

  /** Sends events in one write; the first begins the stream. */
  events(...events: readonly (JsonObject | string)[]): void {
    this.begin()
    this.#response.write(
      events
        .map((event) => (typeof event === 'string' ? event : `data: ${JSON.stringify(event)}\n\n`))
        .join(''),
    )
  }

  /** Says something on a stream of status 401, and ends it. */
  refusedAloud(): void {
    this.#response.writeHead(401, { 'content-type': 'text/event-stream' })
    this.#response.end(
      'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}\n\n',
    )
  }

  begin(): void {
    if (this.#begun) return
    this.#begun = true
    this.#response.writeHead(200, { 'content-type': 'text/event-stream' })
    this.#response.flushHeaders()
  }

  end(): void {
    this.begin()
    this.#response.end()
  }

  /** Breaks the connection. */
  break(): void {
    this.#response.destroy()
  }
}

/** What a scripted server does; what it has no script for is answered as the specification has it. */
export interface Script {
  readonly version?: string
  readonly capabilities?: JsonObject
  /** By method, or by name of the tool. */
  readonly on?: Readonly<Record<string, (reply: Reply, message: JsonObject) => void>>
  /** A GET; default 405. */
  readonly onGet?: (reply: Reply, headers: IncomingMessage['headers']) => void
}

/** A listening server, and what it heard. */
export interface ScriptedServer extends Listening {
  readonly heard: readonly Heard[]
  /** What came with a method, oldest first. */
  readonly of: (method: string) => readonly Heard[]
  /** The answer to a request of the server, when it has come. */
  readonly answerTo: (id: string | number) => JsonObject | undefined
  /** Forgets all sessions. */
  readonly forget: () => void
}

/** A legacy HTTP server with sessions, written by hand: an SDK would not do what tests want to see. */
export async function scripted(script: Script): Promise<ScriptedServer> {
  const heard: Heard[] = []
  const sessions = new Set<string>()
  let made = 0

  function post(response: ServerResponse, message: JsonObject, session: string | undefined): void {
    const method = stringMember(message, 'method')
    const reply = new Reply(response, member(message, 'id') ?? null)
    const params = member(message, 'params')
    const name = isJsonObject(params) ? stringMember(params, 'name') : undefined
    const act = script.on?.[method === 'tools/call' && name !== undefined ? name : (method ?? '')]
    if (method === 'initialize' && act === undefined) {
      const id = `session-${++made}`
      sessions.add(id)
      response.setHeader('mcp-session-id', id)
      const { version = '2025-11-25', capabilities = { tools: {} } } = script
      const result = {
        protocolVersion: version,
        capabilities,
        serverInfo: { name: 'scripted', version: '1' },
      }
      reply.json({ jsonrpc: '2.0', id: reply.id, result })
    } else if (session !== undefined && !sessions.has(session)) reply.status(404)
    else if (act !== undefined) act(reply, message)
    else if (reply.id === null || method === undefined) reply.status(202)
    else if (method === 'tools/list') reply.json({ jsonrpc: '2.0', id: reply.id, result: { tools: [] } })
    else if (method === 'server/discover') {
      reply.json({ jsonrpc: '2.0', id: reply.id, error: { code: -32601, message: 'no such method' } }, 400)
    } else reply.json({ jsonrpc: '2.0', id: reply.id, result: {} })
  }

  const listening = await listen((request, response, body) => {
    const sent = request.headers['mcp-session-id']
    const session = typeof sent === 'string' ? sent : undefined
    if (request.method === 'GET') {
      heard.push({ method: 'GET', message: {}, headers: request.headers })
      if (script.onGet === undefined) response.writeHead(405).end()
      else if (session !== undefined && !sessions.has(session)) response.writeHead(404).end()
      else script.onGet(new Reply(response, null), request.headers)
    } else if (request.method === 'DELETE') {
      heard.push({ method: 'DELETE', message: {}, headers: request.headers })
      response.writeHead(200).end()
    } else {
      const message: unknown = JSON.parse(body)
      if (!isJsonObject(message)) throw new TypeError('the gate sends single messages')
      heard.push({ method: stringMember(message, 'method'), message, headers: request.headers })
      post(response, message, session)
    }
  })
  return {
    ...listening,
    heard,
    of: (method) => heard.filter((each) => each.method === method),
    answerTo: (id) =>
      heard.find((each) => each.method === undefined && member(each.message, 'id') === id)?.message,
    forget: () => sessions.clear(),
  }
}
