import type { Caller, Principal } from '../call/call.ts'
import { type JsonObject, isJsonObject, stringMember } from '../call/json.ts'
import { Refusal } from '../call/refusal.ts'
import { JsonFault, type ScanOptions, scanJson } from '../mcp/json-scan.ts'
import { type Consents, REDIRECT_URI, consentBody } from '../ports/consents.ts'
import { type Exchange, readBody, send } from './http-listener.ts'
import { presentedBy } from './request-headers.ts'

/** Path at which callers consent, and take it back. */
export const CONSENT_PATH = '/consent'

const MAX_BODY_BYTES = 16 * 1024
const SCAN: ScanOptions = {
  maxBytes: MAX_BODY_BYTES,
  maxDepth: 2,
  maxKeys: 8,
  twinKeys: { '': ['do', 'server', 'redirect_uri', 'state', 'code', 'iss'] },
}
/** How long the issuer may take, in milliseconds. */
const ISSUER_MS = 10_000

export interface ConsentOptions {
  readonly publicUrl: string
  /** Row 1. @throws Refusal */
  readonly identify: (caller: Caller) => Promise<{ readonly principal: Principal }>
  /** Whether policy gives a principal anything of a server. */
  readonly mayUse: (principal: Principal, server: string) => boolean
  readonly consents: Consents
}

/** What a caller may ask for. */
type Asked =
  | { readonly do: 'begin'; readonly redirectUri: string }
  | {
      readonly do: 'finish'
      readonly state: string
      readonly code: string
      readonly issuer: string | undefined
    }
  | { readonly do: 'end' }

/**
 * `POST /consent`: begins, finishes or ends a caller's consent to a server that acts in his name. The caller is who his token
 * says, as at `/mcp`, and what he may not reach he cannot tell from what is not there.
 * @returns the handler; it throws Refusal
 */
export function createConsent({ publicUrl, identify, mayUse, consents }: ConsentOptions) {
  return async function consent(exchange: Exchange): Promise<void> {
    const body = await readBody(exchange, MAX_BODY_BYTES)
    const { principal } = await identify({
      peer: exchange.peer,
      ...presentedBy(exchange, `${publicUrl}${CONSENT_PATH}`, body),
      endpoint: { server: undefined, resource: `${publicUrl}/mcp` },
      session: undefined,
    })
    const { server, asked } = askedIn(body)
    if (!mayUse(principal, server))
      throw new Refusal('CG_CONSENT_SERVER', { internal: `policy gives nothing of \`${server}\`` })
    const answer = await serve(principal, server, asked)
    send(exchange, 200, ['Content-Type', 'application/json'], Buffer.from(JSON.stringify(answer)))
  }

  async function serve(principal: Principal, server: string, asked: Asked): Promise<JsonObject> {
    const signal = AbortSignal.timeout(ISSUER_MS)
    switch (asked.do) {
      case 'begin': {
        const question = await consents.begin(server, principal, asked.redirectUri, signal)
        return { authorize_url: question.authorizeUrl, state: question.state }
      }
      case 'finish':
        return consentBody(await consents.finish(server, principal, asked, signal))
      case 'end': {
        const ended = await consents.end(server, principal)
        return { server, ended: ended !== undefined }
      }
    }
  }
}

/** @throws Refusal CG_WIRE_SYNTAX, CG_WIRE_PARAMS */
function askedIn(body: Buffer): { readonly server: string; readonly asked: Asked } {
  try {
    scanJson(body, SCAN)
  } catch (cause) {
    if (!(cause instanceof JsonFault)) throw cause
    throw new Refusal('CG_WIRE_SYNTAX', { internal: `the body is not strict JSON: ${cause.message}`, cause })
  }
  const value: unknown = JSON.parse(body.toString('utf8'))
  const server = isJsonObject(value) ? stringMember(value, 'server') : undefined
  const asked = isJsonObject(value) ? whatIn(value) : undefined
  if (server === undefined || asked === undefined)
    throw new Refusal('CG_WIRE_PARAMS', { internal: 'the body asks for no consent' })
  return { server, asked }
}

function whatIn(body: JsonObject): Asked | undefined {
  const redirectUri = stringMember(body, 'redirect_uri')
  const state = stringMember(body, 'state')
  const code = stringMember(body, 'code')
  switch (body['do']) {
    case 'begin':
      return redirectUri !== undefined && REDIRECT_URI.test(redirectUri)
        ? { do: 'begin', redirectUri }
        : undefined
    case 'finish':
      return state === undefined || code === undefined
        ? undefined
        : { do: 'finish', state, code, issuer: stringMember(body, 'iss') }
    case 'end':
      return { do: 'end' }
    default:
      return undefined
  }
}
