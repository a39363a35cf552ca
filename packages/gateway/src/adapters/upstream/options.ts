import type { Principal } from '../../call/call.ts'
import type { JsonObject } from '../../call/json.ts'
import type { Credentials } from '../../ports/credentials.ts'

/** Which era to speak: `auto` asks the server and remembers its answer. */
export type EraChoice = 'auto' | 'legacy' | 'modern'

/** A server that runs as a child process of the gate. */
export interface StdioServer {
  readonly transport: 'stdio'
  /** Program and arguments; never a shell line (CVE-2026-42271: a command line out of an API is remote code). */
  readonly command: readonly string[]
  /** Variables that the child gets beside PATH, HOME, LANG and TMPDIR. */
  readonly env?: Readonly<Record<string, string>>
  /** Working directory. Default: that of the gate. */
  readonly cwd?: string
  /** One child for all sessions instead of one for each. Default false. */
  readonly shared?: boolean
  /** File URIs answered to `roots/list`, in both eras; without them the gate declares no roots. Never the host's. */
  readonly roots?: readonly string[]
  /** Default `auto`. */
  readonly era?: EraChoice
}

/** TLS towards one server, as PEM. */
export interface ClientTls {
  /** Authorities of the server's certificate, in place of those of Node. */
  readonly ca?: Buffer
  /** The gate's own certificate, and the key to it. */
  readonly cert?: Buffer
  readonly key?: Buffer
}

/** A server that is reached by Streamable HTTP. */
export interface HttpServer {
  readonly transport: 'http'
  /** Endpoint, http or https, from the configuration only; no user info, no fragment. */
  readonly url: string
  /** Private ranges (CIDR) that the server may live in; loopback too must be named. None: public addresses only. */
  readonly network: readonly string[]
  /** Default `auto`. */
  readonly era?: EraChoice
  /** As for stdio. */
  readonly roots?: readonly string[]
  /** What the gate shows and trusts; asked at each connection. Default: no certificate, and the authorities of Node. */
  readonly tls?: () => ClientTls
  readonly timeouts?: {
    /** To open a socket, in milliseconds. Default 20,000. */
    readonly connectMs?: number
    /** Longest silence of a started answer, in milliseconds. Default 300,000; the call's deadline comes first. */
    readonly silenceMs?: number
  }
}

/** Caps on what servers may cost the gate. */
export interface UpstreamLimits {
  /** Longest message or answer, in bytes. Default 8 MiB (SECURITY.md 1.2). */
  readonly maxBytes: number
  /** Deepest JSON of a message. Default 64. */
  readonly maxDepth: number
  /**
   * Object members in one message. Default 100,000: some 4,000 tools on one page. The worst that so many cost is less than an
   * array of maxBytes does (SECURITY.md 1.2).
   */
  readonly maxKeys: number
  /** Child processes of the gate at once. Default 32. */
  readonly maxChildren: number
  /** Sessions kept at HTTP servers at once, and streams that one of them may have open beside calls. Default 1,000. */
  readonly maxHttpSessions: number
  /** Requests in flight on one child or to one HTTP server. Default 256. */
  readonly maxInFlight: number
  /** Bytes waiting in one child's stdin before it counts as busy. Default 4 MiB. */
  readonly maxUnwrittenBytes: number
  /** Notifications and stray lines of one connection in one second. Default 5,000; above, it is ended. */
  readonly maxNoisePerSecond: number
  /** Bytes of the same in one second. Default 8 MiB: one of the longest messages passes, a stream of them does not. */
  readonly maxNoiseBytesPerSecond: number
  /** Life of a connection without a request, in milliseconds. Default 300,000. */
  readonly idleMs: number
  /** To start and greet a server, in milliseconds. Default 20,000. */
  readonly connectMs: number
  /** How long the era probe waits for a child before `initialize` is sent too, in milliseconds. Default 1,000. */
  readonly probeMs: number
  /** Between SIGTERM and SIGKILL, in milliseconds. Default 2,000. */
  readonly killMs: number
  /** First and longest wait before a failed server is started again, in milliseconds. Defaults 250 and 30,000. */
  readonly backoffMinMs: number
  readonly backoffMaxMs: number
  /** Pages and tools of one list. Defaults 100 and 5,000. */
  readonly maxPages: number
  readonly maxTools: number
  /** Definitions of one server's tools together, in bytes. Default 8 MiB, as one message may have. */
  readonly maxToolsBytes: number
}

export const DEFAULT_LIMITS: UpstreamLimits = {
  maxBytes: 8 * 1_048_576,
  maxDepth: 64,
  maxKeys: 100_000,
  maxChildren: 32,
  maxHttpSessions: 1_000,
  maxInFlight: 256,
  maxUnwrittenBytes: 4 * 1_048_576,
  maxNoisePerSecond: 5_000,
  maxNoiseBytesPerSecond: 8 * 1_048_576,
  idleMs: 300_000,
  connectMs: 20_000,
  probeMs: 1_000,
  killMs: 2_000,
  backoffMinMs: 250,
  backoffMaxMs: 30_000,
  maxPages: 100,
  maxTools: 5_000,
  maxToolsBytes: 8 * 1_048_576,
}

/** What an assertion of the caller is about. */
export interface AssertedCall {
  readonly server: string
  readonly principal: Principal
  /** Bare name. */
  readonly tool: string
  /** `arguments` as they are sent; undefined: none are. */
  readonly argsBytes: Uint8Array | undefined
}

/** What createUpstream needs. */
export interface UpstreamOptions {
  /** Servers by id. */
  readonly servers: Readonly<Record<string, StdioServer | HttpServer>>
  readonly limits?: Partial<UpstreamLimits>
  /** What the gate shows of itself to HTTP servers. Default nothing. */
  readonly credentials?: Omit<Credentials, 'close'>
  /**
   * Asserts to a server who makes a call, for its `_meta`: name and value of the member, undefined for a server that is told nothing.
   * A promise when the key that signs is not in memory; a call without its assertion is not made. Default nothing.
   */
  readonly assertCaller?: (
    call: AssertedCall,
  ) => readonly [name: string, value: string | Promise<string>] | undefined
  /** Milliseconds that only grow. Default `performance.now`. */
  readonly clock?: () => number
  /** Version in `clientInfo`. Default: that of this package. */
  readonly version?: string
}

/** What the gate says of itself to every server. */
export function clientInfo(version: string): JsonObject {
  return { name: 'callgate', version }
}
