// @peculiar/x509 finds its parts by decorators, which need this first.
import 'reflect-metadata'
import { PemConverter, X509Crl } from '@peculiar/x509'

/** A revocation list in a PEM text; what else stands there, such as certificates, OpenSSL passes over too. */
const LIST = /-----BEGIN X509 CRL-----[^-]+-----END X509 CRL-----/g

/**
 * Serial numbers that revocation lists name, as hexadecimal digits in lower case. Who signed a list is for OpenSSL, which has read
 * it before.
 * @param pem one list or several
 * @throws Error for a list that cannot be read
 */
export function revokedIn(pem: string): ReadonlySet<string> {
  const lists = (pem.match(LIST) ?? []).map((block) => new X509Crl(PemConverter.decodeFirst(block)))
  return new Set(lists.flatMap((list) => list.entries.map((entry) => entry.serialNumber.toLowerCase())))
}
