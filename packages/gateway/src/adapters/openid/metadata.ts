import { isJsonObject, member, stringMember } from '../../call/json.ts'
import { judgeHost, stripHost } from '../../net/address.ts'
import { isLoopbackHost } from '../../net/range.ts'
import { SignInFailed } from '../../ports/sign-in.ts'
import type { SecretAnswer } from '../secrets/http.ts'

/** What a provider says of itself (OpenID Connect Discovery 1.0 section 3), as far as it matters here. */
export interface ProviderMetadata {
  readonly authorization: URL
  readonly token: URL
  readonly userInfo: URL | undefined
  readonly jwks: URL
  /** How the gate shows its secret at the token endpoint; `client_secret_basic` is the default of the standard. */
  readonly secretIn: 'client_secret_basic' | 'client_secret_post'
  /** Whether each answer names its issuer (RFC 9207). */
  readonly saysIssuer: boolean
}

/** Where a provider publishes its metadata (section 4). @throws TypeError for an issuer that no secret may go to */
export function metadataUrl(issuer: string): URL {
  const { origin, pathname } = safeUrl(issuer, '`approvals.page.oidc.issuer`', undefined)
  return new URL(`${origin}${pathname.replace(/\/$/, '')}/.well-known/openid-configuration`)
}

/** Reads the metadata of exactly this issuer. @throws SignInFailed */
export function readMetadata(issuer: string, { status, body }: SecretAnswer): ProviderMetadata {
  const what = `metadata of issuer \`${issuer}\` (\`approvals.page.oidc\`)`
  if (status !== 200 || !isJsonObject(body)) {
    const why = status === 200 ? 'are no JSON object' : `cannot be read (HTTP ${status})`
    throw new SignInFailed('down', `${what} ${why}`)
  }
  // Mix-up (RFC 9207 section 1): by another issuer's metadata people and our secret would be sent to that one.
  if (member(body, 'issuer') !== issuer)
    throw new SignInFailed(
      'down',
      `${what} name another issuer; write it exactly as the provider names itself`,
    )
  const optional = (name: string): URL | undefined => {
    const text = stringMember(body, name)
    try {
      return text === undefined ? undefined : safeUrl(text, `\`${name}\` in the ${what}`, issuer)
    } catch (cause) {
      throw new SignInFailed('down', cause instanceof Error ? cause.message : String(cause), { cause })
    }
  }
  const required = (name: string): URL => {
    const url = optional(name)
    if (url === undefined) throw new SignInFailed('down', `${what} have no \`${name}\``)
    return url
  }
  const challenges = member(body, 'code_challenge_methods_supported')
  if (challenges !== undefined && !(Array.isArray(challenges) && challenges.includes('S256')))
    throw new SignInFailed('down', `${what} offer no PKCE with S256, so codes could be stolen`)
  const methods = member(body, 'token_endpoint_auth_methods_supported')
  const onlyPost =
    Array.isArray(methods) &&
    methods.includes('client_secret_post') &&
    !methods.includes('client_secret_basic')
  return {
    authorization: required('authorization_endpoint'),
    token: required('token_endpoint'),
    userInfo: optional('userinfo_endpoint'),
    jwks: required('jwks_uri'),
    secretIn: onlyPost ? 'client_secret_post' : 'client_secret_basic',
    saysIssuer: member(body, 'authorization_response_iss_parameter_supported') === true,
  }
}

/**
 * A URL that codes and secrets may go to: https, or plain http on loopback for an issuer that is there too; no metadata service.
 * @throws TypeError
 */
function safeUrl(text: string, where: string, issuer: string | undefined): URL {
  const url = URL.parse(text)
  const host = url === null ? '' : stripHost(url.hostname)
  const mayBePlain = isLoopbackHost(host) && (issuer === undefined || issuer.startsWith('http:'))
  if (url === null || !(url.protocol === 'https:' || (url.protocol === 'http:' && mayBePlain)))
    throw new TypeError(`${where} must be an https URL (plain http on loopback only)`)
  if (url.username !== '' || url.password !== '' || url.hash !== '')
    throw new TypeError(`${where} must have no user info and no fragment`)
  if (judgeHost(host).isLinkLocal)
    throw new TypeError(`${where} is at \`${host}\`, a link-local address or metadata service`)
  return url
}
