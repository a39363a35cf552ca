import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { jwtVerify, type JWTPayload } from 'jose'

/** One key pair of Ed25519. */
export function keyPair(): { readonly publicKey: KeyObject; readonly privateKey: KeyObject } {
  return generateKeyPairSync('ed25519')
}

/** Who the endpoint knows, and what it gives. */
export interface TokenEndpointOptions {
  readonly clientId: string
  readonly secret: string
  /** Of private_key_jwt. */
  readonly clientKey: KeyObject
  /** Whose subject tokens are exchanged. */
  readonly gateIssuer: string
  readonly gateKey: KeyObject
  readonly scopes: readonly string[]
  readonly resources: readonly string[]
}

/** One token request that the endpoint found right. */
export interface Granted {
  readonly method: 'client_secret_basic' | 'client_secret_post' | 'private_key_jwt'
  readonly form: URLSearchParams
  /** Claims of the subject token; undefined: no exchange. */
  readonly subject: JWTPayload | undefined
  readonly actor: JWTPayload | undefined
  readonly token: string
}

/** A misbehaving answer to one request. */
export type Misbehaviour = (response: ServerResponse, token: string) => unknown

/** A strict authorization server of one client, on loopback. */
export class TestTokenEndpoint {
  readonly granted: Granted[] = []
  /** Everything that came in, as text: start line, headers, body. */
  readonly seen: string[] = []
  /** Answers of the next requests, instead of the right ones. */
  readonly next: Misbehaviour[] = []
  readonly #options: TokenEndpointOptions
  readonly #jtis = new Set<string>()
  readonly #server = createServer((request, response) => void this.#serve(request, response))
  #origin = ''
  #tokens = 0

  constructor(options: TokenEndpointOptions) {
    this.#options = options
  }

  /** Issuer identifier. */
  get issuer(): string {
    return `${this.#origin}/tenant`
  }

  get url(): string {
    return `${this.#origin}/tenant/token`
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new TypeError('listens on a port')
    this.#origin = `http://127.0.0.1:${address.port}`
    return this
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) if (Buffer.isBuffer(chunk)) chunks.push(chunk)
    const body = Buffer.concat(chunks).toString()
    this.seen.push(`${request.method} ${request.url}\n${request.rawHeaders.join('\n')}\n\n${body}`)
    if (request.method === 'GET') return this.#discover(request, response)
    try {
      const granted = await this.#judge(request, body)
      const misbehave = this.next.shift()
      if (misbehave !== undefined) {
        await misbehave(response, granted.token)
        return
      }
      this.granted.push(granted)
      answer(response, 200, right(granted))
    } catch (cause) {
      const error = cause instanceof OAuthError ? cause.message : 'invalid_request'
      answer(response, error === 'invalid_client' ? 401 : 400, { error, error_description: String(cause) })
    }
  }

  #discover(request: IncomingMessage, response: ServerResponse): void {
    const misbehave = this.next.shift()
    if (misbehave !== undefined) misbehave(response, '')
    else if (request.url === '/.well-known/oauth-authorization-server/tenant') {
      answer(response, 200, { issuer: this.issuer, token_endpoint: this.url })
    } else answer(response, 404, {})
  }

  async #judge(request: IncomingMessage, body: string): Promise<Granted> {
    check(request.method === 'POST' && request.url === '/tenant/token', 'invalid_request')
    check(request.headers['content-type'] === 'application/x-www-form-urlencoded', 'invalid_request')
    const form = new URLSearchParams(body)
    check(new Set(form.keys()).size === [...form.keys()].length, 'invalid_request')
    const method = await this.#authenticate(request, form)
    const scopes = form.get('scope')?.split(' ') ?? []
    check(
      scopes.every((scope) => this.#options.scopes.includes(scope)),
      'invalid_scope',
    )
    const resource = form.get('resource')
    check(resource === null || this.#options.resources.includes(resource), 'invalid_target')
    const grant = form.get('grant_type')
    const exchange = grant === 'urn:ietf:params:oauth:grant-type:token-exchange'
    check(exchange || grant === 'client_credentials', 'unsupported_grant_type')
    check(exchange === form.has('subject_token'), 'invalid_request')
    const subject = exchange ? await this.#assertion(form, 'subject') : undefined
    const actor = form.has('actor_token') ? await this.#assertion(form, 'actor') : undefined
    return { method, form, subject, actor, token: `token-${++this.#tokens}` }
  }

  async #authenticate(request: IncomingMessage, form: URLSearchParams): Promise<Granted['method']> {
    const { clientId, secret, clientKey } = this.#options
    const { authorization } = request.headers
    const assertion = form.get('client_assertion')
    const ways = [authorization, form.get('client_secret'), assertion].filter((way) => way != null)
    check(ways.length === 1, 'invalid_client')
    if (authorization !== undefined) {
      const pair = Buffer.from(authorization.replace(/^Basic /, ''), 'base64').toString()
      const [id, word] = pair.split(':').map((part) => new URLSearchParams(`x=${part}`).get('x'))
      check(id === clientId && word === secret && !form.has('client_id'), 'invalid_client')
      return 'client_secret_basic'
    }
    check(form.get('client_id') === clientId, 'invalid_client')
    if (assertion === null) {
      check(form.get('client_secret') === secret, 'invalid_client')
      return 'client_secret_post'
    }
    const type = form.get('client_assertion_type')
    check(type === 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer', 'invalid_client')
    const { sub } = await this.#verify(
      assertion,
      clientKey,
      'JWT',
      [this.issuer, this.url],
      clientId,
      'invalid_client',
    )
    check(sub === clientId, 'invalid_client')
    return 'private_key_jwt'
  }

  async #assertion(form: URLSearchParams, role: 'subject' | 'actor'): Promise<JWTPayload> {
    check(form.get(`${role}_token_type`) === 'urn:ietf:params:oauth:token-type:jwt', 'invalid_request')
    const { gateKey, gateIssuer } = this.#options
    const token = form.get(`${role}_token`) ?? ''
    return this.#verify(token, gateKey, `callgate-${role}+jwt`, [this.url], gateIssuer, 'invalid_grant')
  }

  /** Signature, type, one audience, issuer, a life of at most 60 seconds, and a jti that was never seen. */
  async #verify(
    jwt: string,
    key: KeyObject,
    typ: string,
    audience: string[],
    issuer: string,
    error: string,
  ): Promise<JWTPayload> {
    const requiredClaims = ['sub', 'iat', 'exp', 'jti']
    const options = { typ, audience, issuer, requiredClaims, algorithms: ['EdDSA', 'ES256'] }
    const { payload } = await jwtVerify(jwt, key, options).catch(() => check(false, error))
    const { exp = 0, iat = 0, jti = '' } = payload
    check(exp - iat <= 60 && !this.#jtis.has(jti), error)
    this.#jtis.add(jti)
    return payload
  }
}

class OAuthError extends Error {}

function check(holds: false, error: string): never
function check(holds: boolean, error: string): asserts holds
function check(holds: boolean, error: string): asserts holds {
  if (!holds) throw new OAuthError(error)
}

function right({ token, subject, form }: Granted): Record<string, unknown> {
  const scope = form.get('scope')
  return {
    access_token: token,
    token_type: 'Bearer',
    expires_in: 600,
    ...(scope === null ? {} : { scope }),
    ...(subject === undefined ? {} : { issued_token_type: 'urn:ietf:params:oauth:token-type:access_token' }),
  }
}

/** Answers with JSON. */
export function answer(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers })
  response.end(JSON.stringify(body))
}
