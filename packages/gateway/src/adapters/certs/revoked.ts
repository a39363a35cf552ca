// @peculiar/x509 finds its parts by decorators, which need this first.
import 'reflect-metadata'
import { PemConverter, X509Crl } from '@peculiar/x509'

/** A revocation list in a PEM text; what else stands there, such as certificates, OpenSSL passes over too. */
const LIST = /-----BEGIN X509 CRL-----[^-]+-----END X509 CRL-----/g

/** What revocation lists say. */
export interface Revoked {
  /** Serial numbers, as hexadecimal digits in lower case. */
  readonly serials: ReadonlySet<string>
  /** Each list: who signed it, when, and when the next one is due, in milliseconds since the epoch; undefined: it does not say. */
  readonly lists: readonly {
    readonly issuer: string
    readonly thisUpdate: number
    readonly nextUpdate: number | undefined
  }[]
}

/**
 * Reads revocation lists. Who signed a list is for OpenSSL, which has read it before.
 * @param pem one list or several
 * @throws Error for a list that cannot be read
 */
export function revokedIn(pem: string): Revoked {
  const lists = (pem.match(LIST) ?? []).map((block) => new X509Crl(PemConverter.decodeFirst(block)))
  return {
    serials: new Set(lists.flatMap((list) => list.entries.map((entry) => entry.serialNumber.toLowerCase()))),
    lists: lists.map(({ issuer, thisUpdate, nextUpdate }) => ({
      issuer,
      thisUpdate: thisUpdate.getTime(),
      nextUpdate: nextUpdate?.getTime(),
    })),
  }
}
