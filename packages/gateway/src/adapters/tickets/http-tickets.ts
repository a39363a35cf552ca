import type { Secret } from '../../ports/secrets.ts'
import { SecretUnavailable } from '../../ports/secrets.ts'
import { type Tickets, TicketsDown } from '../../ports/tickets.ts'
import { SecretHttp, type SecretAnswer } from '../secrets/http.ts'
import { type TicketAccount, ticketProvider } from './providers.ts'

/** A ticket system over HTTP, and the account that the gate has there. */
export interface HttpTicketsOptions extends TicketAccount {
  /** Base of its API. */
  readonly url: string
  /** Undefined: none is shown. */
  readonly token: ((fresh: boolean) => Promise<Pick<Secret, 'reveal'>>) | undefined
  /** States or labels that stand for approval. */
  readonly approved: readonly string[]
  /** Milliseconds for one whole answer. */
  readonly timeoutMs: number
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

/** Longest pause that an answer may ask for, in milliseconds: a typing error there must not stop approved calls for a day. */
const MAX_PAUSE_MS = 30_000

/** Reads tickets over HTTP: one request each, no redirect is followed, no answer is kept. */
export function createHttpTickets(options: HttpTicketsOptions): Tickets {
  const { url, token, approved, timeoutMs, now } = options
  const provider = ticketProvider(options)
  const http = new SecretHttp({ tls: undefined, timeoutMs, now })
  const base = url.replace(/\/+$/, '')
  let notBefore = 0

  async function asked(id: string, fresh: boolean): Promise<SecretAnswer> {
    const shown = token === undefined ? {} : provider.headers(await revealed(token, fresh))
    return http.ask({
      label: 'tickets',
      url: new URL(`${base}${provider.path(id)}`),
      method: 'GET',
      headers: shown,
    })
  }

  return {
    async read(id, signal) {
      if (!provider.id.test(id)) return undefined
      const pauseMs = notBefore - now()
      if (pauseMs > 0)
        throw new TicketsDown(`the ticket system wants no question for ${Math.ceil(pauseMs / 1_000)} s`)
      try {
        let answer = await unlessAborted(asked(id, false), signal)
        // The token may have been changed since it was read.
        if (answer.status === 401 && token !== undefined)
          answer = await unlessAborted(asked(id, true), signal)
        const { status, body, retryAfterMs } = answer
        if (status === 404 || status === 410) return undefined
        if (status === 429 || status === 503)
          notBefore = now() + Math.min(retryAfterMs ?? 1_000, MAX_PAUSE_MS)
        if (status !== 200) throw new TicketsDown(`the ticket system answered HTTP ${status}`)
        if (body === undefined) throw new TicketsDown('the ticket system answered what is no JSON')
        return provider.read(body, approved)
      } catch (cause) {
        if (cause instanceof SecretUnavailable) throw new TicketsDown(cause.message)
        throw cause
      }
    },
    close: () => http.close(),
  }
}

async function revealed(token: NonNullable<HttpTicketsOptions['token']>, fresh: boolean): Promise<string> {
  let text
  try {
    text = (await token(fresh)).reveal()
  } catch {
    throw new TicketsDown('the secret of `tickets.token` cannot be read')
  }
  if (!/^[\x21-\x7e]{1,8192}$/.test(text))
    throw new TicketsDown(
      'the secret of `tickets.token` is empty, too long, or holds a space or a line break',
    )
  return text
}

function unlessAborted<T>(asking: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason as Error)
    if (signal.aborted) return stop()
    signal.addEventListener('abort', stop, { once: true })
    asking.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}
