import { Agent, request } from 'undici'
import { readAnswer } from '../../net/read-answer.ts'
import type { BundleSource } from '../../ports/policy-bundles.ts'
import type { Secret } from '../../ports/secrets.ts'
import { guardedLookup } from '../upstream/guarded-lookup.ts'

/** The operator names the server himself, so every range is his own; link-local and metadata addresses never are. */
const EVERYWHERE = ['0.0.0.0/0', '::/0']

/** A server that bundles lie on. */
export interface HttpBundleOptions {
  /** https, or plain http on loopback. */
  readonly url: string
  /** Undefined: no token is shown. */
  readonly token: ((fresh: boolean) => Promise<Pick<Secret, 'reveal'>>) | undefined
  /** Milliseconds for one whole answer. */
  readonly timeoutMs: number
  /** Longest answer in bytes. */
  readonly maxBytes: number
}

/**
 * A bundle by URL, asked for by its ETag. No redirect is followed and nothing compressed is read: whoever answers must not choose
 * where policy comes from (SSRF, OWASP API7:2023), nor fill memory.
 */
export function createHttpBundle({ url, token, timeoutMs, maxBytes }: HttpBundleOptions): BundleSource {
  const agent = new Agent({
    connections: 1,
    pipelining: 1,
    allowH2: false,
    maxHeaderSize: 16_384,
    connect: { lookup: guardedLookup('policy.bundle', EVERYWHERE), timeout: timeoutMs },
  })
  let etag: string | undefined

  async function asked(fresh: boolean) {
    const shown = token === undefined ? {} : { authorization: `Bearer ${(await token(fresh)).reveal()}` }
    const reply = await request(url, {
      dispatcher: agent,
      signal: AbortSignal.timeout(timeoutMs),
      headers: {
        accept: 'application/json',
        'accept-encoding': 'identity',
        ...(etag === undefined ? {} : { 'if-none-match': etag }),
        ...shown,
      },
    })
    // A body that is dropped ends in an error event, which nobody else hears: unheard it would end the process.
    reply.body.on('error', () => undefined)
    return reply
  }

  return {
    async read() {
      let reply = await asked(false)
      // The token may have been changed since it was read.
      if (reply.statusCode === 401 && token !== undefined) {
        reply.body.destroy()
        reply = await asked(true)
      }
      const { statusCode, headers, body } = reply
      if (statusCode === 304 && etag !== undefined) {
        body.destroy()
        return 'unchanged'
      }
      if (statusCode !== 200 || (headers['content-encoding'] ?? 'identity') !== 'identity') {
        body.destroy()
        const hint =
          statusCode >= 300 && statusCode < 400 ? '; redirects are not followed, configure the final URL' : ''
        throw new Error(
          statusCode === 200
            ? 'came in a compressed form that was not asked for'
            : `was not given: the server answered ${statusCode} (expected 200)${hint}`,
        )
      }
      const bytes = await readAnswer(body, maxBytes)
      if (bytes === undefined) throw new Error(`is longer than ${maxBytes} bytes`)
      const given = headers['etag']
      etag = typeof given === 'string' && /^(?:W\/)?"[\x21\x23-\x7e]{0,256}"$/.test(given) ? given : undefined
      return bytes
    },
    forget() {
      etag = undefined
    },
    close: () => agent.destroy(),
  }
}
