import { readFile } from 'node:fs/promises'
import { type RequestOptions, request as requestPlain } from 'node:http'
import { request as requestTls } from 'node:https'
import type { VerificationKey } from '../../ports/key-source.ts'
import { ResolverUnavailable } from '../../ports/resolver.ts'
import { parseReference } from '../../ports/secret-reference.ts'
import type { TokenAlgorithm } from '../../ports/secrets.ts'
import type { OwnKeyPlace } from '../../ports/signer.ts'
import { createDnsResolver } from '../dns/resolver.ts'
import { readSigningKey } from '../file/signing-key.ts'
import { importJwks, MAX_JWKS_BYTES } from '../keys/jwk.ts'
import { createSecrets } from '../secrets/index.ts'
import { openTokenSigner } from '../secrets/token-signer.ts'
import { guardedLookup, mayConnect } from '../upstream/guarded-lookup.ts'
import { judgeHost, stripHost } from '../../net/address.ts'

/** Milliseconds for one look over the network. */
const LOOK_MS = 5_000

interface HttpTarget {
  readonly url: string
  readonly network: readonly string[]
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string }
}

/** Reads a secret and forgets it; a key in a token signs a text of ours. @returns what is wrong, without the secret */
export async function examineSecret(
  { folder }: { readonly folder: string },
  text: string,
  algorithm: string | undefined,
): Promise<string | undefined> {
  const reference = parseReference(text, { strict: false })
  if ('problem' in reference) return reference.problem
  const secrets = createSecrets({ folder, ttlS: 0 })
  try {
    if (reference.kind === 'pkcs11' && reference.type === 'private')
      await secrets.sign(reference, tokenAlgorithm(algorithm), Buffer.from('callgate doctor'))
    else await secrets.read(reference)
    return undefined
  } catch (error) {
    return messageOf(error)
  } finally {
    await secrets.close()
  }
}

/** Has a key of the gate sign, as its start does, and makes none. @returns what is wrong */
export async function examineSigner(
  { folder }: { readonly folder: string },
  { file, token, alg }: OwnKeyPlace,
): Promise<string | undefined> {
  const secrets = createSecrets({ folder, ttlS: 0 })
  try {
    if (token === undefined) {
      await readSigningKey(file)
      return undefined
    }
    const reference = parseReference(token, { strict: false })
    if ('problem' in reference) return reference.problem
    if (reference.kind !== 'pkcs11') return 'is no key in a token'
    await openTokenSigner(secrets, reference, alg)
    return undefined
  } catch (error) {
    return messageOf(error)
  } finally {
    await secrets.close()
  }
}

const TOKEN_ALGORITHMS: readonly TokenAlgorithm[] = ['ES256', 'ES384', 'PS256', 'RS256', 'EdDSA', 'Ed25519']

function tokenAlgorithm(name: string | undefined): TokenAlgorithm {
  const found = TOKEN_ALGORITHMS.find((each) => each === name)
  if (found === undefined) throw new Error('no algorithm is configured that it signs by')
  return found
}

/** The keys of an issuer by the algorithms that each verifies, or why they cannot be had. */
export async function examineKeys(
  jwks: string,
): Promise<{ algorithms: readonly (readonly string[])[]; date: Date | undefined } | string> {
  try {
    const isUrl = /^[a-z][a-z0-9+.-]*:\/\//i.test(jwks)
    const { text, date } = isUrl
      ? await fetched(jwks)
      : { text: await readFile(jwks, 'utf8'), date: undefined }
    return { algorithms: [...importJwks(text).keys.values()].map(algorithmsOf), date }
  } catch (error) {
    return messageOf(error)
  }
}

/** Whether a server answers HTTP at all, to a request that has no effect by its method (RFC 9110 section 9.2.1). */
export async function examineServer(
  id: string,
  { url, network, tls }: HttpTarget,
): Promise<{ date: Date | undefined } | string> {
  try {
    const host = stripHost(new URL(url).hostname)
    if (judgeHost(host).isAddress && !mayConnect(host, network))
      return `\`${host}\` is not in \`servers.${id}.network\``
    const [ca, cert, key] = await Promise.all(
      [tls?.ca, tls?.cert, tls?.key].map((path) => (path === undefined ? undefined : readFile(path))),
    )
    const { date } = await asked(url, 'HEAD', { lookup: guardedLookup(id, network), ca, cert, key })
    return { date }
  } catch (error) {
    return messageOf(error)
  }
}

/** Whether the DNS answers, be it that a name does not exist. */
export async function examineResolver(servers: readonly string[] | undefined): Promise<string | undefined> {
  try {
    await createDnsResolver(servers === undefined ? {} : { servers }).resolve(
      'example.com',
      AbortSignal.timeout(LOOK_MS),
    )
    return undefined
  } catch (error) {
    if (error instanceof ResolverUnavailable && error.cause instanceof Error && 'code' in error.cause)
      return String(error.cause.code)
    return messageOf(error)
  }
}

/** Whether a gate of this machine is healthy; its certificate is for the names that hosts use, not for this look. */
export async function examineHealth(url: string, isTls: boolean): Promise<string | undefined> {
  try {
    const { status } = await asked(`${url}/healthz`, 'GET', isTls ? { rejectUnauthorized: false } : {})
    return status === 200 ? undefined : `answers ${status}`
  } catch (error) {
    // A listener that wants a client certificate is there.
    const text = messageOf(error)
    return isTls && /certificate required|ALERT/i.test(text) ? undefined : `does not answer (${text})`
  }
}

async function fetched(url: string): Promise<{ text: string; date: Date | undefined }> {
  const { status, text, date } = await asked(url, 'GET', {})
  if (status !== 200) throw new Error(`answered ${status} (expected 200)`)
  return { text, date }
}

interface Met {
  readonly status: number
  readonly date: Date | undefined
  readonly text: string
}

function asked(
  url: string,
  method: 'GET' | 'HEAD',
  options: Pick<RequestOptions, 'lookup'> & {
    ca?: Buffer | undefined
    cert?: Buffer | undefined
    key?: Buffer | undefined
    rejectUnauthorized?: boolean
  },
): Promise<Met> {
  const request = url.startsWith('https:') ? requestTls : requestPlain
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(LOOK_MS)
    const sent = request(url, { method, agent: false, signal, ...options }, (answer) => {
      let text = ''
      const done = (): void => {
        const date = new Date(answer.headers.date ?? '')
        resolve({
          status: answer.statusCode ?? 0,
          date: Number.isNaN(date.getTime()) ? undefined : date,
          text,
        })
        sent.destroy()
      }
      answer.setEncoding('utf8')
      answer.on('data', (chunk: string) => {
        text += chunk
        if (text.length > MAX_JWKS_BYTES) done()
      })
      answer.on('end', done)
      answer.on('error', reject)
      // A stream that a server opens has told what was asked: it answers.
      if (answer.headers['content-type']?.startsWith('text/event-stream') === true) done()
    })
    sent.on('error', (error) =>
      reject(signal.aborted ? new Error(`no answer within ${LOOK_MS / 1_000} s`) : error),
    )
    sent.end()
  })
}

/** The algorithms of RFC 7518 and RFC 8037 that a key can verify. */
function algorithmsOf({ alg, key }: VerificationKey): readonly string[] {
  if (alg !== undefined) return [alg]
  const kind = key.asymmetricKeyDetails?.namedCurve ?? key.asymmetricKeyType ?? ''
  return OF_KIND[kind] ?? []
}

const OF_KIND: Readonly<Record<string, readonly string[]>> = {
  prime256v1: ['ES256'],
  secp384r1: ['ES384'],
  secp521r1: ['ES512'],
  ed25519: ['EdDSA', 'Ed25519'],
  rsa: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  // An error about several addresses has no text of its own.
  return error.message === '' && 'code' in error ? String(error.code) : error.message
}
