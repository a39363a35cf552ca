// Chains of the x509-limbo catalogue, made from their descriptions as chains of a client: extended key usage clientAuth in
// place of serverAuth. https://x509-limbo.com
import type { Handshake } from './handshake.ts'
import { extension, makeCa, makeCertificate, makeKeys, makeRevocationList, oid, seq, tlv } from './pki.ts'
import type { CertificateSpec, Issued, Name } from './pki.ts'

const root = makeCa()

/** Root -> leaf, with one thing changed in either. */
function pair(leaf: CertificateSpec, ca?: CertificateSpec): Handshake {
  const issuer = ca === undefined ? root : makeCa(ca)
  return { shown: [makeCertificate({ issuer, ...leaf })], trusted: [issuer] }
}

/** Root -> intermediate -> leaf. */
function triple(leaf: CertificateSpec, intermediate: CertificateSpec): Handshake {
  const ica = makeCa({ issuer: root, ...intermediate })
  return { shown: [makeCertificate({ issuer: ica, ...leaf }), ica], trusted: [root] }
}

const dns = (...names: string[]): { names: Name[] } => ({ names: names.map((name) => ({ dns: name })) })
const permits = (...permitted: Name[]): CertificateSpec => ({ constraints: { permitted } })
const excludes = (...excluded: Name[]): CertificateSpec => ({ constraints: { excluded } })

/** An extension that nobody knows, critical. */
const UNKNOWN = extension('1.3.6.1.4.1.55738.666.1', true, Buffer.alloc(0))
const accessTo = (...descriptions: Buffer[]): Buffer =>
  extension('1.3.6.1.5.5.7.1.1', false, seq(...descriptions))
const CA_ISSUERS = seq(oid('1.3.6.1.5.5.7.48.2'), tlv(0x86, Buffer.from('http://ca.example/ca.crt')))
const policyConstraints = extension('2.5.29.36', false, seq(tlv(0x80, Buffer.from([0]))))
const many = (count: number, name: (i: number) => Name): Name[] =>
  Array.from({ length: count }, (_, i) => name(i))
/** Enough to make names times constraints more than OpenSSL is willing to compare (2^20). */
const MANY: CertificateSpec = {
  constraints: {
    permitted: many(1_100, (i) => ({ dns: `t${i}.test` })),
    excluded: many(1_100, (i) => ({ dns: `x${i}.test` })),
  },
}

/** Rows that can be made for a client, by id. */
export const recast: Readonly<Record<string, () => Handshake>> = {
  'crl::revoked_certificate_with_crl': () => revokedBy(makeCa()),
  'crl::crlnumber_missing': () => goodUnder(makeCa(), { number: null }),
  'crl::issuer_missing_crlsign': () => goodUnder(makeCa({ keyUsage: ['keyCertSign'] })),
  'crl::issuer_no_keyusage_extension': () => goodUnder(makeCa({ keyUsage: null })),
  'cve::cve_2025_61727_nc_permits_variant': () =>
    triple(dns('*.example.com'), permits({ dns: 'foo.example.com' })),

  'pathlen::validation_ignores_pathlen_in_leaf': () =>
    triple({ ca: true, pathLength: 0, keyUsage: ['digitalSignature', 'keyCertSign'] }, { pathLength: 0 }),
  'pathlen::intermediate_violates_pathlen_0': () => {
    const first = makeCa({ issuer: root, pathLength: 0 })
    const second = makeCa({ issuer: first, pathLength: 0 })
    return { shown: [makeCertificate({ issuer: second }), second, first], trusted: [root] }
  },
  'pathological::multiple_chains_expired_intermediate': () => {
    const second = makeCa()
    const first = makeCa({ subject: 'first' })
    const bridge = makeCa({ subject: 'first', key: first.keys, issuer: second, until: -60_000 })
    return { shown: [makeCertificate({ issuer: first }), bridge], trusted: [first, second] }
  },
  'pathological::intermediate_cycle_distinct_cas': () => {
    const keys = makeKeys('p256')
    const a = makeCa({ subject: 'a', key: keys })
    const b = makeCa({ subject: 'b', issuer: a })
    const aByB = makeCa({ subject: 'a', key: keys, issuer: b })
    return { shown: [makeCertificate({ issuer: b }), b, aByB], trusted: [root] }
  },
  'pathological::nc_dos_2': () => pair({ names: many(1_000, (i) => ({ dns: `t${i}.test` })) }, MANY),
  'pathological::nc_dos_3': () =>
    pair({ subject: Array.from({ length: 1_000 }, (_, i) => `t${i}.test`), names: null }, MANY),
  'pathological::pathological_chain_same_subject_same_key': () => {
    const keys = makeKeys('p256')
    const chain = Array.from({ length: 100 }, () => makeCa({ subject: 'same', key: keys }))
    const [last = root] = chain
    return { shown: [makeCertificate({ issuer: last }), ...chain], trusted: [root] }
  },

  'rfc5280::ee_empty_issuer': () => pair({}, { subject: '' }),
  'rfc5280::unknown_critical_extension_unrelated_root': () => ({
    shown: [makeCertificate({ issuer: root })],
    trusted: [root, makeCa({ extensions: [UNKNOWN] })],
  }),
  'rfc5280::unknown_critical_extension_unrelated_intermediate': () => ({
    shown: [makeCertificate({ issuer: root }), makeCa({ issuer: root, extensions: [UNKNOWN] })],
    trusted: [root],
  }),
  'rfc5280::intermediate_ca_missing_basic_constraints': () => triple({}, { ca: null }),
  'rfc5280::root_missing_basic_constraints': () => pair({}, { ca: null }),
  'rfc5280::leaf_ku_keycertsign': () => pair({ keyUsage: ['digitalSignature', 'keyCertSign'] }),
  'rfc5280::ee_aia': () => pair({ extensions: [accessTo(CA_ISSUERS)] }),
  'rfc5280::no_basicconstraints': () => pair({ ca: null }),
  'rfc5280::mismatching_signature_algorithm': () => pair({}, { claims: 'p384' }),
  'rfc5280::aki::critical_aki': () => pair({}, { authorityKeyId: 'critical' }),
  'rfc5280::aki::leaf_missing_aki': () => pair({ authorityKeyId: false }),
  'rfc5280::eku::ee_wrong_eku': () => pair({ usages: ['serverAuth'] }),
  'rfc5280::eku::ee_without_eku': () => pair({ usages: null }),

  'rfc5280::nc::permitted_dns_match': () => pair(dns('example.com'), permits({ dns: 'example.com' })),
  'rfc5280::nc::permitted_dns_match_noncritical': () =>
    pair(dns('example.com'), { constraints: { permitted: [{ dns: 'example.com' }], critical: false } }),
  'rfc5280::nc::excluded_ipv4_match': () =>
    pair({ names: [{ ip: '192.0.2.1' }] }, excludes({ ip: '192.0.2.0/24' })),
  'rfc5280::nc::excluded_ipv6_match': () => pair({ names: [{ ip: '::1' }] }, excludes({ ip: '::1/128' })),
  'rfc5280::nc::excluded_dn_match': () => pair({ names: [{ dn: 'foo' }] }, excludes({ dn: 'foo' })),
  'rfc5280::nc::permitted_dn_match': () =>
    pair({ subject: 'foo', names: [{ dn: 'foo' }] }, permits({ dn: 'foo' })),
  'rfc5280::nc::excluded_self_issued_leaf': () => {
    const top = makeCa({ ...permits({ dns: 'example.com' }) })
    const ica = makeCa({ issuer: top, subject: 'self' })
    const leaf = makeCertificate({ issuer: ica, subject: 'self', ...dns('not-example.com') })
    return { shown: [leaf, ica], trusted: [top] }
  },
  'rfc5280::nc::excluded_match_permitted_and_excluded': () =>
    pair(dns('example.com'), {
      constraints: { permitted: [{ dns: 'example.com' }], excluded: [{ dns: 'example.com' }] },
    }),
  'rfc5280::nc::invalid_dnsname_leading_period': () =>
    pair(dns('foo.example.com'), permits({ dns: '.example.com' })),
  'rfc5280::nc::invalid_ipv4_address': () =>
    pair({ names: [{ ip: '127.0.0.1' }] }, permits({ ip: Buffer.from([127, 0, 0, 1]) })),
  'rfc5280::nc::not_allowed_in_ee_critical': () =>
    pair({ ...dns('example.com'), ...permits({ dns: 'example.com' }) }),
  'rfc5280::nc::intermediate_with_san_rejected_by_intermediate_nc': () => {
    const first = makeCa({
      issuer: root,
      constraints: {
        permitted: [{ dns: 'permitted.example.com' }],
        excluded: [{ dns: 'forbidden.example.com' }],
      },
    })
    const second = makeCa({ issuer: first, ...dns('forbidden.example.com') })
    const leaf = makeCertificate({ issuer: second, ...dns('permitted.example.com') })
    return { shown: [leaf, second, first], trusted: [root] }
  },
  'rfc5280::nc::nc_permits_invalid_dns_san': () =>
    triple(dns('.example.com'), permits({ dns: 'example.com' })),
  'rfc5280::nc::nc_permits_invalid_ip_san': () =>
    triple({ names: [{ ip: '192.0.2.0/24' }] }, permits({ ip: '192.0.2.0/24' })),
  'rfc5280::nc::nc_permits_email_exact': () =>
    triple({ names: [{ email: 'foo@example.com' }] }, permits({ email: 'foo@example.com' })),
  'rfc5280::nc::nc_permits_email_domain': () =>
    triple({ names: [{ email: 'foo@example.com' }] }, permits({ email: 'example.com' })),
  'rfc5280::nc::nc_permits_email_literal_double_asterisk': () =>
    triple({ names: [{ email: '**@example.com' }] }, permits({ email: '**@example.com' })),
  'rfc5280::nc::nc_permits_email_literal_double_asterisk_rejects_single': () =>
    triple({ names: [{ email: '*@example.com' }] }, permits({ email: '**@example.com' })),
  'rfc5280::nc::nc_forbids_dnsname_wildcard_san': () =>
    triple(dns('*.example.com'), excludes({ dns: 'bar.example.com' })),

  'rfc5280::pc::ica_noncritical_pc': () => triple({}, { extensions: [policyConstraints] }),
  'rfc5280::san::ip_in_dns': () => pair(dns('127.0.0.1')),
  'rfc5280::serial::too_long': () => pair({ serial: Buffer.alloc(22, 1) }),
  'rfc5280::ski::root_missing_ski': () => pair({}, { subjectKeyId: false }),
  'rfc5280::ski::intermediate_missing_ski': () => triple({}, { subjectKeyId: false }),
  // A certificate holds whole seconds, so this one begins with the running second.
  'rfc5280::validity::notbefore_exact': () => triple({ from: 0 }, {}),
  'rfc5280::validity::expired_5_seconds': () => triple({ until: -5_000 }, {}),
  // A minute in place of a second: the handshake takes some time.
  'rfc5280::validity::not_yet_valid_1_second': () => triple({ from: 60_000 }, {}),

  'webpki::cryptographydotio_chain_missing_intermediate': () => {
    const ica = makeCa({ issuer: root })
    return { shown: [makeCertificate({ issuer: ica })], trusted: [root] }
  },
  'webpki::malformed_aia': () => pair({ extensions: [accessTo()] }),
  // No TLS 1.3 signature is made with DSA, so a client cannot even show it.
  'webpki::forbidden_dsa_leaf': () => pair({ key: 'dsa' }),
  'webpki::forbidden_weak_rsa_key_in_root': () => pair({}, { key: 'rsa1024' }),
  'webpki::v1_cert': () => pair({ version: 1 }),
  'webpki::ee_basicconstraints_ca': () => pair({ ca: true }),
  'webpki::nc::permitted_dns_match_noncritical': () =>
    pair(dns('example.com'), { constraints: { permitted: [{ dns: 'example.com' }], critical: false } }),
  'webpki::san::exact_dns_san': () => pair(dns('example.com')),
  'webpki::san::exact_localhost_ip_san': () => pair({ names: [{ ip: '127.0.0.1' }] }),
}

function revokedBy(ca: Issued): Handshake {
  const leaf = makeCertificate({ issuer: ca })
  return { shown: [leaf], trusted: [ca], lists: [makeRevocationList(ca, [leaf])] }
}

/** A client that is not on the list of its authority. */
function goodUnder(ca: Issued, list: { number?: number | null } = {}): Handshake {
  const other = makeCertificate({ issuer: ca })
  return {
    shown: [makeCertificate({ issuer: ca })],
    trusted: [ca],
    lists: [makeRevocationList(ca, [other], list)],
  }
}

const FORM = 'a fault of form that OpenSSL lets pass; who signed it and for how long is checked all the same'
const TRUSTED = 'a fault in a root, which counts because the operator names it, not for what it says'

/** Rows that are judged, where a handshake comes to another verdict; each with the reason why that is no hole. */
export const differs: Readonly<Record<string, string>> = {
  'crl::crlnumber_missing': FORM,
  'rfc5280::ee_empty_issuer': 'an authority without a name; the operator trusted that very certificate',
  'rfc5280::root_missing_basic_constraints': TRUSTED,
  'rfc5280::leaf_ku_keycertsign': 'the leaf is no authority, so what its key signs is still refused',
  'rfc5280::mismatching_signature_algorithm': TRUSTED,
  'rfc5280::aki::leaf_missing_aki': FORM,
  'rfc5280::nc::permitted_dns_match_noncritical': 'the constraint is applied, critical or not',
  'rfc5280::nc::invalid_dnsname_leading_period':
    'the constraint is read as `any host below`, which permits less',
  'rfc5280::nc::not_allowed_in_ee_critical': 'a leaf signs nothing that its constraint could permit',
  'rfc5280::nc::nc_permits_invalid_dns_san': 'no actor has a name that begins with a dot; names match whole',
  'rfc5280::nc::nc_forbids_dnsname_wildcard_san':
    'a wildcard is no pattern for us: it names no actor but itself',
  'rfc5280::pc::ica_noncritical_pc': FORM,
  'rfc5280::san::ip_in_dns': 'names match whole, so it stands for the actor of that very text at most',
  'rfc5280::serial::too_long': FORM,
  'rfc5280::ski::root_missing_ski': TRUSTED,
  'rfc5280::ski::intermediate_missing_ski': FORM,
  'webpki::malformed_aia': 'nobody follows the addresses in a certificate',
  'webpki::v1_cert': 'an old leaf has no names beside its subject and signs nothing',
  'webpki::ee_basicconstraints_ca':
    'an authority whose key may not sign certificates is none; one whose key may is refused as a client',
  'pathlen::validation_ignores_pathlen_in_leaf':
    'the leaf is an authority, which no workload may be (SPIFFE X.509-SVID section 5.1)',
}

const HOST_NAME = 'compares a server name; a client certificate is mapped to an actor by whole names'
const PUBLIC_WEB = 'a rule for authorities of the public web; the operator names the authorities of clients'

/** Rows that say nothing about a client, each with the reason. */
export const notForClients: Readonly<Record<string, string>> = {
  'invalid::invalid_issuer_key': 'the catalogue does not describe the chain',
  'pathlen::max_chain_depth_0':
    'Node has no option for the depth of a chain; path length constraints limit it',
  'pathlen::max_chain_depth_0_exhausted':
    'Node has no option for the depth of a chain; path length constraints limit it',
  'rfc5280::validity::notbefore_fractional':
    'OpenSSL takes the time of the system; a test cannot hold it at a fraction',
  'webpki::aki::root_with_aki_authoritycertserialnumber': PUBLIC_WEB,
  'webpki::aki::root_with_aki_all_fields': PUBLIC_WEB,
  'webpki::cn::ipv6_uppercase_mismatch': PUBLIC_WEB,
  'webpki::cn::ipv6_uncompressed_mismatch': PUBLIC_WEB,
  'webpki::cn::not_in_san': PUBLIC_WEB,
  'webpki::cn::case_mismatch': PUBLIC_WEB,
  'webpki::eku::root_has_eku': PUBLIC_WEB,
  'webpki::san::public_suffix_wildcard_san': PUBLIC_WEB,
  'webpki::san::no_san': PUBLIC_WEB,
  'webpki::san::san_critical_with_nonempty_subject': PUBLIC_WEB,
  'webpki::san::mismatch_apex_subdomain_san': HOST_NAME,
  'webpki::san::wildcard_embedded_leftmost_san': HOST_NAME,
  'webpki::san::wildcard_not_in_leftmost_san': HOST_NAME,
}
