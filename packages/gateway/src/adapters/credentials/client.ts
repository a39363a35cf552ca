import { createPrivateKey, type KeyObject } from 'node:crypto'
import { NotObtained } from './fault.ts'
import { revealSecret } from './fixed.ts'
import { labelOf, isTokenKey } from '../../ports/secret-reference.ts'
import { canSign, compact, signJwt, unsignedJwt } from './jwt.ts'
import type { ClientAuthentication, PublicClient, ReadSecret, SignInToken } from './options.ts'

/**
 * Adds what proves the gate to a token endpoint, to the form or to the headers (RFC 6749 section 2.3.1, RFC 7523 section 2.2).
 * @param fresh as ReadSecret
 * @throws NotObtained
 */
export async function authenticate(
  server: string,
  { clientId, auth }: { readonly clientId: string; readonly auth: ClientAuthentication | PublicClient },
  audience: string,
  { readSecret, signInToken }: { readonly readSecret: ReadSecret; readonly signInToken: SignInToken },
  fresh: boolean,
  form: URLSearchParams,
): Promise<Readonly<Record<string, string>>> {
  if (auth.method === 'private_key_jwt') {
    form.set('client_id', clientId)
    form.set('client_assertion_type', 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer')
    const claims = { iss: clientId, sub: clientId, aud: audience }
    form.set(
      'client_assertion',
      isTokenKey(auth.key)
        ? await signedInToken(server, auth, claims, signInToken)
        : signedHere(server, auth, claims, await revealSecret(server, auth.key, readSecret, fresh)),
    )
    return {}
  }
  if (auth.method === 'none') {
    form.set('client_id', clientId)
    return {}
  }
  const secret = await revealSecret(server, auth.secret, readSecret, fresh)
  return showSecret(auth.method, clientId, secret, form)
}

/**
 * Adds a client's secret to the form or to the headers of a question to a token endpoint (RFC 6749 section 2.3.1).
 * @returns headers to send beside
 */
export function showSecret(
  method: 'client_secret_basic' | 'client_secret_post',
  clientId: string,
  secret: string,
  form: URLSearchParams,
): Readonly<Record<string, string>> {
  if (method === 'client_secret_basic') {
    const pair = `${formEncoded(clientId)}:${formEncoded(secret)}`
    return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` }
  }
  form.set('client_id', clientId)
  form.set('client_secret', secret)
  return {}
}

type KeyAuthentication = Extract<ClientAuthentication, { method: 'private_key_jwt' }>

function signedHere(
  server: string,
  { key: reference, alg, kid }: KeyAuthentication,
  claims: Readonly<Record<string, unknown>>,
  secret: string,
): string {
  const key = privateKeyOf(server, reference, secret)
  const signer = { key, alg, kid }
  if (canSign(signer)) return signJwt(signer, 'JWT', claims)
  const kind = key.asymmetricKeyDetails?.namedCurve ?? key.asymmetricKeyType ?? key.type
  throw new NotObtained(
    'everyone',
    `key \`${labelOf(reference)}\` of server \`${server}\` is \`${kind}\`, which cannot sign \`${alg}\``,
  )
}

async function signedInToken(
  server: string,
  { key, alg, kid }: KeyAuthentication,
  claims: Readonly<Record<string, unknown>>,
  signInToken: SignInToken,
): Promise<string> {
  const unsigned = unsignedJwt({ alg, kid }, 'JWT', claims)
  try {
    return compact(unsigned, await signInToken(key, alg, Buffer.from(unsigned)))
  } catch (cause) {
    throw new NotObtained('everyone', `key \`${labelOf(key)}\` of server \`${server}\` does not sign`, {
      cause,
    })
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
      `key \`${labelOf(reference)}\` of server \`${server}\` is no private key in PEM or JWK form`,
    )
  }
}

/** One value in application/x-www-form-urlencoded. */
function formEncoded(value: string): string {
  return new URLSearchParams({ '': value }).toString().slice(1)
}
