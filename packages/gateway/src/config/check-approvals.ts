import { judgeHost, stripHost } from '../net/address.ts'
import { isLoopbackHost } from '../net/range.ts'
import { parseReference } from '../ports/secret-reference.ts'
import { finding, type Finding } from './finding.ts'
import type { DeclaredConfig } from './declaration.ts'

/** Checks between the values of `approvals`. */
export function checkApprovals({ approvals, listener }: DeclaredConfig, strict: boolean): Finding[] {
  if (approvals === undefined) return []
  const { roles, page } = approvals
  const findings: Finding[] = []
  let signIns = 0
  for (const [role, ids] of Object.entries(roles)) {
    const at = ids.findIndex((id) => id.startsWith('oidc:'))
    if (at === -1) continue
    signIns++
    if (page === undefined)
      findings.push(
        finding(
          ['approvals', 'roles', role, at],
          `is \`${ids[at]}\`, who signs in at \`approvals.page\`, which is missing`,
        ),
      )
  }
  if (page === undefined) return findings
  if (signIns === 0)
    findings.push(
      finding(['approvals', 'page'], 'serves nobody: no role in `approvals.roles` has an `oidc:VALUE`'),
    )
  if (page.listen.port === listener.port)
    findings.push(
      finding(
        ['approvals', 'page', 'listen', 'port'],
        `is \`${page.listen.port}\`, the port of \`listener\`; it needs one of its own`,
      ),
    )
  return [...findings, ...checkTransport(page), ...checkProvider(page, strict)]
}

type Page = NonNullable<NonNullable<DeclaredConfig['approvals']>['page']>

/** Plain HTTP stays on loopback (playbook Play 2). */
function checkTransport({ listen: { host, tls }, publicUrl }: Page): Finding[] {
  const findings: Finding[] = []
  if (tls === undefined && !isLoopbackHost(host)) {
    const words =
      'plain HTTP stays on loopback; set `approvals.page.listen.tls`, or let a proxy on this machine bring TLS'
    findings.push(finding(['approvals', 'page', 'listen', 'host'], `is \`${host}\`; ${words}`))
  }
  if (tls !== undefined && publicUrl.startsWith('http:'))
    findings.push(
      finding(
        ['approvals', 'page', 'publicUrl'],
        `is \`${publicUrl}\`, but \`approvals.page.listen.tls\` makes it https`,
      ),
    )
  return findings
}

function checkProvider({ oidc: { issuer, clientSecret } }: Page, strict: boolean): Finding[] {
  const findings: Finding[] = []
  const path = ['approvals', 'page', 'oidc'] as const
  const host = stripHost(new URL(issuer).hostname)
  if (judgeHost(host).isLinkLocal)
    findings.push(
      finding(
        [...path, 'issuer'],
        `is at \`${host}\`, a link-local address or metadata service, which no provider may be`,
      ),
    )
  if (strict && issuer.startsWith('http:'))
    findings.push(finding([...path, 'issuer'], 'is plain http, which --strict refuses; use https'))
  const parsed = clientSecret === undefined ? undefined : parseReference(clientSecret, { strict })
  if (parsed !== undefined && 'problem' in parsed)
    findings.push(finding([...path, 'clientSecret'], parsed.problem))
  return findings
}
