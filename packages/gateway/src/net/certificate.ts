import { X509Certificate } from 'node:crypto'

/** What a certificate says. Times in milliseconds since the epoch. */
export interface CertificateFacts {
  /** Distinguished name on one line, such as `CN=billing, O=Acme`. */
  readonly subject: string
  /** Hexadecimal digits. */
  readonly serial: string
  /** The key may sign certificates (basic constraints). */
  readonly ca: boolean
  /** Object identifiers of the extended key usage; empty: the key is for every use. */
  readonly usages: readonly string[]
  readonly uris: readonly string[]
  readonly dns: readonly string[]
  readonly ips: readonly string[]
  readonly notBefore: number
  readonly notAfter: number
  /** Whole days from `notBefore` to `notAfter`, rounded up: 90 days and a minute are 91. */
  readonly lifetimeDays: number
  /** Whole days until `notAfter`, rounded down; negative once it has expired. */
  readonly daysLeft: number
}

/** Object identifiers of the extended key usages. Source: RFC 5280 section 4.2.1.12. */
export const USAGES = { server: '1.3.6.1.5.5.7.3.1', client: '1.3.6.1.5.5.7.3.2' } as const

const DAY_MS = 86_400_000

/**
 * Reads the first certificate of a PEM text. It judges nothing: neither signature nor issuer.
 * @param now milliseconds since the epoch
 * @throws Error when there is no certificate, or names in it cannot be told apart
 */
export function inspectCertificate(pem: string | Buffer, now: number): CertificateFacts {
  return factsOf(new X509Certificate(pem), now)
}

/** As inspectCertificate. @throws Error when names in it cannot be told apart */
export function factsOf(certificate: X509Certificate, now: number): CertificateFacts {
  const names = alternativeNames(certificate.subjectAltName ?? '')
  const of = (type: string): string[] => names.filter((name) => name.type === type).map(({ value }) => value)
  const notBefore = certificate.validFromDate.getTime()
  const notAfter = certificate.validToDate.getTime()
  return {
    subject: certificate.subject.replaceAll('\n', ', '),
    serial: certificate.serialNumber.toLowerCase(),
    ca: certificate.ca,
    usages: certificate.keyUsage ?? [],
    uris: of('URI'),
    dns: of('DNS'),
    ips: of('IP Address'),
    notBefore,
    notAfter,
    lifetimeDays: Math.ceil((notAfter - notBefore) / DAY_MS),
    daysLeft: Math.floor((notAfter - now) / DAY_MS),
  }
}

/** The certificates of a PEM text, each as its own; other blocks, such as keys, are passed over. */
export function certificatesIn(pem: string): string[] {
  return pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
}

/** One alternative name, as Node tells it. */
export interface AlternativeName {
  /** `DNS`, `URI`, `IP Address`, `email`, `DirName`, `Registered ID` or `othername`. */
  readonly type: string
  readonly value: string
}

/**
 * Takes apart the text of `X509Certificate.subjectAltName`. A name that holds a comma, a quote or a control character
 * stands there as a JSON string; cutting at commas would let `URI:a, DNS:bank.example` pass for two names (CVE-2021-44532).
 * @throws Error for a text of another form
 */
export function alternativeNames(text: string): AlternativeName[] {
  const names: AlternativeName[] = []
  // Sticky: what is between two names is `, ` and nothing else.
  const entry = /([A-Za-z ]+):(?:("(?:[^"\\]|\\.)*")|([^",]*))(?:, (?=.)|$)/gsy
  while (entry.lastIndex < text.length) {
    const [, type = '', quoted, plain = ''] = entry.exec(text) ?? unreadable(text)
    names.push({ type, value: quoted === undefined ? plain : unquote(quoted, text) })
  }
  return names
}

function unquote(quoted: string, text: string): string {
  try {
    return String(JSON.parse(quoted))
  } catch {
    return unreadable(text)
  }
}

function unreadable(text: string): never {
  throw new Error(`alternative names cannot be told apart in \`${text.slice(0, 200)}\``)
}
