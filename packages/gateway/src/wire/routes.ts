import { Refusal } from '../call/refusal.ts'
import type { ReasonCode } from '../call/reason-code.ts'
import { type Exchange, send } from './http-listener.ts'
import type { createMcpEndpoint } from './mcp-endpoint.ts'
import { refusalToWire } from './refusal-to-wire.ts'
import { refusalOf } from './turn.ts'

const JSON_TYPE = ['Content-Type', 'application/json']
const METADATA = '/.well-known/oauth-protected-resource'

/** What hosts are told of tokens that are bound to a key. */
export interface Binding {
  /** Algorithms of DPoP proofs that are accepted. */
  readonly proofAlgorithms: readonly string[]
  /** Whether bearer tokens are refused. */
  readonly required: boolean
  /** Whether the listener takes client certificates, to which a token may be bound instead. */
  readonly certificates: boolean
}

export interface RouteOptions {
  readonly endpoint: ReturnType<typeof createMcpEndpoint>
  readonly publicUrl: string
  readonly issuers: readonly string[]
  /** How tokens are bound to their holders. */
  readonly binding: Binding
  /** Every server has listed its tools, or has failed to once. */
  readonly ready: () => boolean
  readonly count: (peer: string, code: ReasonCode) => void
  /** What else takes a POST, by path: enrolments and consents, where there are any. Each throws Refusal. */
  readonly posted: Readonly<Record<string, (exchange: Exchange) => Promise<void>>>
  /** True while the gate shuts down. */
  readonly draining: () => boolean
}

/** What each path of the data listener answers. There is nothing here that takes a command. */
export function createRoutes(options: RouteOptions) {
  const { endpoint } = options

  async function serve(exchange: Exchange): Promise<void> {
    const { path } = exchange
    const mcp = endpoint.endpointOf(path)
    if (mcp !== undefined) return endpoint.serve(exchange, mcp)
    if (Object.hasOwn(options.posted, path)) return posted(exchange, options.posted[path])
    if (path === '/healthz') return reading(exchange, () => health(exchange))
    if (path.startsWith(METADATA)) {
      const resource = endpoint.endpointOf(path.slice(METADATA.length) || '/mcp')
      if (resource !== undefined) return reading(exchange, () => metadata(exchange, resource.resource))
    }
    refuse(exchange, new Refusal('CG_WIRE_PATH', { internal: 'no such path' }))
  }

  async function posted(
    exchange: Exchange,
    answer: RouteOptions['posted'][string] | undefined,
  ): Promise<void> {
    try {
      if (exchange.request.method !== 'POST')
        throw new Refusal('CG_WIRE_HTTP_METHOD', { internal: 'only POST is served' })
      if (options.draining()) throw new Refusal('CG_WIRE_DRAINING', { retryAfterS: 5 })
      await answer?.(exchange)
    } catch (error) {
      const refusal = refusalOf(error)
      refuse(exchange, refusal, refusal.code === 'CG_WIRE_HTTP_METHOD' ? ['Allow', 'POST'] : [])
    }
  }

  /** Documents are read and never told anything. */
  function reading(exchange: Exchange, answer: () => void): void {
    const { method } = exchange.request
    if (method === 'GET' || method === 'HEAD') answer()
    else
      refuse(exchange, new Refusal('CG_WIRE_HTTP_METHOD', { internal: 'only GET and HEAD are served' }), [
        'Allow',
        'GET, HEAD',
      ])
  }

  function health(exchange: Exchange): void {
    const ready = options.ready()
    send(
      exchange,
      ready ? 200 : 503,
      JSON_TYPE,
      Buffer.from(JSON.stringify({ status: ready ? 'ok' : 'starting' })),
    )
  }

  /** Protected-resource metadata (RFC 9728), one document an endpoint. */
  function metadata(exchange: Exchange, resource: string): void {
    const { proofAlgorithms, required, certificates } = options.binding
    const document = {
      resource,
      ...(options.issuers.length === 0 ? {} : { authorization_servers: options.issuers }),
      bearer_methods_supported: ['header'],
      dpop_signing_alg_values_supported: proofAlgorithms,
      ...(required && !certificates ? { dpop_bound_access_tokens_required: true } : {}),
      ...(certificates ? { tls_client_certificate_bound_access_tokens: true } : {}),
    }
    send(exchange, 200, JSON_TYPE, Buffer.from(JSON.stringify(document)))
  }

  function refuse(exchange: Exchange, refusal: Refusal, headers: readonly string[] = []): void {
    options.count(exchange.peer, refusal.code)
    const wire = refusalToWire(refusal, {
      method: undefined,
      era: undefined,
      evidence: undefined,
      proofAlgorithms: options.binding.proofAlgorithms,
      resourceMetadata: `${options.publicUrl}${METADATA}/mcp`,
    })
    if (wire.shape !== 'http')
      return send(exchange, 400, JSON_TYPE, Buffer.from(JSON.stringify({ code: refusal.code })))
    send(
      exchange,
      wire.status,
      ['Content-Type', 'application/problem+json', ...wire.headers, ...headers],
      Buffer.from(JSON.stringify(wire.problem)),
    )
  }

  return { serve, refuse }
}
