import { type KeyObject, generateKeyPairSync, sign } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { Agent, type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http'
import { join } from 'node:path'
import { SseDecoder } from '../../packages/gateway/src/mcp/sse.ts'

const PREFIX = 'io.modelcontextprotocol'

/** Who a token says its caller is. Every member tells two sessions apart. */
export interface Claims {
  readonly tenant: string
  readonly subject: string
  readonly clientId: string
  readonly sid: string
}

/** An issuer of the test's own: unlike the gate's dev issuer it knows tenants. */
export class TenantIssuer {
  readonly #key: KeyObject
  /** YAML of a gate's `identity` that trusts this issuer, and takes any number of new tokens at once. */
  readonly yaml: string

  /** @param folder where its public key set is written */
  constructor(folder: string) {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519')
    this.#key = privateKey
    const file = join(folder, 'issuer.jwks.json')
    mkdirSync(folder, { recursive: true })
    const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'test', alg: 'EdDSA', use: 'sig' }
    writeFileSync(file, JSON.stringify({ keys: [jwk] }))
    this.yaml = `issuers: [{ issuer: "urn:test:issuer", jwks: ${file}, tenantClaim: tenant }]
replay: session
missesPerPeer: { perSecond: 10000, burst: 100000 }`
  }

  mint({ tenant, subject, clientId, sid }: Claims, audience: string): string {
    const iat = Math.floor(Date.now() / 1_000)
    const payload = {
      iss: 'urn:test:issuer',
      sub: subject,
      aud: audience,
      client_id: clientId,
      sid,
      tenant,
      iat,
      nbf: iat,
      exp: iat + 600,
      jti: crypto.randomUUID(),
    }
    const text = [{ alg: 'EdDSA', typ: 'at+jwt', kid: 'test' }, payload]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.')
    return `${text}.${sign(null, Buffer.from(text), this.#key).toString('base64url')}`
  }
}

export type Message = Record<string, unknown>

/** What came back for one request: every byte of it, and the messages in it. */
export interface Came {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  readonly messages: readonly Message[]
  /** False: the connection ended in the middle of it. */
  readonly whole: boolean
}

export interface HostOptions {
  readonly url: string
  /** `/mcp` or `/mcp/<server>`. */
  readonly path: string
  readonly era: 'legacy' | 'modern'
  readonly token: () => string
  readonly agent?: Agent
  /** Default: none. */
  readonly capabilities?: object
  /** Told every text that the gate sends to this host, as it comes. */
  readonly onBytes?: (text: string) => void
}

/** A host that speaks one era by hand over HTTP, so that a test sees every byte and may send any. */
export class RawHost {
  readonly options: HostOptions
  readonly #agent: Agent
  /** Id of the legacy session once there is one. */
  session: string | undefined

  constructor(options: HostOptions) {
    this.options = options
    this.#agent = options.agent ?? new Agent({ keepAlive: true })
  }

  /** Greets the gate; nothing to do in the modern era. */
  async initialize(version = '2025-11-25'): Promise<Came> {
    const came = await this.post({
      id: 0,
      method: 'initialize',
      params: {
        protocolVersion: version,
        capabilities: this.options.capabilities ?? {},
        clientInfo: { name: 'raw-host', version: '1' },
      },
    })
    this.session = String(came.headers['mcp-session-id'])
    return came
  }

  /** Headers and body of a message as this host sends it; `more` replaces headers, an empty text leaves one out. */
  encode(
    message: Message | readonly Message[],
    more: Record<string, string> = {},
  ): { headers: Record<string, string>; body: string } {
    const { era, token } = this.options
    const framed = Array.isArray(message)
      ? message.map((each: Message) => ({ jsonrpc: '2.0', ...each }))
      : this.#framed(message as Message)
    const body = JSON.stringify(framed)
    const headers: Record<string, string> = {
      authorization: `Bearer ${token()}`,
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(body)),
      accept: 'application/json, text/event-stream',
      ...(era === 'modern' ? modernHeaders(message as Message) : {}),
      ...(this.session === undefined ? {} : { 'mcp-session-id': this.session }),
      ...more,
    }
    return { headers: Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== '')), body }
  }

  #framed(message: Message): Message {
    const whole = { jsonrpc: '2.0', ...message }
    if (this.options.era === 'legacy' || message['method'] === undefined) return whole
    const params = (message['params'] ?? {}) as Message
    const _meta = {
      [`${PREFIX}/protocolVersion`]: '2026-07-28',
      [`${PREFIX}/clientCapabilities`]: this.options.capabilities ?? {},
      ...((params['_meta'] ?? {}) as Message),
    }
    return { ...whole, params: { ...params, _meta } }
  }

  /**
   * Sends a message, or a batch, and reads until the answer ends.
   * @param onMessage told each message as it comes
   */
  post(
    message: Message | readonly Message[],
    options: {
      readonly headers?: Record<string, string>
      readonly onMessage?: (message: Message) => void
      readonly signal?: AbortSignal
    } = {},
  ): Promise<Came> {
    const { headers, body } = this.encode(message, options.headers)
    return this.exchange('POST', headers, body, options.onMessage, options.signal)
  }

  /** Opens the legacy stream; resolves when it ends. */
  stream(
    onMessage: (message: Message) => void,
    signal: AbortSignal,
    onOpen?: (status: number) => void,
  ): Promise<Came> {
    const headers = {
      authorization: `Bearer ${this.options.token()}`,
      accept: 'text/event-stream',
      ...(this.session === undefined ? {} : { 'mcp-session-id': this.session }),
    }
    return this.exchange('GET', headers, undefined, onMessage, signal, onOpen)
  }

  exchange(
    method: string,
    headers: Record<string, string>,
    body?: string,
    onMessage?: (message: Message) => void,
    signal?: AbortSignal,
    onOpen?: (status: number) => void,
  ): Promise<Came> {
    const { url, path, onBytes } = this.options
    return new Promise((resolve, reject) => {
      const options = { method, headers, agent: this.#agent, ...(signal === undefined ? {} : { signal }) }
      const sent = request(url + path, options, (response: IncomingMessage) => {
        onOpen?.(response.statusCode ?? 0)
        onBytes?.(JSON.stringify(response.rawHeaders))
        const messages: Message[] = []
        const events = response.headers['content-type'] === 'text/event-stream' ? new SseDecoder() : undefined
        let text = ''
        const hear = (json: string): void => {
          const parsed: unknown = JSON.parse(json)
          for (const each of Array.isArray(parsed) ? parsed : [parsed]) {
            messages.push(each as Message)
            onMessage?.(each as Message)
          }
        }
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => {
          text += chunk
          onBytes?.(chunk)
          for (const { data } of events?.push(Buffer.from(chunk)) ?? []) hear(data.toString())
        })
        response.on('error', () => undefined)
        response.on('close', () => {
          if (events === undefined && response.headers['content-type'] === 'application/json') hear(text)
          const { statusCode = 0, complete } = response
          resolve({ status: statusCode, headers: response.headers, text, messages, whole: complete })
        })
      })
      sent.on('error', reject)
      sent.end(body)
    })
  }

  close(): void {
    if (this.options.agent === undefined) this.#agent.destroy()
  }
}

function modernHeaders(message: Message): Record<string, string> {
  const params = (message['params'] ?? {}) as Message
  const named = params['name'] ?? params['uri']
  return {
    'mcp-protocol-version': '2026-07-28',
    'mcp-method': String(message['method'] ?? ''),
    ...(typeof named === 'string' ? { 'mcp-name': named } : {}),
  }
}
