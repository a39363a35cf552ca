// @peculiar/x509 finds its parts by decorators, which need this first.
import 'reflect-metadata'
import { PemConverter, X509Crl } from '@peculiar/x509'

/**
 * Serial numbers that revocation lists name, as hexadecimal digits in lower case. Whether a list is right is for OpenSSL, which
 * has read it before.
 * @param pem one list or several
 */
export function revokedIn(pem: string): ReadonlySet<string> {
  const lists = PemConverter.decode(pem).map((der) => new X509Crl(der))
  return new Set(lists.flatMap((list) => list.entries.map((entry) => entry.serialNumber.toLowerCase())))
}
