import { type KeyObject, createPrivateKey, generateKeyPairSync, hash, randomUUID, sign } from 'node:crypto'
import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { type SignableMessage, signMessage } from '../../net/message-signature.ts'
import { realDisk, replaceDurably } from '../file/disk.ts'
import { systemCode } from '../file/evidence-errors.ts'
import { readPrivate } from '../file/private-file.ts'

/** Name of the file with the key, and what the gate enrolled it for. */
const FILE = 'key.json'
const MAX_FILE_BYTES = 32_768

const text = z.string().min(1).max(512)
const part = z.string().regex(/^[A-Za-z0-9_-]{43}$/)

const kept = z.strictObject({
  v: z.literal(1),
  /** Origin of the gate. */
  gate: text,
  /** SHA-256 of the code that was redeemed, so that a host may keep it in its command line. */
  codeHash: z.string().regex(/^[0-9a-f]{64}$/),
  key: z.strictObject({
    kty: z.literal('EC'),
    crv: z.literal('P-256'),
    x: part,
    y: part,
    d: part,
  }),
  issuer: text,
  clientId: text,
  subject: text,
  actor: text,
  tenant: text,
  scope: z.string().max(2_048),
  /** ISO 8601, UTC. */
  expiresAt: text,
})

/** An enrolment as the user's machine keeps it: the private key and what the gate answered, in one file. */
export type KeptEnrolment = Omit<z.infer<typeof kept>, 'v'>

/** A key that signs what it says. */
export interface SigningJwk {
  readonly jwk: KeptEnrolment['key']
  readonly thumbprint: string
  /** A compact JWS, ES256, with a header of its own beside `alg`. */
  readonly jws: (header: Readonly<Record<string, unknown>>, claims: object) => string
  /** A DPoP proof (RFC 9449 section 4.2). @param nowS seconds since the epoch */
  readonly proof: (claims: { htm: string; htu: string; ath?: string; nonce?: string }, nowS: number) => string
  /** Headers of a signature over a request, names and values in turn (RFC 9421). @param nowS seconds since the epoch */
  readonly sign: (message: SignableMessage, nowS: number) => readonly string[]
}

/** A new key. Nothing of it is kept until the gate has taken it. */
export function makeKey(): SigningJwk {
  const { d, x, y } = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' })
  return openKey({ kty: 'EC', crv: 'P-256', x: x ?? '', y: y ?? '', d: d ?? '' })
}

/** @throws Error when it is no key */
export function openKey(jwk: KeptEnrolment['key']): SigningJwk {
  const key: KeyObject = createPrivateKey({ key: { ...jwk }, format: 'jwk' })
  const { crv, kty, x, y } = jwk
  // RFC 7638 section 3.2: these members, in this order.
  const thumbprint = hash('sha256', JSON.stringify({ crv, kty, x, y }), 'base64url')
  const jws: SigningJwk['jws'] = (header, claims) => {
    const signed = `${encode({ ...header, alg: 'ES256' })}.${encode(claims)}`
    const signature = sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' })
    return `${signed}.${signature.toString('base64url')}`
  }
  return {
    jwk,
    thumbprint,
    jws,
    proof: (claims, nowS) =>
      jws(
        { typ: 'dpop+jwt', jwk: { kty, crv, x, y } },
        { jti: randomUUID(), iat: Math.floor(nowS), ...claims },
      ),
    sign: (message, nowS) => signMessage(message, key, thumbprint, nowS),
  }
}

/** Keeps an enrolment: 0600 in a folder of 0700, durable when it resolves. */
export async function keepEnrolment(folder: string, enrolment: KeptEnrolment): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await chmod(folder, 0o700)
  const bytes = Buffer.from(`${JSON.stringify({ v: 1, ...enrolment })}\n`)
  await replaceDurably(realDisk, join(folder, FILE), bytes)
}

/**
 * @returns undefined where nothing is kept
 * @throws Error when others may read the key, or the file holds none
 */
export async function readEnrolment(folder: string): Promise<KeptEnrolment | undefined> {
  const path = join(folder, FILE)
  const content = await readKept(path)
  if (content === undefined) return undefined
  const parsed = kept.safeParse(parse(content))
  if (!parsed.success)
    throw new Error(`key file \`${path}\` holds no enrolled key; remove it, and enrol anew with --code`)
  const { v: _, ...enrolment } = parsed.data
  return enrolment
}

async function readKept(path: string): Promise<string | undefined> {
  try {
    return await readPrivate(path, MAX_FILE_BYTES, ({ mode, uid, own }) =>
      uid === own
        ? `key file \`${path}\` has mode ${mode.toString(8)} (expected 600); \`chmod 600\` it when nobody else could read it, else have the enrolment revoked, remove the file and enrol anew`
        : `key file \`${path}\` belongs to user ${uid} (expected ${own}); run this as that user, or remove the file and enrol anew`,
    )
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}

function parse(content: string): unknown {
  try {
    return JSON.parse(content)
  } catch {
    return undefined
  }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
