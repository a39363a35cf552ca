import { Agent, request } from 'undici'
import { isJsonObject, type JsonObject } from '../../call/json.ts'
import { judgeHost, stripHost } from '../../net/address.ts'
import { isLoopbackHost } from '../../net/range.ts'
import { readAnswer } from '../../net/read-answer.ts'
import { guardedLookup, mayConnect } from '../upstream/guarded-lookup.ts'
import { NotObtained } from './fault.ts'

/** Longest answer that is read, in bytes. */
const MAX_BYTES = 65_536

/** What to send. */
export interface Question {
  readonly method: 'GET' | 'POST'
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
}

/** What came back. */
export interface Reply {
  readonly status: number
  /** 0: it did not say. */
  readonly retryAfterMs: number
  /** Undefined: no JSON object. A member that comes twice counts as its last (JSON.parse): the issuer is trusted, the way is TLS. */
  readonly body: JsonObject | undefined
}

/**
 * The only way from this room to the outside: to issuers and token endpoints of one server, over sockets whose address was judged.
 * No redirect is followed (a token request would take its secret along), nothing compressed is read.
 */
export class Door {
  readonly #server: string
  readonly #network: readonly string[]
  readonly #agent: Agent

  constructor(server: string, network: readonly string[]) {
    this.#server = server
    this.#network = network
    this.#agent = new Agent({
      connections: 8,
      pipelining: 1,
      allowH2: false,
      maxHeaderSize: 16_384,
      connect: { lookup: guardedLookup(`${server}.credentials`, network) },
    })
  }

  /**
   * Reads a URL that secrets may go to: https, or plain http on loopback; no user info, no fragment, no forbidden address.
   * @param where key of the configuration, or document, that it stands in
   * @throws TypeError
   */
  urlOf(text: string, where: string): URL {
    const url = URL.parse(text)
    const host = url === null ? '' : stripHost(url.hostname)
    if (url === null || !(url.protocol === 'https:' || (url.protocol === 'http:' && isLoopbackHost(host)))) {
      throw new TypeError(
        `${where} must be an https URL (plain http on loopback only): the gate's secret goes there`,
      )
    }
    if (url.username !== '' || url.password !== '' || url.hash !== '') {
      throw new TypeError(`${where} must have no user info and no fragment`)
    }
    if (judgeHost(host).isAddress ? !mayConnect(host, this.#network) : judgeHost(host).isLinkLocal) {
      throw new TypeError(
        `${where} is at \`${host}\`, which is not in \`servers.${this.#server}.credentials.network\``,
      )
    }
    return url
  }

  /** Sends one request and reads the whole answer. @throws NotObtained */
  async ask({ method, url, headers, body }: Question, signal: AbortSignal): Promise<Reply> {
    const where = `\`${url.origin}${url.pathname}\` (credentials of server \`${this.#server}\`)`
    let reply: Awaited<ReturnType<typeof request>>
    try {
      reply = await request(url, {
        dispatcher: this.#agent,
        method,
        signal,
        headers: { ...headers, accept: 'application/json', 'accept-encoding': 'identity' },
        body: body ?? null,
      })
    } catch (cause) {
      throw new NotObtained('everyone', `${where} cannot be reached${reasonOf(cause)}`, { cause })
    }
    // A body that is dropped ends in an error event, which nobody else hears: unheard it would end the process.
    reply.body.on('error', () => undefined)
    const encoding = reply.headers['content-encoding']
    const status = reply.statusCode
    const refusal =
      status >= 300 && status < 400
        ? `redirects (HTTP ${status}); redirects are not followed, configure the final URL`
        : encoding !== undefined && encoding !== 'identity'
          ? 'answers in a compressed form that was not asked for'
          : undefined
    if (refusal !== undefined) {
      reply.body.destroy()
      throw new NotObtained('everyone', `${where} ${refusal}`)
    }
    const retryAfterMs = retryAfterOf(reply.headers['retry-after'])
    const bytes = await readAnswer(reply.body, MAX_BYTES).catch((cause: unknown) => {
      throw new NotObtained('everyone', `${where} broke off its answer`, { cause })
    })
    if (bytes === undefined)
      throw new NotObtained('everyone', `${where} answers with more than ${MAX_BYTES} bytes`)
    return { status, retryAfterMs, body: jsonOf(bytes) }
  }

  close(): Promise<void> {
    return this.#agent.destroy()
  }
}

function jsonOf(bytes: Buffer): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    return isJsonObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** Seconds or a date (RFC 9110 section 10.2.3). */
function retryAfterOf(value: string | string[] | undefined): number {
  if (typeof value !== 'string') return 0
  const ms = /^\d{1,9}$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - Date.now()
  return Number.isFinite(ms) ? Math.max(0, ms) : 0
}

/** Code of a system or TLS error: `ECONNREFUSED` tells more than "failed". Only guardedLookup's have none, and say themselves why. */
function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return ''
  return 'code' in cause ? ` (\`${String(cause.code)}\`)` : `: ${cause.message}`
}
