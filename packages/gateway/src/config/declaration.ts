import { z } from 'zod'
import { approvals } from './approvals.ts'
import { dlp } from './dlp.ts'
import { egress } from './egress.ts'
import { cidr, duration, isListenHost, isOrigin, isPublicUrl, path, text, tokenKey, word } from './forms.ts'
import { idempotency } from './idempotency.ts'
import { identity } from './identity.ts'
import { ownership } from './ownership.ts'
import { policy } from './policy.ts'
import { rollout } from './rollout.ts'
import { server } from './servers.ts'
import { tickets } from './tickets.ts'

const KIB = 1024
const MIB = 1024 * KIB

const tls = z.strictObject({
  key: path.describe('Private key, PEM, readable by the gate alone.'),
  cert: path.describe('Certificate with the intermediate ones behind it, PEM.'),
  clientCa: path
    .exactOptional()
    .describe('Authorities of client certificates, PEM. Without it none is asked for.'),
  clientCertificates: z
    .enum(['required', 'optional'])
    .default('required')
    .describe(
      'Whether each host must show a client certificate; one that is shown must hold either way. Only with clientCa.',
    ),
  crl: path
    .exactOptional()
    .describe('Revocation lists, PEM: one for each authority in a chain of clientCa. Only with clientCa.'),
})

const listener = z.strictObject({
  host: text('an IP address or a host name', isListenHost)
    .default('127.0.0.1')
    .describe(
      'Address to listen on. Without `tls` the listener speaks plain HTTP and stays on loopback; a proxy on the same machine may bring TLS.',
    ),
  port: z
    .int()
    .min(0)
    .max(65_535)
    .default(8420)
    .describe('TCP port; 0 takes a free one. The environment variable CALLGATE_PORT overrides it.'),
  publicUrl: text('an https origin without path such as `https://gate.example`', isPublicUrl)
    .exactOptional()
    .describe(
      'Origin under which hosts reach the gate through a proxy. Tokens must then be meant for it (RFC 8707). Plain http on loopback only.',
    ),
  tls: tls
    .exactOptional()
    .describe('TLS 1.2 and 1.3 on the listener; its files are read again when they change.'),
  allowedHosts: z
    .array(
      word('a host name in lower case, with a port or without', /^([a-z0-9.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?$/),
    )
    .max(64)
    .default([])
    .describe(
      'Host headers that are accepted beside those of the listener itself and of publicUrl; there are no wildcards (DNS rebinding, CVE-2025-66414).',
    ),
  allowedOrigins: z
    .array(text('a web origin such as `https://console.example`', isOrigin))
    .max(64)
    .default([])
    .describe('Web origins that may call the gate from a browser; there are no wildcards.'),
  trustedProxies: z
    .array(cidr)
    .max(64)
    .default([])
    .describe('Ranges of proxies whose X-Forwarded-For is believed when the peer of a caller is told.'),
  maxConnections: z
    .int()
    .min(1)
    .max(65_535)
    .default(1024)
    .describe('Open connections at a time; more are closed at once.'),
  headersTimeoutMs: duration(10_000, 100, 60_000).describe(
    'Milliseconds until the headers of a request must be there.',
  ),
  requestTimeoutMs: duration(30_000, 100, 300_000).describe(
    'Milliseconds until a whole request must be there.',
  ),
  idleTimeoutMs: duration(60_000, 100, 3_600_000).describe(
    'Milliseconds after which a connection without a request is closed.',
  ),
  maxRequestBytes: z
    .int()
    .min(KIB)
    .max(8 * MIB)
    .default(MIB)
    .describe('Longest request body in bytes.'),
  maxHeaderBytes: z
    .int()
    .min(4 * KIB)
    .max(64 * KIB)
    .default(16 * KIB)
    .describe('Longest request head in bytes.'),
})

/** callgate.yaml, declared once: types, defaults, JSON Schema, reference page and messages are made from this. */
export const declaration = z.strictObject({
  listener: listener.prefault({}).describe('Where hosts reach the gate.'),
  identity: identity.describe('Whose tokens are accepted, and how they are checked.'),
  servers: z
    .record(
      word('a server id of at most 16 lower-case letters, digits and `-`', /^[a-z][a-z0-9-]{0,15}$/),
      server,
    )
    .default({})
    .describe('The MCP servers behind the gate, by id.'),
  policy: policy.describe('What is allowed. Everything else is denied.'),
  rollout: rollout
    .prefault({})
    .describe('Who goes first: what is on trial and enforced for some already; see docs/rollout.md.'),
  tickets: tickets
    .exactOptional()
    .describe(
      'The system that confirms tickets, for rules that read `ctx.ticket` or say `require_ticket`; see docs/tickets.md. Default: none, and what needs a ticket is refused.',
    ),
  approvals: approvals
    .exactOptional()
    .describe(
      'Who may approve calls that rules with `require_approval` hold back; see docs/approvals.md. Default: nobody, and such calls are refused.',
    ),
  ownership: ownership
    .prefault({})
    .describe('Whose the objects are that arguments name; see docs/ownership.md.'),
  dlp: dlp
    .prefault({})
    .describe(
      'What becomes of personal data, secrets and hidden text in calls and answers. It is found by form and check digits; free text such as names is not.',
    ),
  egress: egress
    .prefault({})
    .describe(
      'Where URLs in the arguments of tools may lead. Private, link-local and metadata addresses never.',
    ),
  idempotency: idempotency
    .prefault({})
    .describe(
      'How calls with an idempotency key are remembered, so that they run once; see docs/idempotency.md.',
    ),
  evidence: z
    .strictObject({
      checkpointMs: duration(1000, 10, 1000).describe(
        'Milliseconds after which new records are signed at the latest.',
      ),
      checkpointRecords: z
        .int()
        .min(1)
        .max(1000)
        .default(1000)
        .describe('Records after which they are signed at once.'),
      signingKey: tokenKey
        .exactOptional()
        .describe(
          'Ed25519 key in a PKCS #11 token that signs the checkpoints of the log, and never leaves it. Default: `state/keys/evidence.key`. A log that was begun with one key is not gone on with by another.',
        ),
    })
    .prefault({})
    .describe('How the log of record is signed.'),
  assertion: z
    .strictObject({
      key: tokenKey
        .exactOptional()
        .describe(
          'P-256 key in a PKCS #11 token that signs by ES256, and never leaves it. Default: `state/keys/assertion.key`, which signs by EdDSA. Each signature is a process, one at a time: servers with `assertCaller` have one for each call; see docs/keys-in-an-hsm.md.',
        ),
    })
    .prefault({})
    .describe('With which key the gate asserts to issuers for whom it asks (token exchange).'),
  secrets: z
    .strictObject({
      ttlS: z
        .int()
        .min(0)
        .max(3_600)
        .default(300)
        .describe(
          'Seconds that a secret which was read is used before it is read again; while its source is down the last one serves for at most an hour.',
        ),
    })
    .prefault({})
    .describe('How secrets that stand as references are read.'),
  state: path
    .exactOptional()
    .describe(
      'Folder of everything that the gate keeps: evidence, keys, pins, journals. Default: `state` in the working directory. The environment variable CALLGATE_STATE overrides it.',
    ),
})

type Declared = z.output<typeof declaration>

/** A server as configured: a stdio child process or a Streamable HTTP endpoint. Paths are absolute. */
export type ServerConfig = Declared['servers'][string]

/** An issuer as configured; `jwks` is an absolute path or a URL. */
export interface IssuerConfig {
  readonly issuer: string
  readonly jwks: string
  readonly tenantClaim?: string
  readonly claims?: Declared['identity']['issuers'][number]['claims']
  readonly exception?: Declared['identity']['issuers'][number]['exception']
  readonly dev: boolean
}

/** The whole configuration after defaults and checks; every path is absolute. */
export interface GatewayConfig extends Omit<Declared, 'identity' | 'state'> {
  readonly identity: Omit<Declared['identity'], 'issuers'> & { readonly issuers: readonly IssuerConfig[] }
  readonly state: string
  /** Folder of the file: paths in it are relative to this one. */
  readonly folder: string
}

/** The configuration as the file has it, before paths are resolved. */
export type DeclaredConfig = Declared
