import { nearest } from '../text/nearest.ts'
import type { DeclaredConfig } from './declaration.ts'
import { checkService, finding, type Finding } from './finding.ts'
import { isPack, packFile } from './policy-packs.ts'

/** Where rules come from: files, packs and one bundle. */
export function checkPolicy(config: DeclaredConfig, strict: boolean): Finding[] {
  return [...checkPacks(config), ...checkBundle(config, strict)]
}

/** What goes first is said whole, of groups and servers that there are. */
export function checkRollout({ rollout: { groups, enforce }, servers }: DeclaredConfig): Finding[] {
  const findings: Finding[] = Object.entries(groups)
    .filter(([, of]) => Object.keys(of).length === 0)
    .map(([name]) => finding(['rollout', 'groups', name], 'needs `actors`, `subjects` or `tenants`'))
  for (const [index, entry] of enforce.entries()) {
    const path = ['rollout', 'enforce', index] as const
    if (entry.rules === undefined && entry.controls === undefined)
      findings.push(finding(path, 'needs `rules` or `controls`'))
    if (entry.groups === undefined && entry.servers === undefined)
      findings.push(
        finding(path, 'needs `groups` or `servers`; to enforce for all, take `mode: observe` away'),
      )
    for (const [key, known] of [
      ['groups', Object.keys(groups)],
      ['servers', Object.keys(servers)],
    ] as const)
      for (const [at, name] of (entry[key] ?? []).entries()) {
        if (known.includes(name)) continue
        const near = nearest(name, known)
        const where = key === 'groups' ? 'rollout.groups' : 'servers'
        const hint = near === undefined ? '' : `; did you mean \`${near}\``
        findings.push(
          finding([...path, key, at], `is \`${name.slice(0, 80)}\`, which \`${where}\` does not have${hint}`),
        )
      }
  }
  return findings
}

/** A pack is named rightly, and once. */
function checkPacks({ policy }: DeclaredConfig): Finding[] {
  return policy.files.flatMap((entry, i) => {
    if (!isPack(entry)) return []
    const path = ['policy', 'files', i]
    const found = packFile(entry)
    if ('message' in found) return [finding(path, `is \`${entry.slice(0, 80)}\`, which ${found.message}`)]
    const first = policy.files.indexOf(entry)
    return first === i
      ? []
      : [finding(path, `is \`${entry}\`, which entry ${first + 1} includes already; leave one of them out`)]
  })
}

/** There is a policy, and one place where its bundle comes from. */
function checkBundle({ policy: { files, bundle } }: DeclaredConfig, strict: boolean): Finding[] {
  if (bundle === undefined)
    return files.length > 0
      ? []
      : [finding(['policy'], 'needs `files` or `bundle`, or every call is refused')]
  const path = ['policy', 'bundle'] as const
  const { url, token, whenTooOld } = bundle
  const findings: Finding[] = []
  if ((url === undefined) === (bundle.file === undefined))
    findings.push(finding(path, 'needs exactly one of `url` and `file`'))
  if (url === undefined && token !== undefined)
    findings.push(finding([...path, 'token'], 'goes with `url`, where it is shown'))
  if (url !== undefined) findings.push(...checkService(path, { url, token }, 'source of policy', strict))
  if (strict && whenTooOld === 'keep')
    findings.push(
      finding(
        [...path, 'whenTooOld'],
        'is `keep`, which --strict refuses: whoever holds back newer bundles would keep the old one in force; use `deny`',
      ),
    )
  return findings
}
