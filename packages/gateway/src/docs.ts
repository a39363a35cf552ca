import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { coveragePage, findCitations } from '../../../requirements/coverage.ts'
import { requirements } from '../../../requirements/index.ts'
import { hostsPage } from './cli/install-page.ts'
import { policySchema } from './cli/policy-schema.ts'
import { configPage } from './config/page.ts'
import { formatProblem } from './config/problem.ts'
import { configSchema } from './config/schema.ts'
import { errorsPage } from './errors/page.ts'
import { markdownPage } from './threats/markdown-page.ts'
import { threatPage } from './threats/page.ts'
import { readThreats } from './threats/read.ts'

// Writes what is generated into the repository; `--check` tells instead what is stale, for CI. Run as `npm run docs`.

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))

/** One entry of package-lock.json, as far as the runtime tree needs it. */
interface LockedPackage {
  readonly version?: string
  readonly link?: boolean
  readonly resolved?: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

type Lock = Readonly<Record<string, LockedPackage>>

/** Every generated file by its path from the root, with the text that it must have. */
export function generatedFiles(): ReadonlyMap<string, string> {
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as { packages: Lock }
  return new Map([
    ['docs/errors.md', errorsPage()],
    ['docs/config.md', configPage()],
    ['docs/callgate.schema.json', `${JSON.stringify(configSchema(), null, 2)}\n`],
    ['docs/policy.schema.json', `${JSON.stringify(policySchema(), null, 2)}\n`],
    ['docs/hosts.md', hostsPage()],
    ['docs/threat-model.md', threatModel()],
    ['docs/coverage.md', coveragePage(requirements, findCitations(ROOT))],
    ['deps.txt', `${runtimeTree(lock.packages).join('\n')}\n`],
  ])
}

/** @throws Error with every problem of rules/threats */
function threatModel(): string {
  const read = readThreats(join(ROOT, 'rules', 'threats'))
  if (read.problems !== undefined) throw new Error(read.problems.map(formatProblem).join('\n'))
  return markdownPage(threatPage(read.threats, {}))
}

/** Paths of generated files that are missing or not what the sources say. */
export function staleFiles(): string[] {
  return [...generatedFiles()]
    .filter(
      ([path, text]) => !existsSync(join(ROOT, path)) || readFileSync(join(ROOT, path), 'utf8') !== text,
    )
    .map(([path]) => path)
}

/**
 * Everything that a running gate loads, as sorted `name@version`: the dependencies of packages/gateway and packages/evidence
 * with all of theirs, and the Node that is brought along. Our own packages are not in it.
 */
export function runtimeTree(lock: Lock): string[] {
  const found = new Set<string>()
  const visited = new Set<string>()
  const visit = (from: string, name: string): void => {
    const at = locate(lock, from, name)
    if (at === undefined || visited.has(at)) return
    visited.add(at)
    const entry = lock[at]
    if (entry?.link) return follow(entry.resolved ?? '')
    found.add(`${name}@${entry?.version ?? '?'}`)
    follow(at)
  }
  const follow = (at: string): void => {
    const entry = lock[at]
    const names = Object.keys({ ...entry?.dependencies, ...entry?.optionalDependencies })
    for (const name of names) visit(at, name)
  }
  follow('packages/gateway')
  follow('packages/evidence')
  for (const name of Object.keys(lock['']?.optionalDependencies ?? {})) visit('', name)
  return [...found].sort()
}

/** Node's own search: the nearest node_modules on the way up that holds the package. */
function locate(lock: Lock, from: string, name: string): string | undefined {
  let folder = from
  for (;;) {
    const at = folder === '' ? `node_modules/${name}` : `${folder}/node_modules/${name}`
    if (Object.hasOwn(lock, at)) return at
    if (folder === '') return undefined
    folder = folder.includes('/') ? folder.slice(0, folder.lastIndexOf('/')) : ''
  }
}

if (import.meta.main) {
  const stale = staleFiles()
  const checkOnly = process.argv.includes('--check')
  const files = generatedFiles()
  for (const path of stale) {
    if (!checkOnly) writeFileSync(join(ROOT, path), files.get(path) ?? '')
    process.stdout.write(`${path} ${checkOnly ? 'is stale; run `npm run docs`' : 'written'}\n`)
  }
  if (checkOnly && stale.length > 0) process.exitCode = 1
}
