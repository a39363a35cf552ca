import assert from 'node:assert/strict'
import { test } from 'node:test'
import { corpusRows } from '../packages/gateway/src/testing/corpora.ts'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { type Handshake, verdictOn } from './harness/handshake.ts'
import { differs, notForClients, recast } from './harness/limbo.ts'
import { makeCa, makeCertificate, makeRevocationList } from './harness/pki.ts'
import type { CertificateSpec, Issued, Name } from './harness/pki.ts'

const HOUR = 3_600_000

const root = makeCa()

/** A client of `root` with one thing changed. */
function client(spec: CertificateSpec = {}): Handshake {
  return { shown: [makeCertificate({ issuer: root, ...spec })], trusted: [root] }
}

/** A client below a root that is constrained. */
function below(constraints: NonNullable<CertificateSpec['constraints']>, name: Name): Handshake {
  const top = makeCa({ constraints })
  return { shown: [makeCertificate({ issuer: top, names: [name] })], trusted: [top] }
}

/** A client below intermediate authorities, from the top down. */
function beneath(...intermediates: readonly CertificateSpec[]): Handshake {
  const chain: Issued[] = []
  for (const spec of intermediates) chain.unshift(makeCa({ issuer: chain[0] ?? root, ...spec }))
  return { shown: [makeCertificate({ issuer: chain[0] ?? root }), ...chain], trusted: [root] }
}

/** A client whose authority publishes a list. */
function listed(options: { revoked?: boolean; until?: number } = {}): Handshake {
  const shown = makeCertificate({ issuer: root })
  const revoked = [makeCertificate({ issuer: root }), ...(options.revoked === true ? [shown] : [])]
  const { until = HOUR } = options
  return { shown: [shown], trusted: [root], lists: [makeRevocationList(root, revoked, { until })] }
}

interface Pair {
  readonly what: string
  readonly refused: Handshake
  /** The last fault that OpenSSL found, or a pattern of our own refusal. UNSPECIFIED: Node has no name for it. */
  readonly because: string | RegExp
  readonly passes: Handshake
}

const other = makeCa()
const acme: Name = { uri: 'spiffe://acme.example/agent/billing' }
const evil: Name = { uri: 'spiffe://evil.example/agent/billing' }

const pairs: readonly Pair[] = [
  {
    what: 'no certificate',
    refused: { shown: undefined, trusted: [root] },
    because: 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE',
    passes: client(),
  },
  {
    what: 'an authority that is not trusted',
    refused: { ...client(), trusted: [other] },
    because: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    passes: { ...client(), trusted: [other, root] },
  },
  {
    what: 'an authority of the same name with another key',
    refused: {
      ...client({ issuer: makeCa({ subject: 'twin', subjectKeyId: false }), authorityKeyId: false }),
      trusted: [makeCa({ subject: 'twin', subjectKeyId: false })],
    },
    because: 'CERT_SIGNATURE_FAILURE',
    passes: client(),
  },
  {
    what: 'a certificate that signs itself',
    refused: { shown: [makeCertificate({ subject: 'self' })], trusted: [root] },
    because: 'DEPTH_ZERO_SELF_SIGNED_CERT',
    passes: client(),
  },
  {
    what: 'a certificate that has expired',
    refused: client({ until: -1_000 }),
    because: 'CERT_HAS_EXPIRED',
    passes: client({ until: 60_000 }),
  },
  {
    what: 'a certificate that is not valid yet',
    refused: client({ from: 60_000 }),
    because: 'CERT_NOT_YET_VALID',
    passes: client({ from: -1_000 }),
  },
  {
    what: 'an authority that has expired',
    refused: beneath({ until: -1_000 }),
    because: 'CERT_HAS_EXPIRED',
    passes: beneath({}),
  },
  {
    what: 'a leaf in the place of an authority',
    refused: beneath({ ca: false }),
    because: 'INVALID_PURPOSE',
    passes: beneath({}),
  },
  {
    what: 'an authority whose key must not sign certificates',
    refused: beneath({ keyUsage: ['digitalSignature'] }),
    because: 'UNSPECIFIED',
    passes: beneath({ keyUsage: ['keyCertSign'] }),
  },
  {
    what: 'a chain longer than an authority allows',
    refused: beneath({ pathLength: 0 }, {}),
    because: 'PATH_LENGTH_EXCEEDED',
    passes: beneath({ pathLength: 1 }, {}),
  },
  {
    what: 'a certificate for servers',
    refused: client({ usages: ['serverAuth'] }),
    because: 'INVALID_PURPOSE',
    passes: client({ usages: ['serverAuth', 'clientAuth'] }),
  },
  {
    what: 'an authority that may vouch for servers alone',
    refused: beneath({ usages: ['serverAuth'] }),
    because: 'INVALID_PURPOSE',
    passes: beneath({ usages: ['clientAuth'] }),
  },
  {
    what: 'a key that must not sign handshakes',
    refused: client({ keyUsage: ['keyEncipherment'] }),
    because: 'INVALID_PURPOSE',
    passes: client({ keyUsage: ['digitalSignature', 'keyEncipherment'] }),
  },
  {
    what: 'a DNS name outside of the constraint',
    refused: below({ permitted: [{ dns: 'acme.example' }] }, { dns: 'notacme.example' }),
    because: 'UNSPECIFIED',
    passes: below({ permitted: [{ dns: 'acme.example' }] }, { dns: 'agent.acme.example' }),
  },
  {
    what: 'a URI outside of the constraint',
    refused: below({ permitted: [{ uri: 'acme.example' }] }, evil),
    because: 'UNSPECIFIED',
    passes: below({ permitted: [{ uri: 'acme.example' }] }, acme),
  },
  {
    what: 'a URI inside of what is excluded',
    refused: below({ excluded: [{ uri: 'evil.example' }] }, evil),
    because: 'UNSPECIFIED',
    passes: below({ excluded: [{ uri: 'evil.example' }] }, acme),
  },
  {
    what: 'a mail address outside of the constraint',
    refused: below({ permitted: [{ email: 'acme.example' }] }, { email: 'a@evil.example' }),
    because: 'UNSPECIFIED',
    passes: below({ permitted: [{ email: 'acme.example' }] }, { email: 'a@acme.example' }),
  },
  {
    what: 'an address outside of the constraint',
    refused: below({ permitted: [{ ip: '192.0.2.0/24' }] }, { ip: '192.0.3.1' }),
    because: 'UNSPECIFIED',
    passes: below({ permitted: [{ ip: '192.0.2.0/24' }] }, { ip: '192.0.2.1' }),
  },
  {
    what: 'a key of RSA 1024',
    refused: client({ key: 'rsa1024' }),
    because: 'UNSPECIFIED',
    passes: client({ key: 'rsa2048' }),
  },
  {
    what: 'a certificate that was revoked',
    refused: listed({ revoked: true }),
    because: 'CERT_REVOKED',
    passes: listed(),
  },
  {
    what: 'a revocation list that is overdue',
    refused: listed({ until: -1_000 }),
    because: 'CRL_HAS_EXPIRED',
    passes: listed(),
  },
  {
    what: 'an authority without a revocation list, where others have one',
    refused: { ...client(), lists: [makeRevocationList(other, [])] },
    because: 'UNABLE_TO_GET_CRL',
    passes: { ...client(), lists: [makeRevocationList(other, []), makeRevocationList(root, [])] },
  },
  {
    what: 'a certificate with two SPIFFE ids',
    refused: client({ names: [acme, evil] }),
    because: /SPIFFE id beside another URI/,
    passes: client({ names: [acme, { dns: 'billing.acme.example' }] }),
  },
]

for (const { what, refused, because, passes } of pairs) {
  test(`${what} is refused in a handshake, and its near miss passes`, async () => {
    verifies('play2.mtls-in')
    const verdict = await verdictOn(refused)
    if (typeof because === 'string') assert.equal(verdict, because)
    else assert.match(verdict, because)
    assert.equal(await verdictOn(passes), 'accepted')
  })
}

test('keys of every kind that TLS 1.3 takes are accepted', async () => {
  for (const key of ['p256', 'p384', 'rsa2048', 'ed25519'] as const) {
    assert.equal(await verdictOn(client({ key })), 'accepted', key)
  }
})

test('x509-limbo as client certificates: a handshake comes to the verdict of every row, or the row is listed with its reason', async (t) => {
  const rows = corpusRows(t, 'mtls/x509-limbo-catalogue.jsonl')
  if (rows === undefined) return
  verifies('play2.mtls-in')
  const wrong: string[] = []
  const seen = new Set<string>()
  for (const { id, expected, validation } of rows) {
    const name = String(id)
    seen.add(name)
    const make = recast[name]
    if (make === undefined) {
      if (notForClients[name] === undefined) wrong.push(`${name}: neither judged nor listed`)
      if (JSON.stringify(validation).includes('client')) wrong.push(`${name}: a client row is not judged`)
      continue
    }
    const verdict = await verdictOn(make())
    // `see-source`: its description calls the chain invalid.
    const agrees = (verdict === 'accepted') === (expected === 'accept')
    if (agrees === (differs[name] !== undefined)) {
      wrong.push(
        `${name}: expected ${String(expected)}, got ${verdict}, ${agrees ? 'listed' : 'not listed'} as different`,
      )
    }
  }
  for (const name of [...Object.keys(recast), ...Object.keys(notForClients), ...Object.keys(differs)]) {
    if (!seen.has(name)) wrong.push(`${name}: not in the catalogue`)
  }
  assert.deepEqual(wrong, [], wrong.join('\n'))
  t.diagnostic(
    `${Object.keys(recast).length} judged, ${Object.keys(differs).length} of them differ, ${Object.keys(notForClients).length} listed`,
  )
})
