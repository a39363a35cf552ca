// Certificates as DER by hand: tests need what no library makes (two algorithms in one certificate, version 1, RSA of 1,024
// bits, DSA), and a second opinion on what @peculiar/x509 writes.
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { isIPv4 } from 'node:net'

/** Kinds of keys; all but `dsa` and `rsa1024` are ones that a TLS 1.3 handshake takes at security level 2. */
export type KeyKind = 'p256' | 'p384' | 'p224' | 'rsa1024' | 'rsa2048' | 'ed25519' | 'dsa'

/** One alternative name, or one subtree of a name constraint. */
export type Name =
  | { readonly dns: string }
  | { readonly uri: string }
  | { readonly email: string }
  /** An address, `address/bits` for a subtree, or raw bytes. */
  | { readonly ip: string | Buffer }
  /** Common name of a directory name. */
  | { readonly dn: string }

/** Bits of the key usage, in the order of RFC 5280 section 4.2.1.3. */
const KEY_USAGES = [
  'digitalSignature',
  'nonRepudiation',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
] as const
export type KeyUsage = (typeof KEY_USAGES)[number]

const USAGES = {
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
  codeSigning: '1.3.6.1.5.5.7.3.3',
  any: '2.5.29.37.0',
} as const

/** What a certificate says. What is left out takes the value of an ordinary authority (`ca`) or client. */
export interface CertificateSpec {
  /** Who signs it; itself when left out. */
  readonly issuer?: Issued
  /** Common name; '' is a name without a part, an array many parts. */
  readonly subject?: string | readonly string[]
  readonly key?: KeyKind | KeyPair
  /** Milliseconds from now to the beginning and the end; default one hour back and one day ahead. */
  readonly from?: number
  readonly until?: number
  readonly serial?: Buffer
  /** 3, or 1, which has no extensions. */
  readonly version?: 1 | 3
  /** Basic constraints; null leaves them out. */
  readonly ca?: boolean | null
  readonly pathLength?: number
  readonly keyUsage?: readonly KeyUsage[] | null
  /** Default `clientAuth` for a leaf, none for an authority. */
  readonly usages?: readonly (keyof typeof USAGES)[] | null
  /** Default `spiffe://acme.example/agent/x` for a leaf. */
  readonly names?: readonly Name[] | null
  readonly constraints?: {
    readonly permitted?: readonly Name[]
    readonly excluded?: readonly Name[]
    readonly critical?: boolean
  }
  readonly subjectKeyId?: boolean
  readonly authorityKeyId?: boolean | 'critical'
  readonly extensions?: readonly Buffer[]
  /** What the unsigned `signatureAlgorithm` claims, where it is to lie. */
  readonly claims?: KeyKind
}

/** A key pair of a kind. */
export interface KeyPair {
  readonly kind: KeyKind
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
}

/** A certificate that was made. */
export interface Issued {
  readonly pem: string
  readonly keyPem: string
  readonly keys: KeyPair
  readonly subject: Buffer
  readonly serial: Buffer
}

/** Makes a key pair. */
export function makeKeys(kind: KeyKind): KeyPair {
  const pair =
    kind === 'ed25519'
      ? generateKeyPairSync('ed25519')
      : kind === 'dsa'
        ? generateKeyPairSync('dsa', { modulusLength: 1_024, divisorLength: 160 })
        : kind === 'rsa1024' || kind === 'rsa2048'
          ? generateKeyPairSync('rsa', { modulusLength: kind === 'rsa1024' ? 1_024 : 2_048 })
          : generateKeyPairSync('ec', { namedCurve: CURVES[kind] })
  return { kind, ...pair }
}

const CURVES = { p256: 'prime256v1', p384: 'secp384r1', p224: 'secp224r1' } as const

/** Makes an authority: path length free, signs certificates and lists. */
export function makeCa(spec: CertificateSpec = {}): Issued {
  return makeCertificate({
    subject: `ca ${randomBytes(4).toString('hex')}`,
    ca: true,
    keyUsage: ['keyCertSign', 'cRLSign'],
    usages: null,
    names: null,
    ...spec,
  })
}

/** Makes a certificate, by default one of a client. */
export function makeCertificate(spec: CertificateSpec): Issued {
  const { key = 'p256', subject = 'client', issuer, version = 3 } = spec
  const keys = typeof key === 'string' ? makeKeys(key) : key
  const signer = issuer?.keys ?? keys
  const serial = spec.serial ?? Buffer.concat([Buffer.from([1]), randomBytes(15)])
  const subjectDer = typeof subject === 'string' && subject === '' ? seq() : nameOf(subject)
  const now = Date.now()
  const tbs = seq(
    ...(version === 1 ? [] : [tlv(0xa0, tlv(0x02, Buffer.from([2])))]),
    tlv(0x02, serial),
    algorithmOf(signer.kind),
    issuer?.subject ?? subjectDer,
    seq(timeOf(now + (spec.from ?? -3_600_000)), timeOf(now + (spec.until ?? 86_400_000))),
    subjectDer,
    keys.publicKey.export({ format: 'der', type: 'spki' }),
    ...(version === 1 ? [] : [tlv(0xa3, seq(...extensionsOf(spec, keys, signer)))]),
  )
  return {
    pem: pemOf('CERTIFICATE', signed(tbs, signer, spec.claims)),
    keyPem: String(keys.privateKey.export({ format: 'pem', type: 'pkcs8' })),
    keys,
    subject: subjectDer,
    serial,
  }
}

/** Signs a revocation list, as PEM. `number: null` leaves CRLNumber out; `until` in milliseconds from now, default a day. */
export function makeRevocationList(
  ca: Issued,
  revoked: readonly Issued[],
  { number = 1, until = 86_400_000 }: { number?: number | null; until?: number } = {},
): string {
  const now = Date.now()
  const entries = revoked.map(({ serial }) => seq(tlv(0x02, serial), timeOf(now - 60_000)))
  const extensions = [
    extension('2.5.29.35', false, seq(tlv(0x80, keyIdOf(ca.keys)))),
    ...(number === null ? [] : [extension('2.5.29.20', false, tlv(0x02, Buffer.from([number])))]),
  ]
  const tbs = seq(
    tlv(0x02, Buffer.from([1])),
    algorithmOf(ca.keys.kind),
    ca.subject,
    timeOf(now - 120_000),
    timeOf(now + until),
    ...(entries.length === 0 ? [] : [seq(...entries)]),
    tlv(0xa0, seq(...extensions)),
  )
  return pemOf('X509 CRL', signed(tbs, ca.keys))
}

function extensionsOf(spec: CertificateSpec, keys: KeyPair, signer: KeyPair): Buffer[] {
  const { ca = false, keyUsage = ['digitalSignature'], usages = ['clientAuth'], constraints } = spec
  const { names = [{ uri: 'spiffe://acme.example/agent/x' }], subjectKeyId = true } = spec
  const { authorityKeyId = spec.issuer !== undefined } = spec
  const list: Buffer[] = []
  if (ca !== null) {
    const length = spec.pathLength === undefined ? [] : [tlv(0x02, Buffer.from([spec.pathLength]))]
    list.push(extension('2.5.29.19', true, seq(...(ca ? [tlv(0x01, Buffer.from([0xff])), ...length] : []))))
  }
  if (keyUsage !== null) list.push(extension('2.5.29.15', true, bitsOf(keyUsage)))
  if (usages !== null) list.push(extension('2.5.29.37', false, seq(...usages.map((use) => oid(USAGES[use])))))
  if (names !== null) list.push(extension('2.5.29.17', false, seq(...names.map(generalName))))
  if (constraints !== undefined) {
    const { permitted = [], excluded = [], critical = true } = constraints
    const subtrees = (tag: number, trees: readonly Name[]): Buffer[] =>
      trees.length === 0 ? [] : [tlv(tag, ...trees.map((tree) => seq(generalName(tree))))]
    list.push(
      extension('2.5.29.30', critical, seq(...subtrees(0xa0, permitted), ...subtrees(0xa1, excluded))),
    )
  }
  if (subjectKeyId) list.push(extension('2.5.29.14', false, tlv(0x04, keyIdOf(keys))))
  if (authorityKeyId !== false) {
    list.push(extension('2.5.29.35', authorityKeyId === 'critical', seq(tlv(0x80, keyIdOf(signer)))))
  }
  return [...list, ...(spec.extensions ?? [])]
}

/** One extension of a certificate. */
export function extension(id: string, critical: boolean, value: Buffer): Buffer {
  return seq(oid(id), ...(critical ? [tlv(0x01, Buffer.from([0xff]))] : []), tlv(0x04, value))
}

// ── DER ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** A DER element of a tag. */
export function tlv(tag: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  if (body.length < 0x80) return Buffer.concat([Buffer.from([tag, body.length]), body])
  const hex = body.length.toString(16)
  const length = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex')
  return Buffer.concat([Buffer.from([tag, 0x80 | length.length]), length, body])
}

/** A DER sequence. */
export function seq(...parts: readonly Buffer[]): Buffer {
  return tlv(0x30, ...parts)
}

/** A DER object identifier. */
export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const digits = [first * 40 + second, ...rest].flatMap((value) => {
    const bytes = [value & 0x7f]
    for (let left = Math.floor(value / 128); left > 0; left = Math.floor(left / 128)) {
      bytes.unshift((left & 0x7f) | 0x80)
    }
    return bytes
  })
  return tlv(0x06, Buffer.from(digits))
}

function nameOf(commonNames: string | readonly string[]): Buffer {
  const all = typeof commonNames === 'string' ? [commonNames] : commonNames
  return seq(...all.map((name) => tlv(0x31, seq(oid('2.5.4.3'), tlv(0x0c, Buffer.from(name))))))
}

function generalName(name: Name): Buffer {
  if ('email' in name) return tlv(0x81, Buffer.from(name.email))
  if ('dns' in name) return tlv(0x82, Buffer.from(name.dns))
  if ('dn' in name) return tlv(0xa4, nameOf(name.dn))
  if ('uri' in name) return tlv(0x86, Buffer.from(name.uri))
  return tlv(0x87, typeof name.ip === 'string' ? addressBytes(name.ip) : name.ip)
}

/** An address, and behind it the mask when one is given. */
function addressBytes(text: string): Buffer {
  const [address = '', bits] = text.split('/')
  const bytes = isIPv4(address) ? Buffer.from(address.split('.').map(Number)) : ipv6Bytes(address)
  if (bits === undefined) return bytes
  const mask = Buffer.alloc(bytes.length)
  for (let bit = 0; bit < Number(bits); bit++) mask[bit >> 3] = (mask[bit >> 3] ?? 0) | (0x80 >> (bit & 7))
  return Buffer.concat([bytes, mask])
}

function ipv6Bytes(address: string): Buffer {
  const [head = '', tail = ''] = address.split('::')
  const groups = (part: string): string[] => (part === '' ? [] : part.split(':'))
  const missing = 8 - groups(head).length - groups(tail).length
  const all = [...groups(head), ...Array.from({ length: missing }, () => '0'), ...groups(tail)]
  return Buffer.from(all.map((group) => group.padStart(4, '0')).join(''), 'hex')
}

function bitsOf(usages: readonly KeyUsage[]): Buffer {
  const bits = usages.reduce((sum, usage) => sum | (0x80 >> KEY_USAGES.indexOf(usage)), 0)
  // DER: trailing zero bits are not written, and the first byte counts them.
  const unused = bits === 0 ? 0 : 31 - Math.clz32(bits & -bits)
  return tlv(0x03, Buffer.from(bits === 0 ? [0] : [unused, bits]))
}

function timeOf(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, '')
  // RFC 5280 section 4.1.2.5: two digits of the year before 2050.
  return digits < '2050' ? tlv(0x17, Buffer.from(digits.slice(2))) : tlv(0x18, Buffer.from(digits))
}

function keyIdOf({ publicKey }: KeyPair): Buffer {
  return createHash('sha1')
    .update(publicKey.export({ format: 'der', type: 'spki' }))
    .digest()
}

const SIGNATURES: Readonly<Record<KeyKind, { readonly id: string; readonly hash: string | null }>> = {
  p256: { id: '1.2.840.10045.4.3.2', hash: 'sha256' },
  p224: { id: '1.2.840.10045.4.3.2', hash: 'sha256' },
  p384: { id: '1.2.840.10045.4.3.3', hash: 'sha384' },
  rsa1024: { id: '1.2.840.113549.1.1.11', hash: 'sha256' },
  rsa2048: { id: '1.2.840.113549.1.1.11', hash: 'sha256' },
  ed25519: { id: '1.3.101.112', hash: null },
  dsa: { id: '2.16.840.1.101.3.4.3.2', hash: 'sha256' },
}

function algorithmOf(kind: KeyKind): Buffer {
  return seq(oid(SIGNATURES[kind].id), ...(kind.startsWith('rsa') ? [tlv(0x05)] : []))
}

function signed(tbs: Buffer, { kind, privateKey }: KeyPair, claims: KeyKind = kind): Buffer {
  const signature = sign(SIGNATURES[kind].hash, tbs, privateKey)
  return seq(tbs, algorithmOf(claims), tlv(0x03, Buffer.from([0]), signature))
}

function pemOf(label: string, der: Buffer): string {
  const lines = der.toString('base64').replace(/.{64}(?=.)/g, '$&\n')
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`
}
