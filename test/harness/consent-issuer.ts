import { createHash, randomBytes } from 'node:crypto'
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http'

/** A grant of one account to the gate, with everything that came of it. */
interface Family {
  readonly account: string
  readonly scope: string
  alive: boolean
  refresh: string | undefined
}

interface Code {
  readonly account: string
  readonly scope: string
  readonly redirectUri: string
  readonly challenge: string
  readonly family: Family
  spent: boolean
}

/**
 * A strict authorization server of one client: PKCE with S256, exact redirect URIs on loopback, codes that count once, refresh
 * tokens that rotate and end their whole family when an old one comes back (RFC 9700 section 4.14.2), revocation (RFC 7009).
 */
export class ConsentIssuer {
  readonly clientId = 'gate'
  readonly secret = `canary-client-${randomBytes(8).toString('hex')}`
  /** Everything that came to the token and revocation endpoints. */
  readonly seen: string[] = []
  /** Every secret that was ever given out. */
  readonly given: string[] = []
  /** Old refresh tokens that were shown again, and codes that were. */
  reused = 0
  renewals = 0
  /** How the next answers differ from right ones. */
  lifeS = 600
  refreshing = true
  rotating = true
  /** `iss` of the next redirects; undefined: its own. */
  says: string | undefined
  /** Answers of the token endpoint instead of the right ones, the first first. */
  readonly next: ((response: ServerResponse) => void)[] = []
  readonly #codes = new Map<string, Code>()
  readonly #refresh = new Map<string, Family>()
  readonly #access = new Map<string, { family: Family; until: number }>()
  readonly #server = createServer((request, response) => void this.#serve(request, response))
  #origin = ''

  get issuer(): string {
    return `${this.#origin}/tenant`
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

  /** Whose an access token is that counts now. */
  accountOf(token: string): string | undefined {
    const found = this.#access.get(token)
    return found !== undefined && found.family.alive && Date.now() < found.until
      ? found.family.account
      : undefined
  }

  /** Takes back everything that an account granted. */
  takeBack(account: string): void {
    for (const { family } of this.#codes.values()) if (family.account === account) family.alive = false
  }

  /** Ends access tokens that are out, as time would. */
  expire(): void {
    this.#access.clear()
  }

  /** A person in a browser opens the link and says yes, or no. @returns where the browser is sent, not yet followed */
  visit(authorizeUrl: string, account: string | undefined): string {
    const { origin, pathname, searchParams: query } = new URL(authorizeUrl)
    const redirectUri = query.get('redirect_uri') ?? ''
    const challenge = query.get('code_challenge') ?? ''
    const state = query.get('state') ?? ''
    if (
      origin !== this.#origin ||
      pathname !== '/tenant/authorize' ||
      query.get('client_id') !== this.clientId ||
      query.get('response_type') !== 'code' ||
      query.get('code_challenge_method') !== 'S256' ||
      !/^[A-Za-z0-9_-]{43}$/.test(challenge) ||
      !/^[A-Za-z0-9_-]{43}$/.test(state) ||
      !/^http:\/\/127\.0\.0\.1:\d+\/callback$/.test(redirectUri)
    )
      throw new Error(`the link is wrong: ${authorizeUrl}`)
    const back = new URL(redirectUri)
    back.searchParams.set('state', state)
    back.searchParams.set('iss', this.says ?? this.issuer)
    if (account === undefined) {
      back.searchParams.set('error', 'access_denied')
      return back.href
    }
    const scope = query.get('scope') ?? ''
    const code = this.#secret('code')
    const family: Family = { account, scope, alive: true, refresh: undefined }
    this.#codes.set(code, { account, scope, redirectUri, challenge, family, spent: false })
    back.searchParams.set('code', code)
    return back.href
  }

  #secret(kind: string): string {
    const secret = `canary-${kind}-${randomBytes(12).toString('hex')}`
    this.given.push(secret)
    return secret
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) if (Buffer.isBuffer(chunk)) chunks.push(chunk)
    const body = Buffer.concat(chunks).toString()
    if (request.url === '/.well-known/oauth-authorization-server/tenant')
      return answer(response, 200, {
        issuer: this.issuer,
        authorization_endpoint: `${this.issuer}/authorize`,
        token_endpoint: `${this.issuer}/token`,
        revocation_endpoint: `${this.issuer}/revoke`,
        code_challenge_methods_supported: ['S256'],
        authorization_response_iss_parameter_supported: true,
      })
    if (request.method !== 'POST') return answer(response, 404, {})
    this.seen.push(`${request.url} ${request.rawHeaders.join(' ')} ${body}`)
    const basic = `Basic ${Buffer.from(`${this.clientId}:${this.secret}`).toString('base64')}`
    if (request.headers.authorization !== basic) return answer(response, 401, { error: 'invalid_client' })
    const form = new URLSearchParams(body)
    if (request.url === '/tenant/revoke') return this.#revoke(form, response)
    const odd = this.next.shift()
    if (odd !== undefined) return odd(response)
    const family = this.#familyOf(form)
    if (typeof family === 'string') return answer(response, 400, { error: family })
    const access = this.#secret('access')
    this.#access.set(access, { family, until: Date.now() + this.lifeS * 1_000 })
    if (this.refreshing && (family.refresh === undefined || this.rotating)) {
      family.refresh = this.#secret('refresh')
      this.#refresh.set(family.refresh, family)
    }
    return answer(response, 200, {
      access_token: access,
      token_type: 'Bearer',
      expires_in: this.lifeS,
      scope: family.scope,
      ...(this.refreshing ? { refresh_token: family.refresh } : {}),
    })
  }

  /** Whose tokens are asked for, or the error. */
  #familyOf(form: URLSearchParams): Family | string {
    if (form.get('grant_type') === 'refresh_token') {
      this.renewals++
      const shown = form.get('refresh_token') ?? ''
      const family = this.#refresh.get(shown)
      if (family === undefined || !family.alive) return 'invalid_grant'
      if (family.refresh === shown) return family
      this.reused++
      family.alive = false
      return 'invalid_grant'
    }
    if (form.get('grant_type') !== 'authorization_code') return 'unsupported_grant_type'
    const code = this.#codes.get(form.get('code') ?? '')
    if (code === undefined) return 'invalid_grant'
    if (code.spent) {
      this.reused++
      code.family.alive = false
      return 'invalid_grant'
    }
    code.spent = true
    const verifier = createHash('sha256')
      .update(form.get('code_verifier') ?? '')
      .digest('base64url')
    return verifier === code.challenge && form.get('redirect_uri') === code.redirectUri
      ? code.family
      : 'invalid_grant'
  }

  #revoke(form: URLSearchParams, response: ServerResponse): void {
    const token = form.get('token') ?? ''
    const family = this.#refresh.get(token) ?? this.#access.get(token)?.family
    if (family !== undefined) family.alive = false
    answer(response, 200, {})
  }
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' })
  response.end(JSON.stringify(body))
}
