import { X509Certificate } from 'node:crypto'
import { type CertificateFacts, USAGES, certificatesIn, inspectCertificate } from '../../net/certificate.ts'
import { MAX_LEAF_DAYS } from './names.ts'
import type { KeyedCertificate, RevocationContents } from './x509.ts'

/** One line of `callgate certs status`. */
export interface CertificateRow {
  /** Name of the leaf or of the authority; for files of others the subject. */
  readonly name: string
  /** `any`: a certificate that may be used for whatever its owner likes. */
  readonly kind: 'ca' | 'crl' | 'server' | 'client' | 'server and client' | 'any' | 'other'
  /** Alternative names, such as `spiffe://acme.example/agent/billing`. */
  readonly names: readonly string[]
  /** ISO 8601, UTC; of a list, when the next one is due. */
  readonly notAfter: string
  /** Whole days, rounded down; negative once it has expired. */
  readonly daysLeft: number
  readonly flags: readonly CertificateFlag[]
  /** File with key and certificate. */
  readonly path?: string
}

/** What is wrong with a certificate. `expires soon`: less than a third of its life is left. */
export type CertificateFlag = 'expired' | 'not yet valid' | 'expires soon' | 'over 90 days' | 'revoked'

const DAY_MS = 86_400_000

/** The certificates of a PEM file of whatever origin, in its order. @throws Error when it holds none */
export function rowsOf(pem: string, path: string, now: number): CertificateRow[] {
  const certificates = certificatesIn(pem)
  if (certificates.length === 0) {
    throw new Error(`\`${path}\` holds no certificate (expected PEM, \`-----BEGIN CERTIFICATE-----\`)`)
  }
  return certificates.map((certificate) => {
    const facts = inspectCertificate(certificate, now)
    return row(facts.subject, facts, now, false, path)
  })
}

/** Row of a leaf of ours. */
export function leafRow(
  name: string,
  pem: string,
  now: number,
  revoked: boolean,
  path: string,
): CertificateRow {
  return row(name, inspectCertificate(pem, now), now, revoked, path)
}

/** Row of an authority of ours. */
export function authorityRow({ certificate }: KeyedCertificate, now: number): CertificateRow {
  const facts = inspectCertificate(certificate, now)
  return row(facts.subject, facts, now, false)
}

/** Row of the revocation list of an authority. */
export function listRow(
  { certificate }: KeyedCertificate,
  { nextUpdate }: RevocationContents,
  now: number,
): CertificateRow {
  return {
    name: new X509Certificate(certificate).subject,
    kind: 'crl',
    names: [],
    notAfter: new Date(nextUpdate).toISOString(),
    daysLeft: Math.floor((nextUpdate - now) / DAY_MS),
    flags: nextUpdate <= now ? ['expired'] : [],
  }
}

function row(
  name: string,
  facts: CertificateFacts,
  now: number,
  revoked: boolean,
  path?: string,
): CertificateRow {
  const { uris, dns, ips, notBefore, notAfter, daysLeft } = facts
  const flags: CertificateFlag[] = []
  if (notAfter <= now) flags.push('expired')
  else if (notBefore > now) flags.push('not yet valid')
  else if (notAfter - now < (notAfter - notBefore) / 3) flags.push('expires soon')
  if (!facts.ca && facts.lifetimeDays > MAX_LEAF_DAYS) flags.push('over 90 days')
  if (revoked) flags.push('revoked')
  return {
    name,
    kind: kindOf(facts),
    names: [...uris, ...dns, ...ips],
    notAfter: new Date(notAfter).toISOString(),
    daysLeft,
    flags,
    ...(path === undefined ? {} : { path }),
  }
}

/** What a certificate may be used for, by its extended key usage. */
export function kindOf({ ca, usages }: CertificateFacts): CertificateRow['kind'] {
  if (ca) return 'ca'
  if (usages.length === 0) return 'any'
  const server = usages.includes(USAGES.server)
  const client = usages.includes(USAGES.client)
  if (server && client) return 'server and client'
  return server ? 'server' : client ? 'client' : 'other'
}
