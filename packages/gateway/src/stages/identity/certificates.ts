import { hash } from 'node:crypto'
import type { PeerCertificate, Principal } from '../../call/call.ts'
import type { ActorRegistry } from './principal.ts'

/** Who a client certificate is, where it comes without a token. Exactly one of `uri`, `dns` and `subject`. */
export interface CertificateRule {
  /** URI of its subject alternative name, letter by letter, such as a SPIFFE id. */
  readonly uri?: string
  /** DNS name of its subject alternative name, in lower case. */
  readonly dns?: string
  /** Whole distinguished name, its parts joined by `, `, in the order of the certificate. */
  readonly subject?: string
  /** Default: what was matched. */
  readonly actor?: string
  /** Default `default`. */
  readonly tenant?: string
  readonly grants?: readonly string[]
}

/**
 * The principal of a certificate by the first rule that names it, whole and letter by letter: no rule has a wildcard.
 * @returns undefined when no rule does
 */
export function certificatePrincipal(
  certificate: PeerCertificate,
  rules: readonly CertificateRule[],
  actors: ActorRegistry,
): Principal | undefined {
  const name = certificate.subject.replaceAll('\n', ', ')
  const rule = rules.find(
    ({ uri, dns, subject }) =>
      (uri !== undefined && certificate.uris.includes(uri)) ||
      (dns !== undefined && certificate.dns.includes(dns)) ||
      (subject !== undefined && subject === name),
  )
  if (rule === undefined) return undefined
  const matched = rule.uri ?? rule.dns ?? rule.subject ?? ''
  const id = rule.actor ?? matched
  return {
    actor: { id, type: (Object.hasOwn(actors, id) ? actors[id]?.type : undefined) ?? 'agent' },
    subject: matched,
    tenant: rule.tenant ?? 'default',
    clientId: '',
    grants: rule.grants ?? [],
    token: {
      iss: 'urn:x509',
      // What a record names of the certificate; a renewed one is another.
      jtiHash: hash('sha256', certificate.thumbprint, 'hex').slice(0, 32),
      exp: certificate.notAfter,
      iat: certificate.notBefore,
    },
  }
}
