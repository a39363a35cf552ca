import { Agent, type ClientRequest, type IncomingMessage, type RequestOptions, request } from 'node:http'
import { Agent as TlsAgent, request as requestTls } from 'node:https'
import type { Duplex } from 'node:stream'
import type { GateCredential } from '../../ports/gate-credential.ts'

/** One HTTP request to a gate. */
export interface GateRequest {
  readonly method: 'GET' | 'POST'
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  readonly signal: AbortSignal
}

/** What a gate answered; the body may be a stream that lasts as long as the call. */
export interface GateAnswer {
  readonly status: number
  readonly contentType: string
  readonly sessionId: string | undefined
  readonly body: AsyncIterable<Uint8Array>
}

export interface GateClientOptions {
  /** The endpoint; plain HTTP only for a gate on this machine. */
  readonly url: string
  readonly credential: GateCredential
  /** Authorities that the gate's certificate may come from, in PEM; default those of Node. */
  readonly ca?: string
  /** Opens a connection in another way than over TCP; it serves one request. */
  readonly dial?: () => Duplex
}

/** Longest problem that is read of a 401, in bytes. */
const MAX_PROBLEM_BYTES = 64 * 1024

/** Client of a gate's MCP endpoint, for `callgate connect` and `callgate wrap`. */
export function createGateClient({ url, credential, ca, dial }: GateClientOptions) {
  const isTls = url.startsWith('https:')
  const agent = isTls
    ? new TlsAgent({ keepAlive: true, ...(ca === undefined ? {} : { ca }) })
    : new Agent({ keepAlive: true })
  const connection = dial === undefined ? { agent } : { createConnection: dial }
  // Without an agent Node adds the port, and 127.0.0.1:80 is another name than 127.0.0.1.
  const { host } = new URL(url)

  function open(options: RequestOptions, onAnswer: (answer: IncomingMessage) => void): ClientRequest {
    return isTls ? requestTls(url, options, onAnswer) : request(url, options, onAnswer)
  }

  function once({ method, headers, body, signal }: GateRequest): Promise<IncomingMessage> {
    const all = {
      ...headers,
      host,
      accept: method === 'GET' ? 'text/event-stream' : 'application/json, text/event-stream',
      ...(method === 'GET'
        ? {}
        : { 'content-type': 'application/json', 'content-length': String(body.length) }),
    }
    const shown = credential.headersFor({ method, url, headers: all, body })
    return new Promise((resolve, reject) => {
      const sent = open({ ...connection, method, signal, headers: { ...all, ...shown } }, resolve)
      sent.on('error', reject)
      sent.end(body)
    })
  }

  return {
    /** @throws Error when the gate cannot be reached, or the signal is aborted */
    async send(asked: GateRequest): Promise<GateAnswer> {
      const answer = await once(asked)
      const nonce = answer.headers['dpop-nonce']
      if (typeof nonce === 'string') credential.learn?.(nonce)
      if (answer.statusCode !== 401 || credential.refused === undefined) return answerOf(answer, answer)
      const problem = await readProblem(answer)
      if (!credential.refused({ code: codeIn(problem) })) return answerOf(answer, [problem])
      const again = await once(asked)
      return answerOf(again, again)
    },
    close: () => agent.destroy(),
  }
}

function answerOf(
  answer: IncomingMessage,
  body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): GateAnswer {
  const { 'mcp-session-id': sessionId } = answer.headers
  return {
    status: answer.statusCode ?? 0,
    contentType: answer.headers['content-type'] ?? '',
    sessionId: typeof sessionId === 'string' ? sessionId : undefined,
    body: Symbol.asyncIterator in body ? body : asynchronous(body),
  }
}

async function* asynchronous(chunks: Iterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  yield* chunks
}

async function readProblem(answer: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of answer) {
    const bytes = Buffer.from(chunk)
    size += bytes.length
    if (size > MAX_PROBLEM_BYTES) break
    chunks.push(bytes)
  }
  return Buffer.concat(chunks)
}

/** `code` of a problem (RFC 9457), as it may be shown; undefined when it has none. */
export function codeIn(problem: Buffer): string | undefined {
  try {
    const value: unknown = JSON.parse(problem.toString('utf8'))
    const code = typeof value === 'object' && value !== null && 'code' in value ? value.code : undefined
    return typeof code === 'string' && /^[A-Z_]{1,64}$/.test(code) ? code : undefined
  } catch {
    return undefined
  }
}
