import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type JsonObject, isJsonObject, member, stringMember } from '../../packages/gateway/src/call/json.ts'
import { header, sendError, sendJson, startEvents } from './backend-http.ts'
import type { Fixture } from './fixture.ts'
import { LEGACY, LegacySession, type Peer } from './fixture-legacy.ts'

const SESSION = 'mcp-session-id'
const SERVER_ERROR = -32000
/** How soon a client may come back for the rest of a stream, in milliseconds. */
const RETRY_MS = 100

/** One stream of events that a client may leave and take up again by the id of the last event that it saw. */
class EventStream implements Peer {
  readonly #name: string
  readonly #events: string[] = []
  #response: ServerResponse | undefined
  #ended = false

  constructor(name: string) {
    this.#name = name
  }

  /** An event without data tells the client where to take up again (SEP-1699). */
  prime(): void {
    this.#add(`retry: ${RETRY_MS}\ndata: \n`)
  }

  send(message: JsonObject): void {
    this.#add(`event: message\ndata: ${JSON.stringify(message)}\n`)
  }

  breakOff(): void {
    this.#response?.end()
    this.#response = undefined
  }

  /** Nothing comes any more. */
  end(): void {
    this.#ended = true
    this.breakOff()
  }

  get attached(): boolean {
    return this.#response !== undefined
  }

  /** Sends every event after the first `seen`, and from now on the new ones. */
  attach(response: ServerResponse, seen = 0): void {
    this.#response = response
    response.once('close', () => {
      if (this.#response === response) this.#response = undefined
    })
    for (const event of this.#events.slice(seen)) response.write(event)
    if (this.#ended) this.breakOff()
  }

  #add(lines: string): void {
    const event = `id: ${this.#name}/${this.#events.length + 1}\n${lines}\n`
    this.#events.push(event)
    this.#response?.write(event)
  }
}

interface Client {
  readonly session: LegacySession
  /** What belongs to no request. */
  readonly apart: EventStream
  readonly streams: Map<string, EventStream>
}

/** Streamable HTTP of 2025-11-25 and before: sessions, a stream for each request, a GET stream, resumption, DELETE. */
export class LegacyEndpoint {
  readonly #fixture: Fixture
  readonly #clients = new Map<string, Client>()

  constructor(fixture: Fixture) {
    this.#fixture = fixture
  }

  /** Whether a request belongs to a session of this endpoint. */
  owns(request: IncomingMessage): boolean {
    return header(request, SESSION) !== undefined
  }

  post(request: IncomingMessage, response: ServerResponse, message: JsonObject): void {
    if (stringMember(message, 'method') === 'initialize') return this.#initialize(response, message)
    const client = this.#client(request, response)
    if (client === undefined) return
    const method = stringMember(message, 'method')
    const id = member(message, 'id')
    const params = paramsOf(message)
    if (method === undefined) client.session.response(message)
    else if (typeof id !== 'string' && typeof id !== 'number') client.session.notification(method, params)
    else return this.#answer(client, response, id, method, params)
    response.writeHead(202).end()
  }

  get(request: IncomingMessage, response: ServerResponse): void {
    const client = this.#client(request, response)
    if (client === undefined) return
    const [name, seen] = (header(request, 'last-event-id') ?? '').split('/')
    const stream = name === undefined || name === '' ? client.apart : client.streams.get(name)
    if (stream === undefined) return sendError(response, 400, SERVER_ERROR, 'no such stream to take up again')
    if (stream === client.apart && stream.attached && seen === undefined) {
      return sendError(response, 409, SERVER_ERROR, 'there is a stream already')
    }
    startEvents(response)
    stream.attach(response, Number(seen ?? 0))
  }

  delete(request: IncomingMessage, response: ServerResponse): void {
    const client = this.#client(request, response)
    if (client === undefined) return
    this.#clients.delete(header(request, SESSION) ?? '')
    client.session.close()
    client.apart.end()
    response.writeHead(200).end()
  }

  #initialize(response: ServerResponse, message: JsonObject): void {
    const id = member(message, 'id')
    if (typeof id !== 'string' && typeof id !== 'number') {
      return sendError(response, 400, -32600, 'initialize is a request')
    }
    const key = randomUUID()
    const apart = new EventStream('apart')
    const session = new LegacySession(this.#fixture, paramsOf(message), apart)
    this.#clients.set(key, { session, apart, streams: new Map([['apart', apart]]) })
    sendJson(response, 200, { jsonrpc: '2.0', id, result: session.initialized }, { [SESSION]: key })
  }

  #answer(
    client: Client,
    response: ServerResponse,
    id: string | number,
    method: string,
    params: JsonObject,
  ): void {
    const name = randomUUID()
    const stream = new EventStream(name)
    client.streams.set(name, stream)
    startEvents(response)
    stream.attach(response)
    if (client.session.version === LEGACY[0]) stream.prime()
    void client.session.request(id, method, params, stream).then((answer) => {
      const read = stream.attached
      stream.send(answer)
      stream.end()
      if (read) client.streams.delete(name)
    })
  }

  #client(request: IncomingMessage, response: ServerResponse): Client | undefined {
    const version = header(request, 'mcp-protocol-version')
    if (version !== undefined && !LEGACY.includes(version)) {
      sendError(response, 400, SERVER_ERROR, `Bad Request: Unsupported protocol version: ${version}`)
      return undefined
    }
    const key = header(request, SESSION)
    if (key === undefined) {
      sendError(response, 400, SERVER_ERROR, 'Bad Request: Mcp-Session-Id header is required')
      return undefined
    }
    const client = this.#clients.get(key)
    if (client === undefined) sendError(response, 404, SERVER_ERROR, 'Session not found')
    return client
  }
}

function paramsOf(message: JsonObject): JsonObject {
  const params = member(message, 'params')
  return isJsonObject(params) ? params : {}
}
