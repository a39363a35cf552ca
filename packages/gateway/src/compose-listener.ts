import type { JsonObject } from './call/json.ts'
import type { Principal } from './call/call.ts'
import { CommandFailed } from './cli/output.ts'
import { openTls } from './compose-tls.ts'
import type { GatewayConfig } from './config/declaration.ts'
import type { Enrolments } from './control/enrolments.ts'
import type { Gate } from './pipeline/gate.ts'
import type { RefusalCounter } from './pipeline/refusal-counter.ts'
import type { Consents } from './ports/consents.ts'
import type { KeyRing } from './ports/key-ring.ts'
import type { createResolver } from './stages/catalog/resolver.ts'
import type { RequestStates } from './stages/forward/request-state.ts'
import type { createIdentity } from './stages/identity/identity.ts'
import { CONSENT_PATH, createConsent } from './wire/consent.ts'
import { ENROL_PATH, createEnrol } from './wire/enrol.ts'
import { createListener } from './wire/http-listener.ts'
import { createMcpEndpoint } from './wire/mcp-endpoint.ts'
import { createRoutes } from './wire/routes.ts'

/** Base URL of a gate without a port. */
const NOWHERE = 'http://127.0.0.1'

/** What hosts talk to. */
export interface HostSideParts {
  /** Whether the gate has no port and is reached inside this process alone. */
  readonly enclosed: boolean
  readonly version: string
  readonly gate: Gate
  readonly keyRing: KeyRing
  readonly states: RequestStates
  readonly resolver: ReturnType<typeof createResolver>
  readonly identity: ReturnType<typeof createIdentity>
  readonly enrolments: Enrolments | undefined
  readonly consents: Consents | undefined
  /** Whether policy gives a principal anything of a server. */
  readonly mayUse: (principal: Principal, server: string) => boolean
  /** Every server has listed its tools, or has failed to once. */
  readonly ready: () => boolean
  readonly refusals: RefusalCounter
  /** True while the gate shuts down. */
  readonly draining: () => boolean
  readonly note: (event: string, detail: JsonObject) => void
  readonly ends: Parameters<typeof openTls>[2]
  readonly now: () => number
}

/** Opens the listener of a gate with all that its paths answer. @throws CommandFailed where it cannot listen */
export async function openHostSide({ listener, identity: declared }: GatewayConfig, parts: HostSideParts) {
  const { gate, identity, enrolments, consents, draining, now } = parts
  const hosts = new Set<string>(listener.allowedHosts)
  const tls =
    !parts.enclosed && listener.tls !== undefined
      ? await openTls(listener.tls, parts.note, parts.ends)
      : undefined
  const server = createListener(
    { ...listener, tls: tls?.material, hosts, origins: new Set(listener.allowedOrigins) },
    {
      serve: (exchange) => routes.serve(exchange),
      refuse: (exchange, refusal) => routes.refuse(exchange, refusal),
    },
  )
  const url = parts.enclosed ? NOWHERE : await listen(server, listener.host, listener.port)
  tls?.watch(server)
  const publicUrl = listener.publicUrl ?? url
  const { port } = new URL(url)
  for (const name of ['127.0.0.1', 'localhost', '[::1]']) hosts.add(`${name}:${port}`)
  hosts.add(new URL(publicUrl).host)
  const routes = createRoutes({
    endpoint: createMcpEndpoint({
      gate,
      keys: parts.keyRing,
      states: parts.states,
      learnPrompts: parts.resolver.learnPrompts,
      promptOf: parts.resolver.promptOf,
      publicUrl,
      proofAlgorithms: declared.algorithms,
      maxRequestBytes: listener.maxRequestBytes,
      version: parts.version,
      now,
      draining,
    }),
    publicUrl,
    binding: {
      proofAlgorithms: declared.algorithms,
      required: declared.replay === 'proof',
      certificates: listener.tls?.clientCa !== undefined,
    },
    // The dev issuer has no listener that a host could be sent to.
    issuers: declared.issuers.filter((issuer) => !issuer.dev).map((issuer) => issuer.issuer),
    ready: parts.ready,
    count: (peer, code) => parts.refusals.count(peer, code),
    posted: {
      ...(enrolments && {
        [ENROL_PATH]: createEnrol({
          publicUrl,
          proveKey: identity.proveKey,
          refund: identity.refund,
          redeem: (code, jwk, peer) => enrolments.redeem(code, jwk, peer),
          now,
        }),
      }),
      ...(consents && {
        [CONSENT_PATH]: createConsent({
          publicUrl,
          identify: gate.identify,
          mayUse: parts.mayUse,
          consents,
        }),
      }),
    },
    draining,
  })
  return {
    server,
    url,
    publicUrl,
    /** Watches its certificates no longer. */
    close: () => tls?.close(),
  }
}

const FIX = 'stop that program, or choose a port with CALLGATE_PORT or `listener.port`'

/**
 * @param fix what to do where the port is taken
 * @returns the base URL of what listens
 * @throws CommandFailed naming the port when it is taken
 */
export function listen(
  server: ReturnType<typeof createListener>,
  host: string,
  port: number,
  fix = FIX,
): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        error.code === 'EADDRINUSE'
          ? new CommandFailed(`port \`${port}\` on \`${host}\` is taken by another program`, { fix })
          : error,
      )
    })
    server.listen(port, host, () => {
      const address = server.address()
      const taken = typeof address === 'object' && address !== null ? address.port : port
      resolve(
        `${'setSecureContext' in server ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${taken}`,
      )
    })
  })
}
