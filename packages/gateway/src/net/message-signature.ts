import { type KeyObject, hash, randomBytes, sign, verify } from 'node:crypto'

/** Longest life of a signed message, in seconds. */
export const MAX_SIGNED_S = 60

/** Label and tag of our signatures (RFC 9421 section 2.3): a message carries one, and no other. */
const LABEL = 'callgate'
/** Longest Signature-Input and Signature that are looked at, in characters. */
const MAX_CHARS = 2_048
const MIN_NONCE_CHARS = 22

/** Headers that say what a request means, beside all that begin with `mcp-`. */
const STEERING: ReadonlySet<string> = new Set([
  'authorization',
  'dpop',
  'accept',
  'content-type',
  'content-encoding',
  'content-digest',
  'last-event-id',
])

/** An HTTP request as both sides see it. */
export interface SignableMessage {
  readonly method: string
  /** Public URL of the endpoint, without query. */
  readonly targetUri: string
  /** Names and values in turn, as they came or will be sent. */
  readonly headers: readonly string[]
  /** Undefined: it has none. */
  readonly body: Uint8Array | undefined
}

/** A signature that was read and not yet verified. Times in seconds since the epoch. */
export interface MessageSignature {
  readonly created: number
  readonly expires: number
  readonly nonce: string
  readonly keyId: string
  readonly algorithm: string
  /** What was signed (RFC 9421 section 2.5). */
  readonly base: string
  readonly signature: Buffer
}

/** A signed message that is not as it must be: the text says what, and holds nothing of the message. */
export class SignatureFault extends Error {
  override readonly name = 'SignatureFault'
}

interface Algorithm {
  readonly curve: string
  readonly digest: string | null
}

/** Names of the registry of RFC 9421 section 6.2, for the keys that DPoP is used with. */
const ALGORITHMS: Readonly<Record<string, Algorithm>> = {
  'ecdsa-p256-sha256': { curve: 'prime256v1', digest: 'sha256' },
  'ecdsa-p384-sha384': { curve: 'secp384r1', digest: 'sha384' },
  ed25519: { curve: 'ed25519', digest: null },
}

/** The header that asks for a signature (RFC 9421 section 5.1); what a request lacks is not covered. */
export const ACCEPT_SIGNATURE = `${LABEL}=("@method" "@target-uri" "authorization" "dpop" "accept" "content-type" "content-digest");created;expires;nonce;alg;keyid;tag="${LABEL}"`

/**
 * Headers to send beside those of a message, so that no byte of it that means something can be changed on the way.
 * @param keyId thumbprint of the public half (RFC 7638)
 * @param nowS seconds since the epoch
 * @param nonce is used once; default 144 bits of chance
 * @throws TypeError for a key of another kind
 */
export function signMessage(
  message: SignableMessage,
  key: KeyObject,
  keyId: string,
  nowS: number,
  nonce = randomBytes(18).toString('base64url'),
): readonly string[] {
  const [alg] = Object.entries(ALGORITHMS).find(([, { curve }]) => curve === curveOf(key)) ?? []
  if (alg === undefined) throw new TypeError('messages are signed by P-256, P-384 and Ed25519 keys')
  const digest = message.body === undefined ? [] : ['content-digest', digestOf(message.body)]
  const whole = { ...message, headers: [...message.headers, ...digest] }
  const components = coverable(whole)
  const created = Math.floor(nowS)
  const params =
    `(${[...components.keys()].map((name) => `"${name}"`).join(' ')})` +
    `;created=${created};expires=${created + MAX_SIGNED_S};nonce="${nonce}"` +
    `;alg="${alg}";keyid="${keyId}";tag="${LABEL}"`
  const bytes = sign(ALGORITHMS[alg]?.digest ?? null, Buffer.from(baseOf(components, params)), {
    key,
    dsaEncoding: 'ieee-p1363',
  })
  return [
    ...digest,
    'signature-input',
    `${LABEL}=${params}`,
    'signature',
    `${LABEL}=:${bytes.toString('base64')}:`,
  ]
}

/**
 * Reads the signature of a message: everything that means something must be covered, and the body be what its digest says.
 * @returns undefined when the message carries none
 * @throws SignatureFault
 */
export function readSignature(message: SignableMessage): MessageSignature | undefined {
  const input = single(message.headers, 'signature-input')
  const signed = single(message.headers, 'signature')
  if (input === undefined && signed === undefined) return undefined
  if (input === undefined || signed === undefined)
    throw new SignatureFault('Signature and Signature-Input belong together')
  if (input.length > MAX_CHARS || signed.length > MAX_CHARS)
    throw new SignatureFault(`a signature header is longer than ${MAX_CHARS} characters`)
  const [, list = '', tail = ''] =
    INPUT.exec(input) ?? fail('Signature-Input is not one signature `callgate`')
  const [, encoded = ''] = SIGNATURE.exec(signed) ?? fail('Signature is not one signature `callgate`')
  const params = paramsOf(tail)
  const components = coverable(message)
  const named = list.split(' ').map((name) => name.slice(1, -1))
  if (new Set(named).size !== named.length) throw new SignatureFault('a component is covered twice')
  for (const name of named)
    if (!components.has(name)) throw new SignatureFault(`covers \`${name}\`, which is not there`)
  for (const name of components.keys())
    if (!named.includes(name)) throw new SignatureFault(`does not cover \`${name}\``)
  const digest = single(message.headers, 'content-digest')
  if (message.body === undefined ? digest !== undefined : digest !== digestOf(message.body))
    throw new SignatureFault('Content-Digest is not that of the body')
  const ordered = new Map(named.map((name) => [name, components.get(name) ?? '']))
  return { ...params, base: baseOf(ordered, `(${list})${tail}`), signature: Buffer.from(encoded, 'base64') }
}

/** Whether a signature was made by the holder of a key. */
export function isSignedBy({ algorithm, base, signature }: MessageSignature, key: KeyObject): boolean {
  const known = Object.hasOwn(ALGORITHMS, algorithm) ? ALGORITHMS[algorithm] : undefined
  if (known === undefined || curveOf(key) !== known.curve) return false
  return verify(known.digest, Buffer.from(base), { key, dsaEncoding: 'ieee-p1363' }, signature)
}

// Strict, so that what is parsed is letter by letter what its parser would write again (RFC 8941 section 4.1).
const INPUT =
  /^callgate=\(("[@a-z0-9-]{1,64}"(?: "[@a-z0-9-]{1,64}"){0,63})\)((?:;[a-z]{1,16}=(?:\d{1,15}|"[\x21\x23-\x5b\x5d-\x7e]{1,256}")){1,8})$/
const SIGNATURE = /^callgate=:([A-Za-z0-9+/]{4,1024}={0,2}):$/

function paramsOf(tail: string): Omit<MessageSignature, 'base' | 'signature'> {
  const params = new Map<string, string>()
  for (const [, name = '', value = ''] of tail.matchAll(/;([a-z]+)=("[^"]*"|\d+)/g)) {
    if (params.has(name)) throw new SignatureFault(`parameter \`${name}\` stands twice`)
    params.set(name, value)
  }
  const text = (name: string): string => {
    const value = params.get(name)
    if (value === undefined || !value.startsWith('"'))
      throw new SignatureFault(`parameter \`${name}\` is missing`)
    params.delete(name)
    return value.slice(1, -1)
  }
  const number = (name: string): number => {
    const value = params.get(name)
    if (value === undefined || value.startsWith('"'))
      throw new SignatureFault(`parameter \`${name}\` is missing`)
    params.delete(name)
    return Number(value)
  }
  const read = {
    created: number('created'),
    expires: number('expires'),
    nonce: text('nonce'),
    algorithm: text('alg'),
    keyId: text('keyid'),
  }
  if (text('tag') !== LABEL) throw new SignatureFault('parameter `tag` is not `callgate`')
  if (params.size > 0) throw new SignatureFault('a parameter is not known')
  if (read.nonce.length < MIN_NONCE_CHARS || !/^[A-Za-z0-9_-]+$/.test(read.nonce))
    throw new SignatureFault('parameter `nonce` is shorter than 128 bits of base64url')
  if (!(read.expires > read.created) || read.expires - read.created > MAX_SIGNED_S)
    throw new SignatureFault(`it lives longer than ${MAX_SIGNED_S} s, or ends before it begins`)
  return read
}

/** What of a message must be covered, by component, with its values. */
function coverable({ method, targetUri, headers, body }: SignableMessage): Map<string, string> {
  const components = new Map([
    ['@method', method],
    ['@target-uri', targetUri],
  ])
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]?.toLowerCase() ?? ''
    if (!STEERING.has(name) && !name.startsWith('mcp-')) continue
    // Of two headers of one name readers take one each.
    if (components.has(name)) throw new SignatureFault(`header \`${name}\` stands twice`)
    components.set(name, (headers[i + 1] ?? '').trim())
  }
  if (body !== undefined && !components.has('content-digest'))
    throw new SignatureFault('the body has no Content-Digest')
  return components
}

function baseOf(components: ReadonlyMap<string, string>, params: string): string {
  const lines = [...components].map(([name, value]) => `"${name}": ${value}`)
  return [...lines, `"@signature-params": ${params}`].join('\n')
}

/** Content-Digest (RFC 9530). */
function digestOf(body: Uint8Array): string {
  return `sha-256=:${hash('sha256', body, 'base64')}:`
}

function single(headers: readonly string[], name: string): string | undefined {
  const found: string[] = []
  for (let i = 0; i < headers.length; i += 2)
    if (headers[i]?.toLowerCase() === name) found.push((headers[i + 1] ?? '').trim())
  if (found.length > 1) throw new SignatureFault(`header \`${name}\` stands twice`)
  return found[0]
}

function curveOf(key: KeyObject): string {
  return key.asymmetricKeyDetails?.namedCurve ?? key.asymmetricKeyType ?? ''
}

function fail(what: string): never {
  throw new SignatureFault(what)
}
