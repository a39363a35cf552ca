import { createPrivateKey, type KeyObject } from 'node:crypto'
import { NotObtained } from './fault.ts'
import { revealSecret } from './fixed.ts'
import { canSign, signJwt } from './jwt.ts'
import type { ReadSecret, TokenRequest } from './options.ts'

/**
 * Adds what proves the gate to a token endpoint, to the form or to the headers (RFC 6749 section 2.3.1, RFC 7523 section 2.2).
 * @param fresh as ReadSecret
 * @throws NotObtained
 */
export async function authenticate(
  server: string,
  { clientId, auth }: Pick<TokenRequest, 'clientId' | 'auth'>,
  audience: string,
  readSecret: ReadSecret,
  fresh: boolean,
  form: URLSearchParams,
): Promise<Readonly<Record<string, string>>> {
  const secret = await revealSecret(
    server,
    auth.method === 'private_key_jwt' ? auth.key : auth.secret,
    readSecret,
    fresh,
  )
  switch (auth.method) {
    case 'client_secret_basic': {
      const pair = `${formEncoded(clientId)}:${formEncoded(secret)}`
      return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` }
    }
    case 'client_secret_post':
      form.set('client_id', clientId)
      form.set('client_secret', secret)
      return {}
    case 'private_key_jwt': {
      const key = privateKeyOf(server, auth.key, secret)
      const signer = { key, alg: auth.alg, kid: auth.kid }
      if (!canSign(signer)) {
        const kind = key.asymmetricKeyDetails?.namedCurve ?? key.asymmetricKeyType ?? key.type
        throw new NotObtained(
          'everyone',
          `key \`${auth.key}\` of server \`${server}\` is \`${kind}\`, which cannot sign \`${auth.alg}\``,
        )
      }
      const claims = { iss: clientId, sub: clientId, aud: audience }
      form.set('client_id', clientId)
      form.set('client_assertion_type', 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer')
      form.set('client_assertion', signJwt(signer, 'JWT', claims))
      return {}
    }
  }
}

/** A private key in PEM, or as JWK. What OpenSSL says of a bad one stays in the cause. */
function privateKeyOf(server: string, reference: string, text: string): KeyObject {
  try {
    if (!text.trimStart().startsWith('{')) return createPrivateKey(text)
    return createPrivateKey({ key: JSON.parse(text), format: 'jwk' })
  } catch {
    // No cause: JSON.parse quotes what it could not read, and that is the key.
    throw new NotObtained(
      'everyone',
      `key \`${reference}\` of server \`${server}\` is no private key in PEM or JWK form`,
    )
  }
}

/** One value in application/x-www-form-urlencoded. */
function formEncoded(value: string): string {
  return new URLSearchParams({ '': value }).toString().slice(1)
}
