import { judgeHost, stripHost } from '../net/address.ts'
import { ENROLLED_ISSUER } from '../ports/enrolments.ts'
import { parseReference } from '../ports/secret-reference.ts'
import { addressOf, isLoopbackHost, isPrivateRange, isWithin } from '../net/range.ts'
import { nearest } from '../text/nearest.ts'
import { isFindable, patternProblem } from '../text/own.ts'
import { checkApprovals } from './check-approvals.ts'
import type { DeclaredConfig } from './declaration.ts'
import { isUrl } from './forms.ts'
import { checkPolicy, checkRollout } from './check-policy.ts'
import type { ConfigPath } from './problem.ts'
import { checkService, finding, type Finding } from './finding.ts'

/** Checks what one value alone cannot tell, and with `strict` refuses what is meant for development. */
export function check(config: DeclaredConfig, strict: boolean): Finding[] {
  return [
    ...checkListener(config),
    ...checkIssuers(config, strict),
    ...checkCertificates(config),
    ...checkServers(config, strict),
    ...checkOwnData(config),
    ...checkServices(config, strict),
    ...checkApprovals(config, strict),
    ...checkOwnership(config, strict),
    ...checkPolicy(config, strict),
    ...checkRollout(config),
  ]
}

function checkListener({ listener }: DeclaredConfig): Finding[] {
  const findings: Finding[] = []
  if (listener.headersTimeoutMs > listener.requestTimeoutMs) {
    const message = `is \`${listener.headersTimeoutMs}\`, longer than \`listener.requestTimeoutMs\` (\`${listener.requestTimeoutMs}\`); headers are part of the request`
    findings.push(finding(['listener', 'headersTimeoutMs'], message))
  }
  return [...findings, ...checkTransport(listener)]
}

/** Plain HTTP stays on loopback (playbook Play 2), and what is meant for TLS stands beside it. */
function checkTransport({ host, publicUrl, tls }: DeclaredConfig['listener']): Finding[] {
  const findings: Finding[] = []
  if (!isLoopbackHost(host)) {
    if (tls === undefined) {
      const words =
        'plain HTTP stays on loopback; set `listener.tls`, or let a proxy on this machine bring TLS'
      findings.push(finding(['listener', 'host'], `is \`${host}\`; ${words}`))
    }
    if (tls !== undefined && publicUrl === undefined) {
      const words =
        'is missing (expected the origin under which hosts reach the gate, beside a `host` off loopback)'
      findings.push(finding(['listener', 'publicUrl'], words))
    }
  }
  if (tls === undefined) return findings
  if (publicUrl?.startsWith('http:'))
    findings.push(
      finding(['listener', 'publicUrl'], `is \`${publicUrl}\`, but \`listener.tls\` makes it https`),
    )
  if (tls.crl !== undefined && tls.clientCa === undefined)
    findings.push(finding(['listener', 'tls', 'crl'], 'goes with `clientCa`, whose certificates it revokes'))
  return findings
}

function checkOwnData({ dlp }: DeclaredConfig): Finding[] {
  return Object.entries(dlp.own).flatMap(([name, { words, file, pattern }]): Finding[] => {
    if (words === undefined && file === undefined && pattern === undefined)
      return [finding(['dlp', 'own', name], 'needs `words`, `file` or `pattern`')]
    const lost = words?.findIndex((word) => !isFindable(word)) ?? -1
    if (lost >= 0) return [finding(['dlp', 'own', name, 'words', lost], 'has no letter and no digit')]
    const problem = pattern === undefined ? undefined : patternProblem(pattern)
    return problem === undefined
      ? []
      : [finding(['dlp', 'own', name, 'pattern'], `is no pattern of RE2: ${problem}`)]
  })
}

function checkCertificates({ identity, listener }: DeclaredConfig): Finding[] {
  const findings: Finding[] = []
  for (const [index, { uri, dns, subject }] of identity.certificates.entries()) {
    const path = ['identity', 'certificates', index] as const
    if ([uri, dns, subject].filter((name) => name !== undefined).length !== 1)
      findings.push(finding(path, 'needs exactly one of `uri`, `dns` and `subject`'))
  }
  if (identity.certificates.length > 0 && listener.tls?.clientCa === undefined)
    findings.push(finding(['identity', 'certificates'], 'needs `listener.tls.clientCa`, which verifies them'))
  return findings
}

function checkIssuers({ identity }: DeclaredConfig, strict: boolean): Finding[] {
  const findings: Finding[] = []
  if (identity.issuers.length === 0 && !identity.enrolment)
    findings.push(
      finding(
        ['identity', 'issuers'],
        'is empty, so that nobody could call; name one, or set `enrolment: true`',
      ),
    )
  if (identity.enrolment && !identity.algorithms.includes('ES256'))
    findings.push(finding(['identity', 'algorithms'], 'lacks `ES256`, with which enrolled keys sign'))
  const seen = new Map<string, number>()
  for (const [index, issuer] of identity.issuers.entries()) {
    const path = ['identity', 'issuers', index] as const
    const first = seen.get(issuer.issuer)
    if (first !== undefined)
      findings.push(finding([...path, 'issuer'], `is \`identity.issuers[${first}].issuer\` again; keep one`))
    seen.set(issuer.issuer, first ?? index)
    if (issuer.issuer.startsWith(ENROLLED_ISSUER))
      findings.push(
        finding([...path, 'issuer'], `begins with \`${ENROLLED_ISSUER}\`, the names of enrolled keys`),
      )
    if (issuer.dev && issuer.jwks !== undefined) {
      findings.push(
        finding(
          [...path, 'jwks'],
          'goes with `dev: true`, whose keys lie in <state>/keys; remove one of the two',
        ),
      )
    }
    if (!issuer.dev && issuer.jwks === undefined) {
      findings.push(finding([...path, 'jwks'], 'is missing (expected a file path or an https URL)'))
    }
    if (!strict) continue
    if (issuer.exception !== undefined && !(endOfDay(issuer.exception.until) > Date.now())) {
      findings.push(
        finding(
          [...path, 'exception', 'until'],
          `is \`${issuer.exception.until}\`, which is over or no day, which --strict refuses; remove the exception, or set another day`,
        ),
      )
    }
    if (issuer.dev)
      findings.push(
        finding([...path, 'dev'], 'is `true`, which --strict refuses; name the issuer of your company'),
      )
    if (issuer.jwks !== undefined && isUrl(issuer.jwks) && !issuer.jwks.startsWith('https:')) {
      findings.push(finding([...path, 'jwks'], 'is plain http, which --strict refuses; use https or a file'))
    }
  }
  return findings
}

/** @returns milliseconds since the epoch at which a day is over in UTC; NaN, which nothing is before, for one that no month has */
export function endOfDay(day: string): number {
  const start = new Date(`${day}T00:00:00Z`)
  const isDay = !Number.isNaN(start.getTime()) && start.toISOString().startsWith(day)
  return isDay ? start.getTime() + 86_400_000 : NaN
}

function checkServers({ servers }: DeclaredConfig, strict: boolean): Finding[] {
  const findings: Finding[] = []
  for (const [id, server] of Object.entries(servers)) {
    const path = ['servers', id] as const
    if (strict && server.approve === 'first-use') {
      findings.push(
        finding(
          [...path, 'approve'],
          'is `first-use`, which --strict refuses; use `manual` and `callgate servers approve`',
        ),
      )
    }
    for (const [tool, { class: what, idempotency }] of Object.entries(server.tools)) {
      if (what === 'read' && idempotency === 'derived')
        findings.push(
          finding(
            [...path, 'tools', tool, 'idempotency'],
            'is `derived`, which would answer a read by what was read before; it goes with every class but `read`',
          ),
        )
    }
    if (server.transport === 'http') {
      if (server.tls !== undefined && !server.url.startsWith('https:'))
        findings.push(finding([...path, 'tls'], 'goes with an https `url`'))
      if ((server.tls?.cert === undefined) !== (server.tls?.key === undefined))
        findings.push(finding([...path, 'tls'], 'needs both `cert` and `key`, or none of them'))
      findings.push(...checkCredentials(server.credentials, [...path, 'credentials'], strict))
      const why = unreachable(server.url, server.network)
      if (why !== undefined) findings.push(finding([...path, 'url'], why))
    }
  }
  return findings
}

function checkServices({ dlp: { detector }, tickets }: DeclaredConfig, strict: boolean): Finding[] {
  return [
    ...(detector === undefined ? [] : checkService(['dlp', 'detector'], detector, 'detector', strict)),
    ...(tickets === undefined || tickets.type === 'file'
      ? []
      : checkService(['tickets'], tickets, 'ticket system', strict)),
  ]
}

/** Sources of owners that say something, and types that there are. */
function checkOwnership({ ownership, servers }: DeclaredConfig, strict: boolean): Finding[] {
  const findings: Finding[] = []
  for (const [type, source] of Object.entries(ownership.types)) {
    const path = ['ownership', 'types', type] as const
    if (source.source === 'claims' && source.equals.length === 0 && source.prefix === undefined)
      findings.push(finding(path, 'needs `equals` or `prefix`, or every id would be refused'))
    if ('url' in source) findings.push(...checkService(path, source, 'owner source', strict))
  }
  const known = Object.keys(ownership.types)
  const meant = (type: string): string => {
    const near = nearest(type, known)
    return near === undefined ? '' : `; did you mean \`${near}\``
  }
  for (const [id, server] of Object.entries(servers))
    for (const [tool, { owned = [] }] of Object.entries(server.tools))
      for (const [index, { type }] of owned.entries())
        if (!known.includes(type))
          findings.push(
            finding(
              ['servers', id, 'tools', tool, 'owned', index, 'type'],
              `is \`${type}\`, which \`ownership.types\` does not have${meant(type)}`,
            ),
          )
  return findings
}

type Credentials = Extract<DeclaredConfig['servers'][string], { transport: 'http' }>['credentials']

function checkCredentials(credentials: Credentials, path: ConfigPath, strict: boolean): Finding[] {
  if (credentials === undefined) return []
  const findings: Finding[] = []
  for (const [at, reference] of referencesIn(credentials)) {
    const parsed = parseReference(reference, { strict })
    if ('problem' in parsed) findings.push(finding([...path, ...at], parsed.problem))
  }
  if ('auth' in credentials && (credentials.issuer === undefined) === (credentials.tokenUrl === undefined))
    findings.push(finding(path, 'needs exactly one of `issuer` and `tokenUrl`'))
  if (
    credentials.type === 'authorization_code' &&
    (credentials.authorizeUrl === undefined) !== (credentials.tokenUrl === undefined)
  )
    findings.push(finding([...path, 'authorizeUrl'], 'goes with `tokenUrl`, and `tokenUrl` with it'))
  return findings
}

function referencesIn(
  credentials: NonNullable<Credentials>,
): readonly (readonly [readonly string[], string])[] {
  if (!('auth' in credentials)) return [[['secret'], credentials.secret]]
  const { auth } = credentials
  if ('key' in auth) return [[['auth', 'key'], auth.key]]
  return 'secret' in auth ? [[['auth', 'secret'], auth.secret]] : []
}

/** Why a host written into the URL may not be reached. Other names are judged when they are resolved. */
function unreachable(url: string, network: readonly string[]): string | undefined {
  const host = stripHost(new URL(url).hostname)
  const judged = judgeHost(host)
  // INVARIANT: no `network` opens the way to a metadata service, not even a range that holds its address.
  if (judged.isLinkLocal)
    return `is at \`${host}\`, a link-local address or metadata service, which no server may be`
  const address = addressOf(host === 'localhost' ? '127.0.0.1' : host)
  if (!judged.isPrivate || address === undefined || isWithin(address, network)) return undefined
  const range = `${address.toNormalizedString()}/${address.kind() === 'ipv4' ? 32 : 128}`
  return isPrivateRange(range)
    ? `is at \`${host}\`, an address of your own network; allow it by \`network: [${range}]\``
    : `is at \`${host}\`, an address of no network that a server could be in`
}
