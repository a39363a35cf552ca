import { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import { type TlsOptions, TLSSocket } from 'node:tls'
import type { PeerCertificate } from '../call/call.ts'
import { Refusal } from '../call/refusal.ts'

/** Keys and certificates of a listener, as PEM. */
export interface TlsMaterial {
  readonly key: Buffer
  /** The listener's certificate, and the intermediate ones behind it. */
  readonly cert: Buffer
  /** Authorities of client certificates; undefined: none is asked for. */
  readonly clientCa: Buffer | undefined
  /** Certificates that count no more; with one, every authority in a client's chain needs one. */
  readonly crl: Buffer | undefined
  /** `required`: the handshake fails without one. `optional`: who shows one is held to it. */
  readonly clientCertificates: 'none' | 'optional' | 'required'
}

/**
 * TLS 1.2 with forward secrecy and authenticated encryption, and TLS 1.3. Level 2 refuses RSA under 2,048 bits, curves under
 * 224 and SHA-1 signatures, in the chains of clients too. Source: playbook Play 2; RFC 9325.
 */
const CIPHERS = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  '@SECLEVEL=2',
].join(':')

/** Options of a TLS listener. Given to setSecureContext they replace the material for connections to come. */
export function tlsServerOptions(material: TlsMaterial): TlsOptions {
  const { key, cert, clientCa, crl, clientCertificates } = material
  return {
    key,
    cert,
    minVersion: 'TLSv1.2',
    ciphers: CIPHERS,
    ALPNProtocols: ['http/1.1'],
    ...(clientCa === undefined ? {} : { ca: clientCa }),
    ...(crl === undefined ? {} : { crl }),
    requestCert: clientCertificates !== 'none',
    rejectUnauthorized: clientCertificates === 'required',
  }
}

/** Read once a connection: a certificate does not change in it. */
const read = new WeakMap<TLSSocket, PeerCertificate | Refusal | null>()

/**
 * The verified certificate of a connection's client.
 * @returns undefined without one; CG_IDENTITY_CERTIFICATE for one that does not hold or names two workloads
 */
export function peerCertificateOf(socket: Socket): PeerCertificate | Refusal | undefined {
  if (!(socket instanceof TLSSocket)) return undefined
  let found = read.get(socket)
  if (found === undefined) read.set(socket, (found = readCertificate(socket)))
  return found ?? undefined
}

function readCertificate(socket: TLSSocket): PeerCertificate | Refusal | null {
  const certificate = socket.getPeerX509Certificate()
  if (certificate === undefined) return null
  if (!socket.authorized) return refused(`is not verified (${String(socket.authorizationError)})`)
  const names = alternativeNames(certificate.subjectAltName ?? '')
  if (names === undefined) return refused('has a subject alternative name that cannot be read')
  const uris = names.filter(([kind]) => kind === 'URI').map(([, name]) => name)
  // A SPIFFE id is the only URI of its certificate (SPIFFE X.509-SVID section 2): with two, each reader picks its own.
  if (uris.length > 1 && uris.some((uri) => /^spiffe:/i.test(uri)))
    return refused('has a SPIFFE id beside another URI')
  return {
    thumbprint: Buffer.from(certificate.fingerprint256.replaceAll(':', ''), 'hex').toString('base64url'),
    uris,
    dns: names.filter(([kind]) => kind === 'DNS').map(([, name]) => name.toLowerCase()),
    subject: certificate.subject,
    notBefore: secondOf(certificate.validFrom),
    notAfter: secondOf(certificate.validTo),
  }
}

function refused(what: string): Refusal {
  return new Refusal('CG_IDENTITY_CERTIFICATE', { internal: `the client certificate ${what}` })
}

const secondOf = (date: string): number => Math.floor(Date.parse(date) / 1_000)

/**
 * Kinds and names out of node's text of a subject alternative name. Names with characters that could forge another entry are
 * quoted there as JSON (CVE-2021-44532).
 * @returns undefined for a text that is not such a list
 */
export function alternativeNames(text: string): (readonly [kind: string, name: string])[] | undefined {
  const names: (readonly [string, string])[] = []
  const entry = /(?:^|, )([A-Za-z0-9 ]+):("(?:[^"\\]|\\.)*"|[^",]*)/gy
  while (entry.lastIndex < text.length) {
    const found = entry.exec(text)
    if (found === null) return undefined
    const [, kind = '', name = ''] = found
    const plain = name.startsWith('"') ? unquoted(name) : name
    if (plain === undefined) return undefined
    names.push([kind, plain])
  }
  return names
}

function unquoted(name: string): string | undefined {
  try {
    const value: unknown = JSON.parse(name)
    return typeof value === 'string' ? value : undefined
  } catch {
    return undefined
  }
}

/** Life of the first certificate of a PEM text, in days. @throws Error when it is none */
export function lifetimeDays(pem: Buffer): number {
  const { validFrom, validTo } = new X509Certificate(pem)
  return (Date.parse(validTo) - Date.parse(validFrom)) / 86_400_000
}
