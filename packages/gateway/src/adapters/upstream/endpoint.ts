import { Pool, buildConnector } from 'undici'
import { judgeHost, stripHost } from '../../net/address.ts'
import { UpstreamFailed } from '../../ports/upstream.ts'
import { Asides, MAX_ASIDES } from './asides.ts'
import { guardedLookup, mayConnect } from './guarded-lookup.ts'
import type { ClientTls, HttpServer, UpstreamLimits } from './options.ts'

/** One HTTP server: its sockets, which carry no identity and are shared; sessions are per connection. */
export class HttpEndpoint {
  readonly server: string
  readonly url: URL
  /** For calls. */
  readonly pool: Pool
  /** For what stays open and is mostly silent: no number of listeners may take the sockets of calls. */
  readonly streams: Pool
  readonly asides: Asides
  readonly path: string
  readonly #limits: UpstreamLimits
  #inFlight = 0
  #streaming = 0

  /**
   * Opens nothing yet; sockets come with the first request.
   * @throws TypeError for a URL that is not plain http or https
   */
  constructor(server: string, config: HttpServer, limits: UpstreamLimits) {
    const url = new URL(config.url)
    if (
      (url.protocol !== 'http:' && url.protocol !== 'https:') ||
      url.username !== '' ||
      url.password !== ''
    ) {
      throw new TypeError(`\`servers.${server}.url\` must be http or https, without user info`)
    }
    const host = stripHost(url.hostname)
    if (judgeHost(host).isAddress && !mayConnect(host, config.network)) {
      throw new TypeError(
        `\`servers.${server}.url\` is at \`${host}\`, which is not in \`servers.${server}.network\``,
      )
    }
    const silenceMs = config.timeouts?.silenceMs ?? 300_000
    const shared = {
      pipelining: 1,
      connect: connector(server, config, config.timeouts?.connectMs ?? limits.connectMs),
      headersTimeout: silenceMs,
      maxHeaderSize: 16_384,
      allowH2: false,
    }
    this.server = server
    this.url = url
    this.path = url.pathname + url.search
    this.#limits = limits
    this.pool = new Pool(url.origin, {
      ...shared,
      // Cancels and answers to the server must not wait for a socket that a call holds.
      connections: limits.maxInFlight + MAX_ASIDES,
      bodyTimeout: silenceMs,
    })
    this.asides = new Asides(this.pool, server, limits)
    // A stream of notifications may be silent for days; TCP keep-alive tells whether the other side still lives.
    this.streams = new Pool(url.origin, {
      ...shared,
      connections: limits.maxHttpSessions + limits.maxInFlight,
      bodyTimeout: 0,
    })
  }

  /** Counts a call in. @throws UpstreamFailed `busy` */
  enter(): void {
    const { maxInFlight } = this.#limits
    if (this.#inFlight >= maxInFlight) {
      throw new UpstreamFailed('busy', `server \`${this.server}\` has ${maxInFlight} requests in flight`)
    }
    this.#inFlight++
  }

  leave(): void {
    this.#inFlight--
  }

  /** Counts a stream in. @throws UpstreamFailed `busy` */
  enterStream(): void {
    const { maxHttpSessions } = this.#limits
    if (this.#streaming >= maxHttpSessions) {
      throw new UpstreamFailed('busy', `server \`${this.server}\` has ${maxHttpSessions} streams open`)
    }
    this.#streaming++
  }

  leaveStream(): void {
    this.#streaming--
  }

  async close(): Promise<void> {
    await Promise.allSettled([this.pool.destroy(), this.streams.destroy()])
  }
}

/** Headers of every POST, then those of this one. */
export function postHeaders(own: Readonly<Record<string, string>>): string[] {
  const list = [
    'content-type',
    'application/json',
    'accept',
    'application/json, text/event-stream',
    'accept-encoding',
    'identity',
  ]
  for (const name in own) list.push(name, own[name] ?? '')
  return list
}

/** Headers of every GET, then those of this one. */
export function getHeaders(own: Readonly<Record<string, string>>): string[] {
  return ['accept', 'text/event-stream', 'accept-encoding', 'identity', ...Object.entries(own).flat()]
}

/** Opens sockets to a server, with the certificates of the moment. */
function connector(server: string, config: HttpServer, timeout: number): buildConnector.connector {
  const lookup = guardedLookup(server, config.network)
  const build = (tls: ClientTls | undefined): buildConnector.connector =>
    buildConnector({
      timeout,
      lookup,
      allowH2: false,
      ...tls,
      // Node's default would take TLS 1.2 too, but a flag of the process could lower it.
      minVersion: 'TLSv1.2',
    })
  let last = config.tls?.()
  let connect = build(last)
  return (options, callback) => {
    const tls = config.tls?.()
    // A new connector forgets the TLS sessions of the old one, so that no resumption goes on under an old certificate.
    if (tls !== last) connect = build((last = tls))
    connect(options, callback)
  }
}
