import { z } from 'zod'
import { grant, isKeySource, isNameUri, text, word } from './forms.ts'

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

/** `identity` of callgate.yaml. */
export const identity = z.strictObject({
  issuers: z
    .array(issuer)
    .max(64)
    .describe('Issuers whose tokens are accepted. At least one, unless `enrolment` is true.'),
  enrolment: z
    .boolean()
    .default(false)
    .describe(
      'Whether keys can be enrolled: `callgate enrol` makes one-time codes, `callgate connect URL --code CODE` redeems one at `POST /enrol`, and the key then signs its own short tokens for exactly the actor, subject, tenant and scope that it was enrolled for.',
    ),
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
  messageSignatures: z
    .enum(['off', 'required'])
    .default('off')
    .describe(
      'Whether each request must be signed by the key of its token (RFC 9421), so that a proxy on the way can change nothing of it; tokens that name the client certificate of the connection are exempt. A signature that is there must hold either way.',
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
