import { judgeHost, stripHost } from '../net/address.ts'
import { parseReference } from '../ports/secret-reference.ts'
import { type ConfigPath, formatPath } from './problem.ts'

/** A rule between several values, or of strict mode, that does not hold. */
export interface Finding {
  readonly path: ConfigPath
  readonly message: string
}

export function finding(path: ConfigPath, message: string): Finding {
  return { path, message: `\`${formatPath(path)}\` ${message}` }
}

/** A service of the operator's own that the gate asks. */
export function checkService(
  path: ConfigPath,
  { url, token }: { readonly url: string; readonly token?: string | undefined },
  what: string,
  strict: boolean,
): Finding[] {
  const findings: Finding[] = []
  const host = stripHost(new URL(url).hostname)
  if (judgeHost(host).isLinkLocal)
    findings.push(
      finding(
        [...path, 'url'],
        `is at \`${host}\`, a link-local address or metadata service, which no ${what} may be`,
      ),
    )
  const parsed = token === undefined ? undefined : parseReference(token, { strict })
  if (parsed !== undefined && 'problem' in parsed) findings.push(finding([...path, 'token'], parsed.problem))
  return findings
}
