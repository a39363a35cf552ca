import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What the mock model says next: a tool call, or the text that ends the turn. */
export type Said =
  { readonly tool: string; readonly input: Readonly<Record<string, unknown>> } | { readonly text: string }

/** A tool's answer as the host handed it to the model. */
export interface ToolResult {
  readonly id: string
  readonly text: string
  /** Undefined where the API has no word for it: Chat Completions hand over text alone. */
  readonly isError: boolean | undefined
}

/** One question of the host to the model. */
export interface Asked {
  /** Every tool result of the conversation so far, oldest first. */
  readonly results: readonly ToolResult[]
  /** Names of the tools that the host offers, as often as it offers them. */
  readonly tools: readonly string[]
}

interface Block {
  readonly type: string
  readonly text?: string
  readonly tool_use_id?: string
  readonly is_error?: boolean
  readonly content?: string | readonly Block[]
}

interface MessagesRequest {
  readonly stream?: boolean
  readonly messages?: readonly { readonly content: string | readonly Block[] }[]
  readonly tools?: readonly { readonly name: string }[]
}

interface ChatRequest {
  readonly stream?: boolean
  readonly messages?: readonly {
    readonly role: string
    readonly tool_call_id?: string
    readonly content?: string | readonly Block[] | null
  }[]
  readonly tools?: readonly { readonly function?: { readonly name: string } }[]
}

/**
 * A language model that says what a script tells it, over the Messages API that Claude Code speaks and over the Chat
 * Completions that most other hosts speak. It is also the host's HTTP proxy, and refuses: whatever a host asks of the network is counted in `strayed`.
 */
export class MockLlm {
  readonly #say: (asked: Asked) => Said | Promise<Said>
  readonly #server: Server
  /** Questions that offered tools, in order; hosts ask small side questions without any. */
  readonly asked: Asked[] = []
  /** Targets outside loopback that the host tried to reach. */
  readonly strayed: string[] = []

  private constructor(say: (asked: Asked) => Said | Promise<Said>) {
    this.#say = say
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch((error: unknown) =>
        response.destroy(error instanceof Error ? error : undefined),
      )
    })
    this.#server.on('connect', (request: IncomingMessage, socket) => {
      this.strayed.push(request.url ?? '')
      // Some hosts reset the connection when they are refused.
      socket.on('error', () => undefined)
      socket.end('HTTP/1.1 403 Forbidden\r\n\r\n')
    })
  }

  /** Listens on a free port of 127.0.0.1. `say` is asked for every question that offers tools. */
  static async start(say: (asked: Asked) => Said | Promise<Said>): Promise<MockLlm> {
    const llm = new MockLlm(say)
    await new Promise<void>((resolve) => llm.#server.listen(0, '127.0.0.1', resolve))
    return llm
  }

  get url(): string {
    const { port } = this.#server.address() as AddressInfo
    return `http://127.0.0.1:${port}`
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
    const path = request.url ?? ''
    if (/^https?:/.test(path)) {
      this.strayed.push(path)
      response.writeHead(403).end()
      return
    }
    const chat = path.startsWith('/v1/chat/completions')
    if (request.method !== 'POST' || !(chat || path.startsWith('/v1/messages'))) {
      response.writeHead(404, { 'content-type': 'application/json' }).end('{}')
      return
    }
    const body = JSON.parse(Buffer.concat(chunks).toString('utf8')) as MessagesRequest & ChatRequest
    if (path.startsWith('/v1/messages/count_tokens')) return json(response, { input_tokens: 1 })
    const asked = chat ? readChat(body) : read(body)
    const offered = asked.tools.length > 0
    if (offered) this.asked.push(asked)
    const said = offered ? await this.#say(asked) : { text: 'ok' }
    const turn = this.asked.length
    if (chat && body.stream === true) streamCompletion(response, said, turn)
    else if (chat) json(response, completionOf(said, turn))
    else if (body.stream === true) stream(response, messageOf(said, turn))
    else json(response, messageOf(said, turn))
  }
}

type Content = string | readonly Block[] | undefined

function blocks(content: Content): readonly Block[] {
  return typeof content === 'string' ? [{ type: 'text', text: content }] : (content ?? [])
}

function textOf(content: Content): string {
  return blocks(content)
    .map((block) => block.text ?? '')
    .join('')
}

function read(body: MessagesRequest): Asked {
  const messages = body.messages ?? []
  return {
    results: messages.flatMap(({ content }) =>
      blocks(content)
        .filter((block) => block.type === 'tool_result')
        .map((block) => ({
          id: block.tool_use_id ?? '',
          text: textOf(block.content),
          isError: block.is_error === true,
        })),
    ),
    tools: (body.tools ?? []).map((tool) => tool.name),
  }
}

function readChat(body: ChatRequest): Asked {
  return {
    results: (body.messages ?? [])
      .filter(({ role }) => role === 'tool')
      .map(({ tool_call_id, content }) => ({
        id: tool_call_id ?? '',
        text: textOf(content ?? undefined),
        isError: undefined,
      })),
    tools: (body.tools ?? []).map((tool) => tool.function?.name ?? ''),
  }
}

type Message = ReturnType<typeof messageOf>

function messageOf(said: Said, turn: number) {
  const uses = 'tool' in said
  return {
    id: `msg_${turn}`,
    type: 'message',
    role: 'assistant',
    model: 'mock',
    content: [
      uses
        ? { type: 'tool_use', id: `toolu_${turn}`, name: said.tool, input: said.input }
        : { type: 'text', text: said.text },
    ],
    stop_reason: uses ? 'tool_use' : 'end_turn',
    stop_sequence: null,
    usage: { input_tokens: 1, output_tokens: 1 },
  }
}

function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value))
}

/** The same message as the events of the streaming API. */
function stream(response: ServerResponse, message: Message): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  const event = (type: string, data: object) =>
    response.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`)
  const { content, stop_reason, usage, ...rest } = message
  event('message_start', { message: { ...rest, content: [], stop_reason: null, usage } })
  for (const [index, block] of content.entries()) {
    const [empty, delta] =
      block.type === 'text'
        ? [
            { ...block, text: '' },
            { type: 'text_delta', text: block.text },
          ]
        : [
            { ...block, input: {} },
            { type: 'input_json_delta', partial_json: JSON.stringify(block.input) },
          ]
    event('content_block_start', { index, content_block: empty })
    event('content_block_delta', { index, delta })
    event('content_block_stop', { index })
  }
  event('message_delta', { delta: { stop_reason, stop_sequence: null }, usage })
  event('message_stop', {})
  response.end()
}

/** Members that a whole completion and its chunks share, and the message of the one choice. */
function chatParts(said: Said, turn: number) {
  const uses = 'tool' in said
  return {
    head: { id: `chatcmpl-${turn}`, created: 0, model: 'mock' },
    message: uses
      ? {
          role: 'assistant',
          content: null,
          tool_calls: [
            {
              index: 0,
              id: `call_${turn}`,
              type: 'function',
              function: { name: said.tool, arguments: JSON.stringify(said.input) },
            },
          ],
        }
      : { role: 'assistant', content: said.text },
    finish: uses ? 'tool_calls' : 'stop',
    usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
  }
}

function completionOf(said: Said, turn: number): object {
  const { head, message, finish, usage } = chatParts(said, turn)
  return {
    ...head,
    object: 'chat.completion',
    choices: [{ index: 0, message, finish_reason: finish }],
    usage,
  }
}

/** The same completion in chunks: what is said, why it ends, what it cost. */
function streamCompletion(response: ServerResponse, said: Said, turn: number): void {
  const { head, message, finish, usage } = chatParts(said, turn)
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  const chunk = (more: object) =>
    response.write(`data: ${JSON.stringify({ ...head, object: 'chat.completion.chunk', ...more })}\n\n`)
  chunk({ choices: [{ index: 0, delta: message, finish_reason: null }] })
  chunk({ choices: [{ index: 0, delta: {}, finish_reason: finish }] })
  chunk({ choices: [], usage })
  response.end('data: [DONE]\n\n')
}
