import type { lookup as dnsLookup } from 'node:dns'
import type { LookupFunction } from 'node:net'
import { Pool, errors } from 'undici'
import { readAnswer } from '../../net/read-answer.ts'
import { SecretUnavailable } from '../../ports/secrets.ts'
import { guardedLookup } from '../upstream/guarded-lookup.ts'

/** Longest answer of a secret store in bytes. */
const MAX_ANSWER_BYTES = 1_048_576

/** Longest Retry-After that is believed, in milliseconds. */
const MAX_RETRY_AFTER_MS = 300_000

/** The operator names the store himself, so every range is his own; link-local and metadata addresses never are. */
const EVERYWHERE = ['0.0.0.0/0', '::/0']

/** TLS towards the stores. Default: the public authorities and no client certificate. */
export interface SecretTls {
  /** PEM. */
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
}

/** What the sockets need. */
export interface SecretHttpOptions {
  readonly tls: SecretTls | undefined
  /** Milliseconds for one whole answer. */
  readonly timeoutMs: number
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Default node:dns. */
  readonly resolve?: typeof dnsLookup
}

/** One question. */
export interface SecretAsk {
  /** What messages call it. */
  readonly label: string
  readonly url: URL
  readonly method: 'GET' | 'POST'
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
}

/** What a store answered, whatever its status. */
export interface SecretAnswer {
  readonly status: number
  /** undefined when the body is no JSON. */
  readonly body: unknown
  readonly retryAfterMs: number | undefined
  /** Clock of the store in milliseconds since the epoch, from `Date`. */
  readonly date: number | undefined
}

/** The sockets to secret stores: one small pool per origin. No redirect is followed and no body is unpacked. */
export class SecretHttp {
  readonly #pools = new Map<string, Pool>()
  readonly #tls: SecretTls
  readonly #lookup: LookupFunction
  readonly #timeoutMs: number
  readonly #now: () => number
  #closed = false

  constructor(options: SecretHttpOptions) {
    this.#tls = options.tls ?? {}
    this.#lookup = judged(guardedLookup('secrets', EVERYWHERE, options.resolve))
    this.#timeoutMs = options.timeoutMs
    this.#now = options.now
  }

  /** @throws SecretUnavailable `down` when no whole answer comes in time, or one that is too long or packed */
  async ask({ label, url, method, headers, body }: SecretAsk): Promise<SecretAnswer> {
    const signal = AbortSignal.timeout(this.#timeoutMs)
    try {
      const answer = await this.#pool(url.origin).request({
        path: url.pathname + url.search,
        method,
        headers: { accept: 'application/json', 'accept-encoding': 'identity', ...headers },
        body: body ?? null,
        signal,
      })
      // A body that is dropped ends in an error event, which nobody else hears: unheard it would end the process.
      answer.body.on('error', () => undefined)
      const own = answer.headers
      if ((own['content-encoding'] ?? 'identity') !== 'identity') {
        answer.body.destroy()
        throw new SecretUnavailable(
          'down',
          `\`${label}\` answered with a packed body, which was not asked for`,
        )
      }
      const bytes = await readAnswer(answer.body, MAX_ANSWER_BYTES)
      if (bytes === undefined)
        throw new SecretUnavailable('down', `\`${label}\` answered more than ${MAX_ANSWER_BYTES} bytes`)
      return {
        status: answer.statusCode,
        body: parseJson(bytes),
        retryAfterMs: this.#retryAfter(own['retry-after']),
        date: dateOf(own['date']),
      }
    } catch (error) {
      if (error instanceof SecretUnavailable) throw error
      if (signal.aborted) {
        throw new SecretUnavailable('down', `\`${label}\` did not answer within ${this.#timeoutMs} ms`)
      }
      // Errors of the client hold the bytes that it could not read: only the code is told.
      throw new SecretUnavailable('down', `\`${label}\` cannot be reached: ${reasonOf(error)}`)
    }
  }

  /** Ends what is under way; nothing can be asked afterwards. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.allSettled([...this.#pools.values()].map((pool) => pool.destroy()))
  }

  #pool(origin: string): Pool {
    if (this.#closed) throw new errors.ClientDestroyedError()
    let pool = this.#pools.get(origin)
    if (pool === undefined) {
      pool = new Pool(origin, {
        connections: 2,
        pipelining: 1,
        allowH2: false,
        connectTimeout: this.#timeoutMs,
        headersTimeout: this.#timeoutMs,
        bodyTimeout: this.#timeoutMs,
        maxHeaderSize: 16_384,
        connect: { ...this.#tls, lookup: this.#lookup },
      })
      this.#pools.set(origin, pool)
    }
    return pool
  }

  #retryAfter(header: string | string[] | undefined): number | undefined {
    if (typeof header !== 'string') return undefined
    const ms = /^[0-9]{1,9}$/.test(header) ? Number(header) * 1_000 : Date.parse(header) - this.#now()
    return Number.isFinite(ms) && ms > 0 ? Math.min(ms, MAX_RETRY_AFTER_MS) : undefined
  }
}

class ForbiddenAddress extends Error {}

/** guardedLookup tells its refusals in the words of servers; only failures of the resolver carry a code. */
function judged(lookup: LookupFunction): LookupFunction {
  return (hostname, options, callback) =>
    lookup(hostname, options, (error, address, family) =>
      callback(error !== null && error.code === undefined ? new ForbiddenAddress() : error, address, family),
    )
}

function reasonOf(error: unknown): string {
  if (error instanceof ForbiddenAddress) {
    return 'its name leads to a link-local or metadata address, or to none; no secret is read from there'
  }
  if (error instanceof errors.HTTPParserError) return 'what answers there is no HTTP/1.1'
  if (error instanceof AggregateError) return reasonOf(error.errors[0])
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' && /^[A-Z0-9_]{1,64}$/.test(code) ? code : 'the connection failed'
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    // The message of the parser quotes the text.
    return undefined
  }
}

function dateOf(header: string | string[] | undefined): number | undefined {
  const ms = typeof header === 'string' ? Date.parse(header) : Number.NaN
  return Number.isNaN(ms) ? undefined : ms
}

/** A member of a JSON object of an answer, own ones only; undefined for anything that is no object. */
export function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  return Object.getOwnPropertyDescriptor(value, name)?.value
}
