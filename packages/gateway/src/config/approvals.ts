import { z } from 'zod'
import { APPROVER_ROLE } from '../ports/call-approvals.ts'
import { isListenHost, isPublicUrl, isServerUrl, path, text, word } from './forms.ts'
import { secret } from './server-access.ts'

const page = z.strictObject({
  listen: z
    .strictObject({
      host: text('an IP address or a host name', isListenHost)
        .default('127.0.0.1')
        .describe('Address to listen on. Without `tls` it stays on loopback; a proxy may bring TLS.'),
      port: z.int().min(1).max(65_535).default(8421).describe('TCP port of its own.'),
      tls: z
        .strictObject({
          key: path.describe('Private key, PEM, readable by the gate alone.'),
          cert: path.describe('Certificate with the intermediate ones behind it, PEM.'),
        })
        .exactOptional()
        .describe('TLS 1.2 and 1.3; its files are read again when they change.'),
    })
    .prefault({})
    .describe('Where browsers reach the page: never the listener of hosts.'),
  publicUrl: text('an https origin without path such as `https://approve.example`', isPublicUrl).describe(
    'Origin of the links that callers are told. The provider leads back to `<publicUrl>/callback`. Plain http on loopback only.',
  ),
  oidc: z
    .strictObject({
      issuer: text('an https URL, exactly the issuer identifier', isServerUrl).describe(
        'OpenID provider at which approvers sign in; its metadata tell the rest. Plain http on loopback only.',
      ),
      clientId: z.string().min(1).max(512).describe('Client id of the gate there.'),
      clientSecret: secret
        .exactOptional()
        .describe('Its secret, by reference. Without it the gate is a public client (PKCE alone).'),
      scope: word(
        'scopes separated by single spaces, `openid` among them',
        /^(?=.{1,1024}$)(?:[\x21\x23-\x5b\x5d-\x7e]+ )*openid(?: [\x21\x23-\x5b\x5d-\x7e]+)*$/,
      )
        .default('openid email')
        .describe('What is asked for.'),
      claim: z
        .enum(['email', 'sub', 'preferred_username'])
        .default('email')
        .describe(
          'Claim by which `approvals.roles` names people behind `oidc:`. An address counts only with `email_verified: true`; who may choose his own `preferred_username` chooses his role.',
        ),
      tenantClaim: z
        .string()
        .min(1)
        .max(128)
        .exactOptional()
        .describe(
          'Claim that names the tenant of an approver: he then sees requests of that tenant alone. Default: approvers are there for all tenants.',
        ),
      maxAgeS: z
        .int()
        .min(60)
        .max(900)
        .exactOptional()
        .describe(
          'Seconds after which people must prove anew who they are (`max_age`, `auth_time`). Default: as the provider has it; a session here lasts 15 minutes.',
        ),
    })
    .describe('How approvers sign in: OpenID Connect, authorization code flow with PKCE.'),
})

/** `approvals`: who may approve calls that rules with `require_approval` hold back. */
export const approvals = z.strictObject({
  roles: z
    .record(
      word('the name of a role: at most 32 lower-case letters, digits and `-`', APPROVER_ROLE),
      z
        .array(
          word(
            '`cli:NAME`, the name given to `callgate approvals approve --as`, or `oidc:VALUE`, who signs in at `approvals.page`',
            /^(?:cli:[^\s\p{C}]{1,124}|oidc:[^\s\p{C}]{1,255})$/u,
          ),
        )
        .min(1)
        .max(256),
    )
    .refine((roles) => Object.keys(roles).length <= 64, { error: 'holds more than 64 roles' })
    .describe(
      'Approvers by role, as rules name them in `approvers`. `cli:NAME` decides on the machine of the gate, as the user that the gate runs as; `oidc:VALUE` in a browser, where `page.oidc.claim` of who signed in is exactly VALUE.',
    ),
  expiresS: z
    .int()
    .min(60)
    .max(3_600)
    .default(900)
    .describe('Seconds that a request waits, and that an approval can be used from then on.'),
  page: page
    .exactOptional()
    .describe('The page on which approvers decide in a browser. Default: there is none.'),
})
