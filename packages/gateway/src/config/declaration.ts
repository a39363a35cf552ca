import { z } from 'zod'
import { parseReference } from '../ports/secret-reference.ts'
import { isCredentialHeader } from '../ports/credentials.ts'
import {
  WHOLE,
  cidr,
  isKeySource,
  isListenHost,
  isNameUri,
  isOrigin,
  isPublicUrl,
  isServerUrl,
  ownCidr,
  path,
  text,
  word,
} from './forms.ts'

// zod would otherwise probe for code generation, which this process forbids.
z.config({ jitless: true })

const KIB = 1024
const MIB = 1024 * KIB

/** Signature algorithms that may be allowed. Symmetric ones and `none` are not in the list. Source: RFC 8725 section 3.1. */
export const algorithms = [
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
  'PS256',
  'PS384',
  'PS512',
  'RS256',
  'RS384',
  'RS512',
] as const

function duration(defaultMs: number, atLeast: number, atMost: number): z.ZodDefault<z.ZodInt> {
  return z.int().min(atLeast).max(atMost).default(defaultMs)
}

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

const claimName = z.string().min(1).max(128)

const issuer = z.strictObject({
  issuer: z.string().min(1).max(1024).describe('The `iss` claim of its tokens, letter by letter.'),
  jwks: text('a file path or an https URL', isKeySource)
    .exactOptional()
    .describe(
      'Where its public keys are: the path of a JWK set, or an https URL (plain http on loopback, refused by --strict). Required unless dev is true.',
    ),
  tenantClaim: z
    .string()
    .min(1)
    .max(128)
    .exactOptional()
    .describe(
      'Claim that names the tenant of a caller. Without it every caller belongs to the tenant `default`.',
    ),
  claims: z
    .strictObject({
      clientId: claimName.exactOptional().describe('Default `client_id`.'),
      jti: claimName.exactOptional().describe('Default `jti`.'),
      sid: claimName.exactOptional().describe('Default `sid`, else `grant_id`.'),
    })
    .exactOptional()
    .describe('Names under which the issuer has claims, such as `{ jti: uti, clientId: azp }` for Entra.'),
  exception: z
    .strictObject({
      until: word('a day such as `2027-01-31`', /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$/).describe(
        'Last day of the exception, UTC. From then on its tokens are judged as those of every other issuer.',
      ),
      without: z
        .array(z.enum(['nbf', 'jti']))
        .max(2)
        .default([])
        .describe('Claims that its tokens lack. Without `jti` the whole token is what cannot be used again.'),
      maxTokenLifeS: z
        .int()
        .min(1)
        .max(5_400)
        .exactOptional()
        .describe('Longest accepted life of its tokens in seconds. Default: `identity.maxTokenLifeS`.'),
      audiences: z
        .array(z.string().min(1).max(512))
        .max(8)
        .default([])
        .describe(
          'Values of `aud` that are taken for this gate beside its own URLs, for issuers without resource indicators (RFC 8707). Such a token opens every endpoint.',
        ),
    })
    .exactOptional()
    .describe(
      'What this issuer cannot do, let pass until a day: Entra has no `jti`, Okta and Keycloak no `nbf`, and tokens of an hour are common.',
    ),
  dev: z
    .boolean()
    .default(false)
    .describe('The issuer of `callgate token mint`, with its keys in <state>/keys. Refused by --strict.'),
})

const grant = word('a grant without `*`', /^[\x21\x23-\x29\x2b-\x5b\x5d-\x7e]{1,256}$/)

const certificate = z.strictObject({
  uri: text('a URI such as `spiffe://acme.example/agent/billing`, without `*`', isNameUri)
    .exactOptional()
    .describe('URI of the subject alternative name, letter by letter. One of uri, dns and subject.'),
  dns: word('a host name in lower case, without `*`', /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/)
    .exactOptional()
    .describe('DNS name of the subject alternative name.'),
  subject: z
    .string()
    .min(1)
    .max(1024)
    .exactOptional()
    .describe('Whole distinguished name in the order of the certificate, such as `O=Acme, CN=billing`.'),
  actor: z.string().min(1).max(256).exactOptional().describe('Id of the actor. Default: what was matched.'),
  tenant: z.string().min(1).max(128).default('default').describe('Tenant of the actor.'),
  grants: z.array(grant).max(256).default([]).describe('Grants, as the scope of a token would name them.'),
})

const identity = z.strictObject({
  issuers: z.array(issuer).min(1).max(64).describe('Issuers whose tokens are accepted.'),
  algorithms: z
    .array(z.enum(algorithms))
    .min(1)
    .default(['ES256', 'EdDSA', 'Ed25519', 'PS256', 'RS256'])
    .describe('Signature algorithms that are accepted.'),
  maxTokenLifeS: z
    .int()
    .min(1)
    .max(600)
    .default(600)
    .describe(
      'Longest accepted life of a token (exp - iat) in seconds; it cannot be raised. Source: playbook Play 2.',
    ),
  clockSkewS: z
    .int()
    .min(0)
    .max(60)
    .default(30)
    .describe('Seconds by which the clocks of issuer and gate may differ.'),
  replay: z
    .enum(['proof', 'once', 'session'])
    .default('proof')
    .describe(
      'What keeps a stolen token from use. `proof`: only tokens bound to a key that each request proves, by DPoP (RFC 9449) or by the client certificate (RFC 8705). `once`: a bearer token opens one call. `session`: it serves the one session that its claims name until it expires, also for a thief of that token. Bound tokens are proven whatever stands here.',
    ),
  dpopNonce: z
    .boolean()
    .default(false)
    .describe(
      'Whether DPoP proofs must carry a nonce of the gate, so that none can be made in advance (RFC 9449 section 9). Costs a host one more round trip every five minutes.',
    ),
  purposes: z
    .array(word('a word in lower case', /^[a-z][a-z0-9_-]{0,63}$/))
    .max(256)
    .default([])
    .describe(
      'Purposes that `authorization_details` of a token may name (RFC 9396); rules read the one of a call as `ctx.purpose`. A token for another purpose is refused.',
    ),
  clients: z
    .record(
      z.string().min(1).max(256),
      z.strictObject({ grants: z.array(grant).max(256).describe('Grants that its tokens may hold.') }),
    )
    .default({})
    .describe(
      'What clients are registered for, by `client_id`: a token that holds more is refused. A client that is not listed may hold what its issuer gives it.',
    ),
  certificates: z
    .array(certificate)
    .max(1_000)
    .default([])
    .describe(
      'Who client certificates are that come without a token. Needs `listener.tls.clientCa`; the first entry that names one counts.',
    ),
  missesPerPeer: z
    .strictObject({
      perSecond: z
        .int()
        .min(1)
        .max(10_000)
        .default(50)
        .describe('Tokens per second and peer in the long run.'),
      burst: z.int().min(1).max(100_000).default(100).describe('Tokens of one peer at once.'),
    })
    .prefault({})
    .describe('How many tokens not seen before one peer may have checked: each costs a signature check.'),
  actors: z
    .record(
      z.string().min(1).max(256),
      z.strictObject({ type: z.enum(['agent', 'human', 'service']).describe('What the actor is.') }),
    )
    .default({})
    .describe('Known actors by id. An actor that is not listed counts as an agent.'),
})

const tool = z.strictObject({
  class: z
    .enum(['read', 'write', 'destructive', 'egress', 'memory', 'poll'])
    .default('write')
    .describe(
      "What the tool does, in the operator's judgement; the annotations of a server are not believed.",
    ),
  labels: z
    .array(word('a word of at most 32 letters, digits, `_` and `-` in lower case', /^[a-z][a-z0-9_-]{0,31}$/))
    .max(16)
    .default([])
    .describe(
      'Words that policy rules can read as `tool.labels`. A token that names `datatypes` is for tools with no other labels.',
    ),
  scopes: z
    .array(grant)
    .max(16)
    .default([])
    .describe('Grants that a token must hold, all of them, to call the tool.'),
})

const secret = text(
  'a secret by reference such as `file:token` or `vault:https://...`; see docs/secrets.md',
  (value) => !('problem' in parseReference(value, { strict: false })),
)

const tokenRequest = {
  issuer: text('an https URL, exactly the issuer identifier', isServerUrl)
    .exactOptional()
    .describe('Whose metadata names the token endpoint (RFC 8414). Either issuer or tokenUrl.'),
  tokenUrl: text('an https URL; plain http on loopback only', isServerUrl)
    .exactOptional()
    .describe('The token endpoint itself. Either issuer or tokenUrl.'),
  clientId: z.string().min(1).max(512).describe('Client id of the gate at the issuer.'),
  auth: z
    .discriminatedUnion('method', [
      z.strictObject({
        method: z
          .enum(['client_secret_basic', 'client_secret_post'])
          .describe('Client secret (RFC 6749 s2.3).'),
        secret: secret.describe('Client secret, by reference.'),
      }),
      z.strictObject({
        method: z.literal('private_key_jwt').describe('Signed assertion (RFC 7523 s2.2).'),
        key: secret.describe('Private key, PEM or JWK, by reference.'),
        alg: z
          .enum(['ES256', 'ES384', 'PS256', 'RS256', 'EdDSA', 'Ed25519'])
          .describe('Algorithm that the key signs with.'),
        kid: z
          .string()
          .min(1)
          .max(256)
          .exactOptional()
          .describe('Name of the key in the header. Default none.'),
      }),
    ])
    .describe('How the gate proves itself to the token endpoint.'),
  scope: z
    .string()
    .min(1)
    .max(4096)
    .exactOptional()
    .describe('What is asked for, separated by spaces; a token with more is refused.'),
  resource: z
    .url()
    .max(4096)
    .exactOptional()
    .describe('URI of the server for which the token shall be (RFC 8707).'),
  audience: z
    .string()
    .min(1)
    .max(512)
    .exactOptional()
    .describe('Its name, for issuers that know it by name.'),
  network: z
    .array(ownCidr)
    .max(16)
    .exactOptional()
    .describe('Private ranges that the issuer may live in; loopback too must be named.'),
}

const credentials = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('bearer').describe('`Authorization: Bearer` with a secret.'),
    secret: secret.describe('The secret, by reference.'),
  }),
  z.strictObject({
    type: z.literal('header').describe('A secret in a header of its own.'),
    name: text('the name of a header that means nothing else', isCredentialHeader).describe(
      'Name of the header, such as `X-Api-Key`.',
    ),
    secret: secret.describe('The secret, by reference.'),
  }),
  z.strictObject({
    type: z.literal('client_credentials').describe('A token for the gate itself (RFC 6749 s4.4).'),
    ...tokenRequest,
  }),
  z.strictObject({
    type: z
      .literal('token_exchange')
      .describe('A token for each caller, against an assertion that the gate signs (RFC 8693).'),
    ...tokenRequest,
    actorToken: z
      .boolean()
      .default(false)
      .describe('Whether the actor is asserted apart, for issuers that do not read `act`.'),
  }),
])

const clientTls = z.strictObject({
  ca: path.exactOptional().describe('Authorities of its certificate, PEM. Default: those that Node brings.'),
  cert: path
    .exactOptional()
    .describe("The gate's own certificate with the intermediate ones behind it, PEM. With key."),
  key: path.exactOptional().describe('Private key to cert, PEM.'),
})

const serverEntry = z.strictObject({
  command: z
    .array(z.string().max(32_768))
    .min(1)
    .max(256)
    .refine((argv) => argv[0] !== '', 'a list that begins with a program')
    .exactOptional()
    .describe(
      'Program and arguments of a server that speaks stdio; no shell reads them. `{state}` stands for the state folder. Either command or url.',
    ),
  env: z
    .record(word('a name of letters, digits and `_`', /^[A-Za-z_][A-Za-z0-9_]*$/), z.string().max(32_768))
    .exactOptional()
    .describe(
      'Environment of the program beside a few harmless variables; nothing else is inherited. `{state}` in a value stands for the state folder. Only with command.',
    ),
  cwd: path
    .exactOptional()
    .describe('Folder in which the program runs. Default: the folder of this file. Only with command.'),
  shared: z
    .boolean()
    .exactOptional()
    .describe('One process for all sessions instead of one for each. Default false. Only with command.'),
  url: text('an https URL without user, password and fragment; plain http on loopback only', isServerUrl)
    .exactOptional()
    .describe(
      'Endpoint of a server that speaks Streamable HTTP; plain http on loopback only. Either command or url.',
    ),
  network: z
    .array(ownCidr)
    .max(16)
    .exactOptional()
    .describe(
      'Private ranges that this server may live in; loopback too must be named. Metadata addresses are never reached. Only with url.',
    ),
  tls: clientTls
    .exactOptional()
    .describe(
      'What the gate shows to this server and trusts of it; its files are read again when they change. Only with an https url.',
    ),
  credentials: credentials
    .exactOptional()
    .describe(
      'What the gate shows of itself to this server, never the token of the caller; see docs/upstream-credentials.md. Only with url.',
    ),
  era: z
    .enum(['auto', 'legacy', 'modern'])
    .default('auto')
    .describe(
      'Protocol era of the server: legacy has initialize, modern has metadata in each request; auto finds out.',
    ),
  roots: z
    .array(path)
    .max(64)
    .default([])
    .describe('Folders that the server is told as its roots. Roots of hosts are never passed on.'),
  clientCapabilities: z
    .array(
      z.enum([
        'elicitation.form',
        'elicitation.url',
        'sampling',
        'sampling.tools',
        'sampling.context',
        'tasks',
      ]),
    )
    .max(6)
    .default([])
    .describe(
      'What this server may ask of a host that declares it, in the middle of a call; with `tasks` it may also answer a call by a task that the host polls. Default: nothing. Roots are the ones below `roots`, never those of the host.',
    ),
  assertCaller: z
    .boolean()
    .default(false)
    .describe(
      'Whether each call of a tool carries a signed assertion of its caller in `_meta`, so that the tool can check who owns what the call is about; see docs/upstream-credentials.md.',
    ),
  approve: z
    .enum(['manual', 'first-use'])
    .default('manual')
    .describe(
      'Who approves tools seen for the first time: a person, or nobody (first-use, refused by --strict).',
    ),
  timeoutMs: duration(60_000, 100, 3_600_000).describe('Milliseconds until a call without an answer ends.'),
  listTimeoutMs: duration(5_000, 100, 60_000).describe(
    'Milliseconds that a list of tools waits for this server; it then says that the server is unavailable, and the gate goes on trying.',
  ),
  tools: z
    .record(word('a tool name, or a glob with `*` and `?`', /^[A-Za-z0-9_./*?-]{1,128}$/), tool)
    .default({})
    .describe(
      'Class and labels of tools, by name or glob; an exact name wins over a glob, an earlier glob over a later one.',
    ),
})

/** Tells stdio and HTTP servers apart: exactly one of `command` and `url`, and only the keys that go with it. */
const server = serverEntry
  .superRefine((entry, context) => {
    if ((entry.command === undefined) === (entry.url === undefined)) {
      context.addIssue({ code: 'custom', message: 'needs exactly one of `command` and `url`', params: WHOLE })
    }
    const foreign =
      entry.command === undefined
        ? (['env', 'cwd', 'shared'] as const)
        : (['network', 'tls', 'credentials'] as const)
    for (const key of foreign) {
      if (entry[key] === undefined) continue
      const message =
        entry.command === undefined
          ? 'goes with `command`, not with `url`'
          : 'goes with `url`, not with `command`'
      context.addIssue({ code: 'custom', path: [key], message, params: WHOLE })
    }
  })
  .transform(({ command, env, cwd, shared, url, network, tls: transport, credentials: own, ...common }) => {
    if (command !== undefined) {
      return {
        transport: 'stdio' as const,
        command,
        env: env ?? {},
        cwd: cwd ?? '.',
        shared: shared ?? false,
        ...common,
      }
    }
    return {
      transport: 'http' as const,
      url: url ?? '',
      network: network ?? [],
      ...(transport === undefined ? {} : { tls: transport }),
      ...(own === undefined ? {} : { credentials: own }),
      ...common,
    }
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
  policy: z
    .strictObject({
      files: z
        .array(path)
        .min(1)
        .max(256)
        .describe('Files with policy rules, in order. There is no policy by default.'),
    })
    .describe('What is allowed. Everything else is denied.'),
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
    })
    .prefault({})
    .describe('How the log of record is signed.'),
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
