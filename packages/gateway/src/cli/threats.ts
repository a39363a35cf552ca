import { type EvidenceRecord, readRecords } from '@callgate/evidence'
import { fileURLToPath } from 'node:url'
import { formatProblem } from '../config/problem.ts'
import { loadPolicyFiles } from '../stages/policy/load.ts'
import { formatProblem as formatPolicyProblem } from '../stages/policy/problem.ts'
import type { Rule } from '../stages/policy/rule.ts'
import type { RuleFacts } from '../threats/control.ts'
import { countFirings } from '../threats/firings.ts'
import { htmlPage } from '../threats/html-page.ts'
import { type PageSources, threatPage } from '../threats/page.ts'
import { readThreats } from '../threats/read.ts'
import { textPage } from '../threats/text-page.ts'
import { logFolder } from './evidence.ts'
import { configPath, requireConfig } from './locate.ts'
import { CommandFailed, print, printJson } from './output.ts'
import { safeText } from '../text/safe-text.ts'
import { bundleFiles } from './policy-bundle.ts'
import type { World } from './world.ts'

const FORMATS = ['text', 'html', 'json']
const OURS = fileURLToPath(new URL('../../../../rules/threats', import.meta.url))

interface Options {
  readonly format: string
  readonly config?: string
  /** True: the log of this node. */
  readonly log?: string | true
  readonly threats?: string
  readonly json?: boolean
}

/** `callgate threats`: threats, controls, detections and response on one page (playbook Play 1). Exit 1 for files with a fault. */
export async function threats(world: World, options: Options): Promise<void> {
  const format = options.json === true ? 'json' : options.format
  if (!FORMATS.includes(format))
    throw new CommandFailed(`--format is \`${safeText(format)}\` (expected text, html or json)`, {
      exitCode: 2,
    })
  const read = readThreats(options.threats ?? OURS)
  if (read.problems !== undefined)
    throw new CommandFailed(read.problems.map((problem) => safeText(formatProblem(problem))).join('\n'))
  const page = threatPage(read.threats, {
    ...(await runningOf(world, options.config)),
    ...(await firingsOf(world, options.log)),
    now: world.now(),
  })
  if (format === 'json') return printJson(page)
  if (format === 'html') return print(htmlPage(page).trimEnd())
  for (const line of textPage(page)) print(safeText(line))
}

async function runningOf(world: World, given: string | undefined): Promise<Pick<PageSources, 'running'>> {
  const path = pathOf(world, given)
  if (path === undefined) return {}
  const config = requireConfig(world.env, path)
  const loaded = await loadPolicyFiles(config.policy.files, await bundleFiles(world, config))
  if ('problems' in loaded)
    throw new CommandFailed(
      loaded.problems.map((problem) => safeText(formatPolicyProblem(problem))).join('\n'),
    )
  return { running: { path, config, rules: loaded.set.rules.map(ruleFacts) } }
}

/** The page is of use before there is a configuration; one that was named must be there. */
function pathOf(world: World, given: string | undefined): string | undefined {
  try {
    return configPath(world.env, given)
  } catch (error) {
    if (given === undefined && error instanceof CommandFailed) return undefined
    throw error
  }
}

function ruleFacts({ source, reads, condition }: Rule): RuleFacts {
  const readsPath = (root: string, member: string): boolean =>
    condition?.paths.some((path) => path.root === root && path.members[0] === member) ?? false
  return {
    decision: source.decision,
    mode: source.mode,
    reads,
    readsLabels: readsPath('session', 'labels'),
    readsTicket: readsPath('ctx', 'ticket'),
  }
}

async function firingsOf(
  world: World,
  given: string | true | undefined,
): Promise<Pick<PageSources, 'firings'>> {
  if (given === undefined) return {}
  const log = logFolder(world, given === true ? undefined : given)
  return { firings: { log, counts: await countFirings(recordsIn(log)) } }
}

async function* recordsIn(folder: string): AsyncGenerator<EvidenceRecord> {
  for await (const { record } of readRecords(folder)) yield record
}
