import { type KeyObject, createHash, createHmac, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http'

/** Somebody with an account. */
export interface Account {
  readonly sub: string
  readonly email?: string
  readonly email_verified?: boolean
  readonly preferred_username?: string
  readonly tenant?: string
}

interface Grant {
  readonly account: Account
  readonly query: URLSearchParams
  readonly authTime: number
  spent: boolean
}

/** How the next id_token differs from a right one. */
export interface Twist {
  readonly header?: Record<string, unknown>
  readonly claims?: Record<string, unknown>
  /** `none`: no signature. `hs256`: an HMAC with the public key. `stranger`: by a key that is not published. */
  readonly signature?: 'none' | 'hs256' | 'stranger'
}

/**
 * A strict OpenID provider of one client: PKCE with S256, one exact redirect URI, codes that count once and only with the
 * client's secret, an `iss` in each answer (RFC 9207), claims of people at the user info endpoint and not in the id_token, as the
 * standard has it (OpenID Connect Core 1.0 section 5.4). Who is signed in is in the browser's cookie `account`.
 */
export class OpenIdIssuer {
  readonly clientId = 'gate'
  readonly secret = `canary-client-${randomBytes(8).toString('hex')}`
  readonly accounts = new Map<string, Account>()
  /** The one redirect URI of the client. */
  redirectUri = ''
  /** Queries of the sign-ins that were asked for. */
  readonly asked: URLSearchParams[] = []
  /** Every code and token that was given out. */
  readonly given: string[] = []
  /** Codes that were shown again. */
  reused = 0
  twist: Twist | undefined
  /** Members that replace those of the next redirects; null leaves them out. */
  says: Readonly<Record<string, string | null>> = {}
  /** What the user info endpoint says instead. */
  userInfo: object | undefined
  /** Members that replace those of the metadata. */
  metadata: Readonly<Record<string, unknown>> = {}
  /** Seconds since people signed in here. */
  signedInS = 0
  /** Public clients show no secret. */
  isPublic = false
  readonly #keys = generateKeyPairSync('rsa', { modulusLength: 2048 })
  readonly #stranger = generateKeyPairSync('rsa', { modulusLength: 2048 })
  readonly #codes = new Map<string, Grant>()
  readonly #access = new Map<string, Account>()
  readonly #server = createServer((request, response) => void this.#serve(request, response))
  #origin = ''

  get issuer(): string {
    return `${this.#origin}/tenant`
  }

  get origin(): string {
    return this.#origin
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    const address = this.#server.address()
    this.#origin = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
    return this
  }

  close(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', this.#origin)
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(Buffer.from(chunk))
    const form = new URLSearchParams(Buffer.concat(chunks).toString())
    switch (`${request.method} ${url.pathname}`) {
      case 'GET /tenant/.well-known/openid-configuration':
        return answer(response, 200, this.#metadata())
      case 'GET /tenant/keys':
        return answer(response, 200, {
          keys: [{ ...this.#keys.publicKey.export({ format: 'jwk' }), kid: 'k1', use: 'sig', alg: 'RS256' }],
        })
      case 'GET /tenant/authorize':
        return this.#authorize(url.searchParams, request.headers.cookie ?? '', response)
      case 'POST /tenant/token':
        return this.#token(form, request, response)
      case 'GET /tenant/me':
        return this.#me(request, response)
      default:
        return answer(response, 404, {})
    }
  }

  #metadata(): object {
    return {
      issuer: this.issuer,
      authorization_endpoint: `${this.issuer}/authorize`,
      token_endpoint: `${this.issuer}/token`,
      userinfo_endpoint: `${this.issuer}/me`,
      jwks_uri: `${this.issuer}/keys`,
      code_challenge_methods_supported: ['S256'],
      authorization_response_iss_parameter_supported: true,
      ...this.metadata,
    }
  }

  #authorize(query: URLSearchParams, cookie: string, response: ServerResponse): void {
    this.asked.push(query)
    const secretly = /^[A-Za-z0-9_-]{43}$/
    const account = this.accounts.get(/(?:^|; )account=([\w-]+)/.exec(cookie)?.[1] ?? '')
    if (
      query.get('client_id') !== this.clientId ||
      query.get('response_type') !== 'code' ||
      query.get('redirect_uri') !== this.redirectUri ||
      query.get('code_challenge_method') !== 'S256' ||
      !(query.get('scope') ?? '').split(' ').includes('openid') ||
      !['state', 'nonce', 'code_challenge'].every((name) => secretly.test(query.get(name) ?? ''))
    )
      return answer(response, 400, { error: 'invalid_request' })
    const back = new URL(this.redirectUri)
    const members: Record<string, string | null> = { state: query.get('state'), iss: this.issuer }
    if (account === undefined) members['error'] = 'access_denied'
    else {
      members['code'] = this.#secret('code')
      const maxAge = query.get('max_age')
      // Who has to prove himself anew does so at once here.
      const anew = query.get('prompt') === 'login' || (maxAge !== null && Number(maxAge) < this.signedInS)
      const authTime = now() - (anew ? 0 : this.signedInS)
      this.#codes.set(members['code'], { account, query, authTime, spent: false })
    }
    for (const [name, value] of Object.entries({ ...members, ...this.says }))
      if (value !== null) back.searchParams.set(name, value)
    response.writeHead(302, { location: back.href, 'cache-control': 'no-store' })
    response.end()
  }

  #token(form: URLSearchParams, request: IncomingMessage, response: ServerResponse): void {
    const basic = `Basic ${Buffer.from(`${this.clientId}:${this.secret}`).toString('base64')}`
    const isClient = this.isPublic
      ? form.get('client_id') === this.clientId
      : request.headers.authorization === basic
    if (!isClient) return answer(response, 401, { error: 'invalid_client' })
    const grant = this.#codes.get(form.get('code') ?? '')
    if (grant?.spent === true) this.reused++
    const challenge = createHash('sha256')
      .update(form.get('code_verifier') ?? '')
      .digest('base64url')
    if (
      form.get('grant_type') !== 'authorization_code' ||
      grant === undefined ||
      grant.spent ||
      challenge !== grant.query.get('code_challenge') ||
      form.get('redirect_uri') !== this.redirectUri
    )
      return answer(response, 400, { error: 'invalid_grant' })
    grant.spent = true
    const access = this.#secret('access')
    this.#access.set(access, grant.account)
    const id_token = this.#idToken(grant)
    this.given.push(id_token)
    answer(response, 200, { access_token: access, token_type: 'Bearer', expires_in: 60, id_token })
  }

  #idToken({ account, query, authTime }: Grant): string {
    const { header, claims, signature } = this.twist ?? {}
    this.twist = undefined
    const algorithms = { none: 'none', hs256: 'HS256', stranger: 'RS256' }
    const head = { alg: signature === undefined ? 'RS256' : algorithms[signature], kid: 'k1', ...header }
    const body = {
      iss: this.issuer,
      sub: account.sub,
      aud: this.clientId,
      iat: now(),
      exp: now() + 300,
      nonce: query.get('nonce'),
      ...(query.has('max_age') ? { auth_time: authTime } : {}),
      ...claims,
    }
    const signed = [head, body]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.')
    return `${signed}.${this.#signature(signed, signature)}`
  }

  #signature(signed: string, how: Twist['signature']): string {
    if (how === 'none') return ''
    if (how === 'hs256') {
      const publicKey = this.#keys.publicKey.export({ type: 'spki', format: 'pem' })
      return createHmac('sha256', publicKey).update(signed).digest('base64url')
    }
    const key: KeyObject = (how === 'stranger' ? this.#stranger : this.#keys).privateKey
    return sign('sha256', Buffer.from(signed), key).toString('base64url')
  }

  #me({ headers }: IncomingMessage, response: ServerResponse): void {
    const account = this.#access.get((headers.authorization ?? '').replace(/^Bearer /, ''))
    if (account === undefined) return answer(response, 401, { error: 'invalid_token' })
    answer(response, 200, this.userInfo ?? account)
  }

  #secret(kind: string): string {
    const secret = `canary-${kind}-${randomBytes(12).toString('hex')}`
    this.given.push(secret)
    return secret
  }
}

const now = (): number => Math.floor(Date.now() / 1_000)

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' })
  response.end(JSON.stringify(body))
}
