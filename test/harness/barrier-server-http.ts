/** The barrier server over HTTP: `/legacy` and `/modern` are its two eras, `/hold`, `/need/N` and `/seen` are the test's. */
import { randomUUID } from 'node:crypto'
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http'
import { type Message, TOOLS, elicitation, play } from './barrier-server-tools.ts'
import type { Seen } from './barrier-server.ts'

/** A session of the legacy era. */
interface Session {
  stream: ServerResponse | undefined
  readonly watched: Set<string>
  /** Who waits for the answers to its questions, by id; every session begins with the same one. */
  readonly asked: Map<unknown, (answer: Message) => void>
  questions: number
}

const frame = { resultType: 'complete' }
const cached = { ...frame, ttlMs: 0, cacheScope: 'private' }
const serverInfo = { name: 'barrier', version: '1' }
const capabilities = { tools: {}, logging: {}, resources: { subscribe: true } }

class Server {
  needed = 1
  most = 0
  calls = 0
  cancelled: string[] = []
  readonly #held: (() => void)[] = []
  readonly #places = new Map<string, Set<string>>()
  readonly #sessions = new Map<string, Session>()
  /** Subscriptions of the modern era, by watched URI. */
  readonly #subscriptions = new Map<string, { readonly response: ServerResponse; readonly id: unknown }>()

  seen(): Seen {
    return {
      held: this.#held.length,
      most: this.most,
      calls: this.calls,
      cancelled: this.cancelled,
      mixed: [...this.#places].flatMap(([where, canaries]) => (canaries.size > 1 ? [where] : [])),
      listening:
        this.#subscriptions.size +
        [...this.#sessions.values()].filter(({ stream }) => stream !== undefined).length,
    }
  }

  async hold(canary: string, where: string): Promise<void> {
    this.#met(canary, where)
    await new Promise<void>((resolve) => {
      this.#held.push(resolve)
      this.most = Math.max(this.most, this.#held.length)
      if (this.#held.length < this.needed) return
      // The last comes first: whoever answers in the order of arrival gets it wrong.
      for (const release of this.#held.splice(0).reverse()) release()
    })
    this.calls++
  }

  #met(canary: string, where: string): void {
    const canaries = this.#places.get(where) ?? new Set()
    this.#places.set(where, canaries.add(canary))
  }

  /** One message to `/legacy` or `/modern`. */
  async post(
    era: string,
    message: Message,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const id = String(request.headers['mcp-session-id'] ?? '')
    const session = this.#sessions.get(id)
    const { method, params } = message as { method?: string; params?: Message }
    if (message['id'] === undefined || method === undefined) {
      if (method === undefined) session?.asked.get(message['id'])?.((message['result'] ?? {}) as Message)
      response.writeHead(202).end()
      return
    }
    if (method === 'tools/call') return this.#called(era, message['id'], params ?? {}, id, session, response)
    if (method === 'subscriptions/listen') return this.#subscribed(message['id'], params ?? {}, response)
    const headers: Record<string, string> = {}
    if (method === 'initialize' && era === 'legacy') {
      const fresh = randomUUID()
      headers['mcp-session-id'] = fresh
      this.#sessions.set(fresh, { stream: undefined, watched: new Set(), asked: new Map(), questions: 0 })
    }
    if (method === 'resources/subscribe') session?.watched.add(String(params?.['uri']))
    const result = resultOf(era, method)
    const body = result === undefined ? { error: { code: -32_601, message: 'method not found' } } : { result }
    json(response, { jsonrpc: '2.0', id: message['id'], ...body }, headers)
  }

  async #called(
    era: string,
    id: unknown,
    params: Message,
    sessionId: string,
    session: Session | undefined,
    response: ServerResponse,
  ): Promise<void> {
    const canary = String((params['arguments'] as Message)['canary'])
    let over = false
    response.on('close', () => {
      if (!over) this.cancelled.push(canary)
    })
    const call = {
      tool: String(params['name']),
      canary,
      progressToken: (params['_meta'] as Message | undefined)?.['progressToken'],
      answers: params['inputResponses'] as Message | undefined,
      requestState: params['requestState'],
    }
    const say = (method: string, told: Message): void => event(response, { method, params: told })
    const ask = (text: string): Promise<Message> => {
      if (session === undefined) throw new TypeError('a legacy call without a session')
      const question = ++session.questions
      event(response, { id: question, method: 'elicitation/create', params: elicitation(text) })
      return new Promise((resolve) => session.asked.set(question, resolve))
    }
    const where = era === 'legacy' ? `session ${sessionId}` : `call of ${canary}`
    const barrier = { hold: (held: string, at: string) => this.#holdAndTell(held, at, session) }
    const result = await play(call, where, barrier, { say, ask: era === 'legacy' ? ask : undefined })
    over = true
    const whole = { id, result: era === 'modern' ? { ...frame, ...result } : result }
    if (!response.headersSent) json(response, { jsonrpc: '2.0', ...whole })
    else {
      event(response, whole)
      response.end()
    }
  }

  /** Beside the call its standing streams are told something, too. */
  async #holdAndTell(canary: string, where: string, session: Session | undefined): Promise<void> {
    await this.hold(canary, where)
    const uri = `canary://${canary}`
    const updated = (more: Message): Message => ({
      method: 'notifications/resources/updated',
      params: { uri, ...more },
    })
    if (session?.stream !== undefined) {
      event(session.stream, { method: 'notifications/message', params: { level: 'info', data: canary } })
      if (session.watched.has(uri)) event(session.stream, updated({}))
    }
    const subscription = this.#subscriptions.get(uri)
    if (subscription === undefined) return
    const _meta = { 'io.modelcontextprotocol/subscriptionId': subscription.id }
    event(subscription.response, updated({ _meta }))
  }

  #subscribed(id: unknown, params: Message, response: ServerResponse): void {
    const filter = params['notifications'] as { resourceSubscriptions?: string[] }
    const uris = filter.resourceSubscriptions ?? []
    for (const uri of uris) this.#subscriptions.set(uri, { response, id })
    response.on('close', () => {
      for (const uri of uris) {
        if (this.#subscriptions.get(uri)?.response === response) this.#subscriptions.delete(uri)
      }
    })
    event(response, {
      method: 'notifications/subscriptions/acknowledged',
      params: {
        notifications: { resourceSubscriptions: uris },
        _meta: { 'io.modelcontextprotocol/subscriptionId': id },
      },
    })
  }

  /** The GET stream of a legacy session. */
  listen(sessionId: string, response: ServerResponse): void {
    const session = this.#sessions.get(sessionId)
    if (session === undefined) {
      response.writeHead(404).end()
      return
    }
    session.stream = response
    response.on('close', () => {
      if (session.stream === response) session.stream = undefined
    })
    response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
  }

  ended(sessionId: string): void {
    this.#sessions.delete(sessionId)
  }
}

function resultOf(era: string, method: string): Message | undefined {
  if (method === 'initialize' && era === 'legacy')
    return { protocolVersion: '2025-11-25', capabilities, serverInfo }
  if (method === 'server/discover' && era === 'modern')
    return { ...cached, supportedVersions: ['2026-07-28'], capabilities, serverInfo }
  if (method === 'tools/list') return { ...(era === 'modern' ? cached : {}), tools: TOOLS }
  if (['logging/setLevel', 'resources/subscribe', 'resources/unsubscribe'].includes(method)) return {}
  return undefined
}

function event(response: ServerResponse, message: Message): void {
  if (!response.headersSent) response.writeHead(200, { 'content-type': 'text/event-stream' })
  response.write(`data: ${JSON.stringify({ jsonrpc: '2.0', ...message })}\n\n`)
}

function json(response: ServerResponse, value: object, headers: Record<string, string> = {}): void {
  const body = JSON.stringify(value)
  response
    .writeHead(200, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      ...headers,
    })
    .end(body)
}

async function bodyOf(request: IncomingMessage): Promise<Message> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(Buffer.from(chunk))
  return JSON.parse(Buffer.concat(chunks).toString('utf8')) as Message
}

async function route(server: Server, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const [, first = '', second = ''] = (request.url ?? '').split('/')
  const session = String(request.headers['mcp-session-id'] ?? '')
  if (first === 'seen') return json(response, server.seen())
  if (first === 'need') {
    server.needed = Number(second)
    server.cancelled = []
    server.most = 0
    return json(response, {})
  }
  if (first === 'hold' || first === 'cancelled') {
    const { canary, where } = await bodyOf(request)
    if (first === 'hold') await server.hold(String(canary), String(where))
    else server.cancelled.push(String(canary))
    return json(response, {})
  }
  if (request.method === 'POST') return server.post(first, await bodyOf(request), request, response)
  if (request.method === 'GET' && first === 'legacy') return server.listen(session, response)
  if (request.method === 'DELETE') server.ended(session)
  response.writeHead(request.method === 'DELETE' ? 200 : 405).end()
}

const server = new Server()
// Idle connections of a gate go soon, so that what it holds can be weighed.
const listener = createServer({ keepAliveTimeout: 2_000 }, (request, response) => {
  // Hosts go in the middle of their requests; that is what this server is for.
  request.on('error', () => undefined)
  response.on('error', () => undefined)
  route(server, request, response).catch(() => response.destroy())
})
listener.listen(0, '127.0.0.1', () => {
  const address = listener.address()
  if (typeof address === 'object' && address !== null) console.log(address.port)
})
