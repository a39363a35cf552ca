import { type JsonObject, member, stringMember } from '../../call/json.ts'
import type { Door } from './door.ts'
import { NotObtained } from './fault.ts'
import type { TokenRequest } from './options.ts'

/** How long metadata of an issuer is believed, in milliseconds. */
const KEEP_MS = 3_600_000

/** Where tokens are asked for. */
export interface TokenEndpoint {
  readonly url: URL
  /** The URL as it was written: what an assertion names is compared letter by letter. */
  readonly name: string
  /** Whom a client assertion names: the issuer where it is known (draft-ietf-oauth-rfc7523bis), else the URL (RFC 7523 section 3). */
  readonly audience: string
  /** What else the issuer's metadata say; undefined where there are none. */
  readonly metadata: JsonObject | undefined
}

/** What is needed to find it. */
export type EndpointConfig = Pick<TokenRequest, 'issuer' | 'tokenUrl'>

/**
 * Finds the token endpoint: as configured, or by the issuer's metadata, which must name that very issuer (RFC 8414 section 3.3).
 * @param now milliseconds since any fixed moment
 * @throws TypeError at once for a configuration with neither or both, or with a URL that no secret may go to
 */
export function findTokenEndpoint(
  server: string,
  config: EndpointConfig,
  door: Door,
  now: () => number,
): (signal: AbortSignal) => Promise<TokenEndpoint> {
  const { issuer, tokenUrl } = config
  const where = `\`servers.${server}.credentials`
  if (tokenUrl !== undefined && issuer === undefined) {
    const found = Promise.resolve({
      url: door.urlOf(tokenUrl, `${where}.tokenUrl\``),
      name: tokenUrl,
      audience: tokenUrl,
      metadata: undefined,
    })
    return () => found
  }
  if (issuer === undefined || tokenUrl !== undefined) {
    throw new TypeError(`${where}\` needs either \`issuer\` or \`tokenUrl\``)
  }
  const base = door.urlOf(issuer, `${where}.issuer\``)
  let known: { readonly endpoint: TokenEndpoint; readonly until: number } | undefined
  return async (signal) => {
    if (known === undefined || now() >= known.until) {
      known = { endpoint: await discover(server, issuer, base, door, signal), until: now() + KEEP_MS }
    }
    return known.endpoint
  }
}

async function discover(
  server: string,
  issuer: string,
  base: URL,
  door: Door,
  signal: AbortSignal,
): Promise<TokenEndpoint> {
  for (const url of wellKnown(base)) {
    const { status, retryAfterMs, body } = await door.ask({ method: 'GET', url, headers: {} }, signal)
    if (status === 404) continue
    const metadata = `metadata of issuer \`${issuer}\` (credentials of server \`${server}\`)`
    if (status !== 200 || body === undefined) {
      const what = status === 200 ? 'are no JSON object' : `cannot be read (HTTP ${status})`
      throw new NotObtained('everyone', `${metadata} ${what}`, { retryAfterMs })
    }
    const endpoint = stringMember(body, 'token_endpoint')
    // Mix-up: metadata of another issuer would have our secret sent to that one.
    if (member(body, 'issuer') !== issuer || endpoint === undefined) {
      const what =
        'name another issuer or no token endpoint; the issuer must be written exactly as it names itself'
      throw new NotObtained('everyone', `${metadata} ${what}`)
    }
    try {
      const url = door.urlOf(endpoint, `token endpoint in the ${metadata}`)
      return { url, name: endpoint, audience: issuer, metadata: body }
    } catch (cause) {
      throw new NotObtained('everyone', cause instanceof Error ? cause.message : String(cause), { cause })
    }
  }
  throw new NotObtained(
    'everyone',
    `issuer \`${issuer}\` publishes no metadata; configure \`servers.${server}.credentials.tokenUrl\` instead`,
  )
}

/** RFC 8414 section 3.1, then OpenID Connect Discovery section 4. */
function wellKnown({ origin, pathname }: URL): readonly URL[] {
  const path = pathname.replace(/\/$/, '')
  return [
    new URL(`${origin}/.well-known/oauth-authorization-server${path}`),
    new URL(`${origin}${path}/.well-known/openid-configuration`),
  ]
}
