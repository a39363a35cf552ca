import { hash, randomBytes } from 'node:crypto'
import { type JsonObject, isJsonObject, stringMember } from '../../call/json.ts'
import type { VerificationKey } from '../../ports/key-source.ts'
import type { Secret, SecretUnavailable } from '../../ports/secrets.ts'
import { type SignInProvider, SignInFailed } from '../../ports/sign-in.ts'
import { showSecret } from '../credentials/client.ts'
import { type RunningKeySource, createKeySource } from '../keys/key-source.ts'
import { type SecretAnswer, type SecretAsk, SecretHttp } from '../secrets/http.ts'
import { type ProviderMetadata, metadataUrl, readMetadata } from './metadata.ts'

/** The provider, and the gate as its client. */
export interface OpenIdOptions {
  /** Exact issuer identifier. */
  readonly issuer: string
  readonly clientId: string
  /** Undefined: a public client, which PKCE alone protects. What it throws names the reference. */
  readonly clientSecret: ((fresh: boolean) => Promise<Pick<Secret, 'reveal'>>) | undefined
  /** Separated by spaces; with `openid`. */
  readonly scope: string
  /** Seconds since the person last proved who he is; undefined: as the provider has it. */
  readonly maxAgeS: number | undefined
  /** Told of keys that cannot be had or used. */
  readonly onProblem: (problem: string) => void
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

/** How long metadata are believed, in milliseconds: ten minutes. */
const KEEP_MS = 600_000
/** How long a provider whose metadata could not be had is left alone, in milliseconds. */
const PAUSE_MS = 1_000
/** For one whole answer, in milliseconds. */
const ANSWER_MS = 5_000
/** Longest token or code that is taken, in characters. */
const SHOWABLE = /^[\x21-\x7e]{1,8192}$/
const FORM = { 'content-type': 'application/x-www-form-urlencoded' }

/**
 * An OpenID provider over HTTP: the authorization code flow with PKCE (OpenID Connect Core 1.0 section 3.1, RFC 7636, RFC 9700
 * section 2.1.1). Opens no socket before the first sign-in.
 * @throws TypeError for an issuer that no secret may go to
 */
export function createOpenIdProvider(options: OpenIdOptions): SignInProvider {
  const { issuer, clientId, clientSecret, scope, maxAgeS, onProblem, now } = options
  const http = new SecretHttp({ tls: undefined, timeoutMs: ANSWER_MS, now })
  const published = metadataUrl(issuer)
  let known: { readonly metadata: ProviderMetadata; readonly until: number } | undefined
  let flight: Promise<ProviderMetadata> | undefined
  let failed: { readonly error: unknown; readonly until: number } | undefined
  let keys: { readonly source: RunningKeySource; readonly jwks: string } | undefined

  async function ask(question: Omit<SecretAsk, 'label'>, what: string): Promise<SecretAnswer> {
    try {
      return await http.ask({ ...question, label: what })
    } catch (cause) {
      throw new SignInFailed('down', (cause as SecretUnavailable).message, { cause })
    }
  }

  /** Once in KEEP_MS, and for all who ask at a time. */
  function metadata(): Promise<ProviderMetadata> {
    if (known !== undefined && now() < known.until) return Promise.resolve(known.metadata)
    if (failed !== undefined && now() < failed.until) return Promise.reject(failed.error as Error)
    flight ??= discover().finally(() => (flight = undefined))
    return flight
  }

  async function discover(): Promise<ProviderMetadata> {
    try {
      const answer = await ask({ url: published, method: 'GET', headers: {} }, `issuer ${issuer}`)
      const metadata = readMetadata(issuer, answer)
      known = { metadata, until: now() + KEEP_MS }
      failed = undefined
      return metadata
    } catch (error) {
      known = undefined
      failed = { error, until: now() + PAUSE_MS }
      throw error
    }
  }

  async function redeemed(form: URLSearchParams, fresh: boolean): Promise<SecretAnswer> {
    const { token, secretIn } = await metadata()
    const sent = new URLSearchParams(form)
    const proof =
      clientSecret === undefined
        ? {}
        : showSecret(secretIn, clientId, await revealed(clientSecret, fresh), sent)
    if (clientSecret === undefined) sent.set('client_id', clientId)
    const headers = { ...FORM, ...proof }
    return ask({ url: token, method: 'POST', headers, body: sent.toString() }, `tokens of ${issuer}`)
  }

  async function userInfo(accessToken: string | undefined): Promise<JsonObject | undefined> {
    const { userInfo: url } = await metadata()
    if (url === undefined || accessToken === undefined) return undefined
    const headers = { authorization: `Bearer ${accessToken}` }
    const { status, body } = await ask({ url, method: 'GET', headers }, `user info of ${issuer}`)
    if (status === 200 && isJsonObject(body)) return body
    const why = status === 200 ? 'is no JSON object; let it be unsigned' : `cannot be read (HTTP ${status})`
    throw new SignInFailed('refused', `user info of issuer \`${issuer}\` ${why}`)
  }

  return {
    async begin({ redirectUri, anew }) {
      const { authorization } = await metadata()
      const [state, nonce, verifier] = [secretText(), secretText(), secretText()]
      const url = new URL(authorization)
      for (const [name, value] of Object.entries({
        response_type: 'code',
        client_id: clientId,
        redirect_uri: redirectUri,
        scope,
        state,
        nonce,
        code_challenge: hash('sha256', verifier, 'base64url'),
        code_challenge_method: 'S256',
        ...(anew ? { prompt: 'login' } : {}),
        ...(maxAgeS === undefined ? {} : { max_age: String(maxAgeS) }),
      }))
        url.searchParams.set(name, value)
      return { url: url.href, state, nonce, verifier }
    },

    async redeem({ verifier }, redirectUri, { code, issuer: said }) {
      const { saysIssuer } = await metadata()
      // Mix-up (RFC 9207 section 2.4): a code of another issuer must not be handed to this one.
      if (said === undefined ? saysIssuer : said !== issuer)
        throw new SignInFailed('refused', `the code is not from issuer \`${issuer}\``)
      const form = new URLSearchParams({
        grant_type: 'authorization_code',
        code,
        redirect_uri: redirectUri,
        code_verifier: verifier,
      })
      let answer = await redeemed(form, false)
      // The secret may have been changed since it was read.
      if (answer.status === 401 && clientSecret !== undefined) answer = await redeemed(form, true)
      const body = isJsonObject(answer.body) ? answer.body : {}
      if (answer.status !== 200) {
        const error = stringMember(body, 'error') ?? ''
        const named = /^[a-z_]{1,64}$/.test(error) ? ` \`${error}\`` : ''
        throw new SignInFailed(
          'refused',
          `issuer \`${issuer}\` does not take the code (HTTP ${answer.status}${named})`,
        )
      }
      const idToken = stringMember(body, 'id_token')
      if (idToken === undefined || !SHOWABLE.test(idToken))
        throw new SignInFailed(
          'refused',
          `issuer \`${issuer}\` gives no id_token of at most 8192 characters; is \`openid\` in \`approvals.page.oidc.scope\`?`,
        )
      const accessToken = stringMember(body, 'access_token')
      const usable = accessToken !== undefined && SHOWABLE.test(accessToken) ? accessToken : undefined
      return { idToken, userInfo: () => userInfo(usable) }
    },

    async key(kid): Promise<VerificationKey | undefined> {
      const { jwks } = await metadata()
      if (keys?.jwks !== jwks.href) {
        void keys?.source.close()
        const source = createKeySource([{ issuer, jwks: jwks.href }], {
          now,
          onProblem: (_, problem) => onProblem(problem),
        })
        keys = { source, jwks: jwks.href }
        await source.start()
      }
      try {
        return await keys.source.key(issuer, kid)
      } catch (cause) {
        throw new SignInFailed('down', cause instanceof Error ? cause.message : String(cause), { cause })
      }
    },

    async close() {
      await http.close()
      await keys?.source.close()
    },
  }
}

async function revealed(secret: NonNullable<OpenIdOptions['clientSecret']>, fresh: boolean): Promise<string> {
  try {
    return (await secret(fresh)).reveal()
  } catch {
    throw new SignInFailed('down', 'the secret of `approvals.page.oidc.clientSecret` cannot be read')
  }
}

/** 256 bits that nobody guesses. */
const secretText = (): string => randomBytes(32).toString('base64url')
