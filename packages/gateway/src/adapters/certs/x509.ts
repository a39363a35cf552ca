// @peculiar/x509 finds its parts by decorators, which need this first.
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'
import { randomBytes, webcrypto } from 'node:crypto'
import { USAGES } from '../../net/certificate.ts'

/** A certificate and the private key to it, both as PEM. */
export interface KeyedCertificate {
  readonly certificate: string
  readonly key: string
}

/** What a leaf certificate is to say. Times in milliseconds since the epoch. */
export interface LeafContents {
  /** Common name. */
  readonly name: string
  /** A server shows it to those who connect (serverAuth), a client to those it connects to (clientAuth). */
  readonly kind: 'server' | 'client'
  readonly dns: readonly string[]
  readonly ips: readonly string[]
  readonly uris: readonly string[]
  readonly notBefore: number
  readonly notAfter: number
}

/** What a revocation list is to say. */
export interface RevocationContents {
  /** CRLNumber: each list of an authority has a higher one (RFC 5280 section 5.2.3). */
  readonly number: number
  readonly revoked: readonly Revoked[]
  readonly thisUpdate: number
  /** Whoever checks refuses every certificate of the authority from then on. */
  readonly nextUpdate: number
}

/** One certificate that counts no more. */
export interface Revoked {
  /** Hexadecimal digits. */
  readonly serial: string
  /** Milliseconds since the epoch. */
  readonly at: number
}

const CRL_NUMBER = '2.5.29.20'
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const
const SIGNING = { name: 'ECDSA', hash: 'SHA-256' } as const

/** Makes an authority: ECDSA P-256, signs leaves and revocation lists, but no further authority (path length 0). */
export async function makeAuthority(
  name: string,
  notBefore: number,
  notAfter: number,
): Promise<KeyedCertificate> {
  const keys = await makeKeys()
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [name] }],
    keys,
    signingAlgorithm: SIGNING,
    serialNumber: newSerial(),
    notBefore: new Date(notBefore),
    notAfter: new Date(notAfter),
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { certificate: pemOf(certificate), key: await exportKey(keys.privateKey) }
}

/** Makes a key and the certificate to it, both as PEM. */
export async function makeLeaf(authority: KeyedCertificate, leaf: LeafContents): Promise<KeyedCertificate> {
  const issuer = new x509.X509Certificate(authority.certificate)
  const keys = await makeKeys()
  const certificate = await x509.X509CertificateGenerator.create({
    subject: [{ CN: [leaf.name] }],
    issuer: issuer.subjectName,
    publicKey: keys.publicKey,
    signingKey: await importKey(authority.key),
    signingAlgorithm: SIGNING,
    serialNumber: newSerial(),
    notBefore: new Date(leaf.notBefore),
    notAfter: new Date(leaf.notAfter),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([USAGES[leaf.kind]]),
      new x509.SubjectAlternativeNameExtension([
        ...leaf.uris.map((value) => ({ type: 'url' as const, value })),
        ...leaf.dns.map((value) => ({ type: 'dns' as const, value })),
        ...leaf.ips.map((value) => ({ type: 'ip' as const, value })),
      ]),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  })
  return { certificate: pemOf(certificate), key: await exportKey(keys.privateKey) }
}

/** Signs a revocation list, as PEM. */
export async function makeRevocationList(
  authority: KeyedCertificate,
  list: RevocationContents,
): Promise<string> {
  const issuer = new x509.X509Certificate(authority.certificate)
  const crl = await x509.X509CrlGenerator.create({
    issuer: issuer.subjectName,
    thisUpdate: new Date(list.thisUpdate),
    nextUpdate: new Date(list.nextUpdate),
    signingAlgorithm: SIGNING,
    signingKey: await importKey(authority.key),
    // Without a reason the library writes an empty list of extensions, which is not DER that everybody reads.
    entries: list.revoked.map(({ serial, at }) => ({
      serialNumber: serial,
      revocationDate: new Date(at),
      reason: x509.X509CrlReason.privilegeWithdrawn,
    })),
    extensions: [
      new x509.Extension(CRL_NUMBER, false, integer(list.number)),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  })
  // The library's own label is `CRL`; everybody else reads only this one (RFC 7468 section 6).
  return `${x509.PemConverter.encode(crl.rawData, 'X509 CRL')}\n`
}

/**
 * Reads a revocation list that an authority signed.
 * @returns undefined when somebody else signed it
 */
export async function readRevocationList(
  authority: KeyedCertificate,
  pem: string,
): Promise<RevocationContents | undefined> {
  const crl = new x509.X509Crl(pem)
  if (!(await crl.verify({ publicKey: new x509.X509Certificate(authority.certificate) }))) return undefined
  const number = crl.getExtension<x509.Extension>(CRL_NUMBER)?.value
  return {
    // The value is a DER integer of at most six bytes: tag, length, digits.
    number: number === undefined ? 0 : Number(`0x${Buffer.from(number).subarray(2).toString('hex') || '0'}`),
    revoked: crl.entries.map((entry) => ({
      serial: entry.serialNumber.toLowerCase(),
      at: entry.revocationDate.getTime(),
    })),
    thisUpdate: crl.thisUpdate.getTime(),
    nextUpdate: crl.nextUpdate?.getTime() ?? 0,
  }
}

async function makeKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
}

async function exportKey(key: CryptoKey): Promise<string> {
  const raw = await webcrypto.subtle.exportKey('pkcs8', key)
  return `${x509.PemConverter.encode(raw, x509.PemConverter.PrivateKeyTag)}\n`
}

async function importKey(pem: string): Promise<CryptoKey> {
  return webcrypto.subtle.importKey('pkcs8', x509.PemConverter.decodeFirst(pem), ALGORITHM, false, ['sign'])
}

function pemOf(data: x509.X509Certificate): string {
  // The library's word for a list is not the one that OpenSSL reads (RFC 7468 section 6).
  const tag = data instanceof x509.X509Crl ? 'X509 CRL' : x509.PemConverter.CertificateTag
  return `${x509.PemConverter.encode(data.rawData, tag)}\n`
}

/** 128 random bits behind a byte that keeps the number positive and of one length. */
function newSerial(): string {
  return `01${randomBytes(16).toString('hex')}`
}

/** DER of a whole number from 0: whole bytes, and a zero before a first bit that would make it negative. */
function integer(value: number): Buffer {
  const hex = value.toString(16)
  const even = hex.length % 2 === 0 ? hex : `0${hex}`
  const digits = Buffer.from(/^[89a-f]/.test(even) ? `00${even}` : even, 'hex')
  return Buffer.concat([Buffer.from([0x02, digits.length]), digits])
}
