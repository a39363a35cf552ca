import { hash, randomBytes } from 'node:crypto'
import { member, stringMember } from '../../call/json.ts'
import type { ConsentSecret } from '../../ports/consents.ts'
import { authenticate } from './client.ts'
import { Door } from './door.ts'
import { NotObtained } from './fault.ts'
import type { Obtained } from './kept.ts'
import { type AuthorizationCode, type ReadSecret, SHOWABLE, type SignInToken } from './options.ts'
import { judgeTokenAnswer } from './token-answer.ts'
import { type TokenEndpoint, findTokenEndpoint } from './token-endpoint.ts'

/** What a client needs of the gate. */
export interface ConsentClientNeeds {
  readonly readSecret: ReadSecret
  readonly signInToken: SignInToken
  /** Milliseconds since any fixed moment. */
  readonly now: () => number
}

/** A question as it was asked: what the answer must fit. */
export interface AskedConsent {
  readonly authorizeUrl: string
  readonly state: string
  /** Kept here: the code is worth nothing without it (RFC 7636). */
  readonly verifier: string
  readonly redirectUri: string
}

/** What an issuer gave for a code. */
export interface Given {
  readonly secret: ConsentSecret
  readonly scope: string | undefined
  /** Life of a token that cannot be renewed, in seconds; undefined: it can, or nobody said. */
  readonly lifeS: number | undefined
}

/** Headers to show, and the renewed secret; undefined: the old one still counts. */
export interface Renewed extends Obtained {
  readonly secret: ConsentSecret | undefined
}

/** The gate as OAuth client of one server's issuer, on behalf of persons. */
export interface ConsentClient {
  /** Digest of issuer, endpoint and client: what was given to one is not shown to another. */
  readonly id: string
  /** @throws NotObtained */
  ask(redirectUri: string, signal: AbortSignal): Promise<AskedConsent>
  /** @param issuer as it came back with the code (RFC 9207). @throws NotObtained */
  redeem(asked: AskedConsent, code: string, issuer: string | undefined, signal: AbortSignal): Promise<Given>
  /** @throws NotObtained */
  renew(refreshToken: string, signal: AbortSignal, fresh: boolean): Promise<Renewed>
  /** Tells the issuer that a token is not wanted any more (RFC 7009), where it takes that. @throws NotObtained */
  revoke(secret: ConsentSecret, signal: AbortSignal): Promise<void>
  close(): Promise<void>
}

/** @throws TypeError for a configuration that cannot work, naming its key */
export function createConsentClient(
  server: string,
  config: AuthorizationCode,
  { readSecret, signInToken, now }: ConsentClientNeeds,
): ConsentClient {
  const { issuer, tokenUrl, authorizeUrl, clientId, scope, resource, audience } = config
  const where = `\`servers.${server}.credentials`
  if ((tokenUrl === undefined) !== (authorizeUrl === undefined))
    throw new TypeError(`${where}\` needs both \`authorizeUrl\` and \`tokenUrl\`, or \`issuer\``)
  const door = new Door(server, config.network ?? [])
  const endpointOf = findTokenEndpoint(server, config, door, now)
  const configured =
    authorizeUrl === undefined ? undefined : door.urlOf(authorizeUrl, `${where}.authorizeUrl\``)

  async function post(
    { url, audience }: Pick<TokenEndpoint, 'url' | 'audience'>,
    form: URLSearchParams,
    signal: AbortSignal,
    fresh: boolean,
  ) {
    const proof = await authenticate(server, config, audience, { readSecret, signInToken }, fresh, form)
    const headers = { ...proof, 'content-type': 'application/x-www-form-urlencoded' }
    return door.ask({ method: 'POST', url, headers, body: form.toString() }, signal)
  }

  /** A URL of the issuer's metadata. @throws NotObtained for one that nobody should be sent to */
  function metadataUrl({ metadata }: TokenEndpoint, name: string): URL | undefined {
    const text = metadata === undefined ? undefined : stringMember(metadata, name)
    try {
      return text === undefined ? undefined : door.urlOf(text, `\`${name}\` of issuer \`${issuer}\``)
    } catch (cause) {
      throw new NotObtained('everyone', cause instanceof Error ? cause.message : String(cause), { cause })
    }
  }

  return {
    id: hash('sha256', JSON.stringify([issuer ?? null, tokenUrl ?? null, clientId]), 'base64url'),

    async ask(redirectUri, signal) {
      const endpoint = await endpointOf(signal)
      const url = configured ?? metadataUrl(endpoint, 'authorization_endpoint')
      const methods = member(endpoint.metadata ?? {}, 'code_challenge_methods_supported')
      if (url === undefined)
        throw new NotObtained('everyone', `issuer \`${issuer}\` names no authorization endpoint`)
      if (methods !== undefined && !(Array.isArray(methods) && methods.includes('S256')))
        throw new NotObtained(
          'everyone',
          `issuer \`${issuer}\` takes no PKCE with S256, so codes could be stolen`,
        )
      const state = randomBytes(32).toString('base64url')
      const verifier = randomBytes(32).toString('base64url')
      const asked = new URL(url)
      for (const [name, value] of Object.entries({
        response_type: 'code',
        client_id: clientId,
        redirect_uri: redirectUri,
        scope,
        state,
        code_challenge: hash('sha256', verifier, 'base64url'),
        code_challenge_method: 'S256',
        resource,
        audience,
      }))
        if (value !== undefined) asked.searchParams.set(name, value)
      return { authorizeUrl: asked.href, state, verifier, redirectUri }
    },

    async redeem({ verifier, redirectUri }, code, said, signal) {
      const endpoint = await endpointOf(signal)
      // Mix-up (RFC 9207 section 2.4): a code of another issuer must not be handed to ours.
      const says = member(endpoint.metadata ?? {}, 'authorization_response_iss_parameter_supported') === true
      if (said === undefined ? says : issuer !== undefined && said !== issuer)
        throw new NotObtained('caller', `the code is not from issuer \`${issuer}\``)
      const form = new URLSearchParams({
        grant_type: 'authorization_code',
        code,
        redirect_uri: redirectUri,
        code_verifier: verifier,
      })
      if (resource !== undefined) form.set('resource', resource)
      const reply = await post(endpoint, form, signal, true)
      const { headers } = judgeTokenAnswer(server, { scope, exchange: false }, reply)
      const body = reply.body ?? {}
      const refresh = refreshTokenIn(server, body)
      const lifeS = member(body, 'expires_in')
      return {
        scope: stringMember(body, 'scope') ?? scope,
        ...(refresh === undefined
          ? {
              secret: { kind: 'access', token: (headers[1] ?? '').slice('Bearer '.length) },
              lifeS: typeof lifeS === 'number' ? lifeS : undefined,
            }
          : { secret: { kind: 'refresh', token: refresh }, lifeS: undefined }),
      }
    },

    async renew(refreshToken, signal, fresh) {
      const form = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refreshToken })
      if (resource !== undefined) form.set('resource', resource)
      const reply = await post(await endpointOf(signal), form, signal, fresh)
      const obtained = judgeTokenAnswer(server, { scope, exchange: false }, reply)
      const next = refreshTokenIn(server, reply.body ?? {})
      const changed = next !== undefined && next !== refreshToken
      return { ...obtained, secret: changed ? { kind: 'refresh', token: next } : undefined }
    },

    async revoke({ kind, token }, signal) {
      const endpoint = await endpointOf(signal)
      const url = metadataUrl(endpoint, 'revocation_endpoint')
      if (url === undefined) return
      const form = new URLSearchParams({ token, token_type_hint: `${kind}_token` })
      const { status } = await post({ url, audience: endpoint.audience }, form, signal, true)
      if (status !== 200) throw new NotObtained('caller', `\`${url.origin}\` did not revoke (HTTP ${status})`)
    },

    close: () => door.close(),
  }
}

function refreshTokenIn(server: string, body: Readonly<Record<string, unknown>>): string | undefined {
  const token = body['refresh_token']
  if (token === undefined) return undefined
  if (typeof token === 'string' && SHOWABLE.test(token)) return token
  throw new NotObtained(
    'caller',
    `token endpoint of server \`${server}\` gives a refresh token that is not 1 to 8192 visible ASCII characters`,
  )
}
