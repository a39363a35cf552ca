import type { Socket } from 'node:net'
import { type TlsOptions, TLSSocket } from 'node:tls'
import type { PeerCertificate } from '../call/call.ts'
import { Refusal } from '../call/refusal.ts'
import { type CertificateFacts, factsOf } from '../net/certificate.ts'

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
  const shown = socket.getPeerX509Certificate()
  if (shown === undefined) return null
  if (!socket.authorized) return refused(`is not verified (${String(socket.authorizationError)})`)
  let facts: CertificateFacts
  try {
    facts = factsOf(shown, Date.now())
  } catch {
    return refused('has a subject alternative name that cannot be read')
  }
  const { uris, dns, notBefore, notAfter } = facts
  // SPIFFE X.509-SVID sections 2 and 5.1: a leaf is no authority, and its id is its only URI; of two each reader picks its own.
  if (facts.ca) return refused('is that of an authority')
  if (uris.length > 1 && uris.some((uri) => /^spiffe:/i.test(uri)))
    return refused('has a SPIFFE id beside another URI')
  return {
    thumbprint: Buffer.from(shown.fingerprint256.replaceAll(':', ''), 'hex').toString('base64url'),
    uris,
    dns: dns.map((name) => name.toLowerCase()),
    subject: shown.subject,
    notBefore: Math.floor(notBefore / 1_000),
    notAfter: Math.floor(notAfter / 1_000),
  }
}

function refused(what: string): Refusal {
  return new Refusal('CG_IDENTITY_CERTIFICATE', { internal: `the client certificate ${what}` })
}
