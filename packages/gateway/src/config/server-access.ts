import { z } from 'zod'
import { isCredentialHeader } from '../ports/credentials.ts'
import { isTokenKey, parseReference } from '../ports/secret-reference.ts'
import { isServerUrl, ownCidr, path, text } from './forms.ts'

/** A secret that is shown to somebody. */
export const secret = text(
  'a secret by reference such as `file:token` or `vault:https://...`; see docs/secrets.md',
  (value) => !('problem' in parseReference(value, { strict: false })) && !isTokenKey(value),
)

/** A private key: read as a secret, or left where it is and asked to sign. */
const signingKey = text(
  'a private key by reference such as `file:key.pem` or `pkcs11:token=T;id=%01;type=private?...`; see docs/secrets.md',
  (value) => !('problem' in parseReference(value, { strict: false })),
)

const clientAuthentication = [
  z.strictObject({
    method: z.enum(['client_secret_basic', 'client_secret_post']).describe('Client secret (RFC 6749 s2.3).'),
    secret: secret.describe('Client secret, by reference.'),
  }),
  z.strictObject({
    method: z.literal('private_key_jwt').describe('Signed assertion (RFC 7523 s2.2).'),
    key: signingKey.describe(
      'Private key, PEM or JWK, by reference; one in a PKCS #11 token (`type=private`) signs there and is never read.',
    ),
    alg: z
      .enum(['ES256', 'ES384', 'PS256', 'RS256', 'EdDSA', 'Ed25519'])
      .describe('Algorithm that the key signs with.'),
    kid: z.string().min(1).max(256).exactOptional().describe('Name of the key in the header. Default none.'),
  }),
] as const

const tokenRequest = {
  issuer: text('an https URL, exactly the issuer identifier', isServerUrl)
    .exactOptional()
    .describe('Whose metadata names the token endpoint (RFC 8414). Either issuer or tokenUrl.'),
  tokenUrl: text('an https URL; plain http on loopback only', isServerUrl)
    .exactOptional()
    .describe('The token endpoint itself. Either issuer or tokenUrl.'),
  clientId: z.string().min(1).max(512).describe('Client id of the gate at the issuer.'),
  auth: z
    .discriminatedUnion('method', clientAuthentication)
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

/** `servers.X.credentials`: what the gate shows of itself. */
export const credentials = z.discriminatedUnion('type', [
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
  z.strictObject({
    type: z
      .literal('authorization_code')
      .describe(
        'A token that each caller consents to in a browser, by `callgate consent` (RFC 6749 s4.1, RFC 8252).',
      ),
    ...tokenRequest,
    authorizeUrl: text('an https URL; plain http on loopback only', isServerUrl)
      .exactOptional()
      .describe('Where the browser goes, for issuers without metadata. With tokenUrl, and only then.'),
    auth: z
      .discriminatedUnion('method', [
        ...clientAuthentication,
        z.strictObject({
          method: z
            .literal('none')
            .describe('No secret: a public client, as issuers have for applications on people’s machines.'),
        }),
      ])
      .describe('How the gate proves itself to the token endpoint.'),
  }),
])

/** `servers.X.tls`: what it shows and trusts in TLS. */
export const clientTls = z.strictObject({
  ca: path.exactOptional().describe('Authorities of its certificate, PEM. Default: those that Node brings.'),
  cert: path
    .exactOptional()
    .describe("The gate's own certificate with the intermediate ones behind it, PEM. With key."),
  key: path.exactOptional().describe('Private key to cert, PEM.'),
})
