import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { classifier } from '../config/classify.ts'
import type { GatewayConfig } from '../config/declaration.ts'
import { enforcedEarly } from '../config/rollout.ts'
import { globMatcher } from '../text/glob.ts'
import { type Problem, didYouMean, formatProblem, nearestName } from '../stages/policy/problem.ts'
import type { Rule } from '../stages/policy/rule.ts'
import type { RuleSource } from '../stages/policy/document.ts'
import { evaluateCall, readCall } from '../stages/policy/call-file.ts'
import { type CoverageReport, PolicyCoverage } from '../stages/policy/coverage.ts'
import { runGolden } from '../stages/policy/golden.ts'
import {
  type PolicyCheck,
  type PolicyFile,
  checkPolicy,
  loadPolicyFiles,
  readPolicyFiles,
  defaultAllows,
} from '../stages/policy/load.ts'
import type { PolicyTool } from '../stages/policy/rule-index.ts'
import { configPath, requireConfig } from './locate.ts'
import { CommandFailed, print, printJson } from './output.ts'
import { safeText } from '../text/safe-text.ts'
import { bundleFiles, bundleLine } from './policy-bundle.ts'
import { policyArguments } from './policy-files.ts'
import type { World } from './world.ts'

/** Longest call file, in bytes. */
const MAX_CALL_BYTES = 1024 * 1024

/** Checks policy files against the tools that are pinned in a state folder; undefined tools: none known. */
export async function checkPolicyFiles(
  files: readonly string[],
  tools: readonly PolicyTool[] | undefined,
  strict = false,
  bundle: readonly PolicyFile[] = [],
): Promise<PolicyCheck> {
  const read = await readPolicyFiles(files)
  if ('problems' in read) return { problems: read.problems, warnings: [] }
  const all = [...read.files, ...bundle]
  const { problems, warnings } = checkPolicy(all, tools)
  return { problems: strict ? [...problems, ...defaultAllows(all)] : problems, warnings }
}

/** What of the configuration and the rules does not go together, and their authors should know: requirements that nobody could meet. */
export async function ruleWarnings(config: GatewayConfig, bundle: readonly PolicyFile[]): Promise<Problem[]> {
  const loaded = await loadPolicyFiles(config.policy.files, bundle)
  if ('problems' in loaded) return []
  const { rules } = loaded.set
  return [...namesOfNoTrial(config, rules), ...rules.flatMap(({ source }) => lackingOf(source, config))]
}

/** Names under `rollout.enforce` that no rule on trial has: whoever wrote one believes that something is enforced. */
function namesOfNoTrial({ rollout }: GatewayConfig, rules: readonly Rule[]): Problem[] {
  const onTrial = rules.filter(({ source }) => source.mode === 'observe').map(({ source }) => source.id)
  return rollout.enforce.flatMap(({ rules: globs = [] }, index) =>
    globs
      .filter((glob) => !onTrial.some(globMatcher(glob)))
      .map((glob) => {
        const is = rules.some(({ source }) => source.id === glob)
          ? 'is enforced for all'
          : 'is no rule on trial'
        const message = `\`${glob}\` in \`rollout.enforce[${index}].rules\` ${is}${didYouMean(nearestName(glob, onTrial))}`
        return { file: 'callgate.yaml', line: undefined, column: undefined, message }
      }),
  )
}

function lackingOf(source: RuleSource, config: GatewayConfig): Problem[] {
  const lacking = lackingFor(source, config)
  if (lacking === undefined) return []
  const { id, file, line, column } = source
  return [{ file, line, column, message: `rule \`${id}\` requires ${lacking}` }]
}

/** What the configuration lacks so that the calls of a rule could pass. */
function lackingFor(
  { decision, approvers }: RuleSource,
  { tickets, approvals }: GatewayConfig,
): string | undefined {
  if (decision === 'require_ticket' && tickets === undefined)
    return 'a ticket, and no ticket system is configured, so its calls are refused; set `tickets` (docs/tickets.md)'
  if (decision !== 'require_approval') return undefined
  if (approvals === undefined)
    return 'approval, and nobody is configured who could give it, so its calls are refused; set `approvals` (docs/approvals.md)'
  const known = Object.keys(approvals.roles)
  const unknown = approvers.filter((role) => !known.includes(role))
  if (unknown.length === 0) return undefined
  const nearest = nearestName(unknown[0] ?? '', known)
  const so = unknown.length === approvers.length ? ', so nobody can approve its calls' : ''
  return `approval by ${unknown.map((role) => `\`${role}\``).join(', ')}, which \`approvals.roles\` does not have${so}${didYouMean(nearest)}`
}

/** The tools that are approved on the state folder of a configuration, as policy sees them; undefined when none ever were. */
export async function pinnedTools(world: World, config: GatewayConfig): Promise<PolicyTool[] | undefined> {
  const path = join(config.state, 'pins.json')
  if (!existsSync(path)) return undefined
  const servers = await world.pins(path)
  return Object.entries(servers).flatMap(([server, { pins }]) => {
    const classify = classifier(config.servers[server]?.tools ?? {})
    return Object.entries(pins).map(([name, { definition }]) => ({
      server,
      name,
      definition,
      ...classify(name),
    }))
  })
}

/** `callgate policy check [FILES]`: exit 0 when sound, 1 when not. */
export async function policyCheck(
  world: World,
  files: readonly string[],
  options: { config?: string; json?: boolean },
): Promise<number> {
  const config =
    files.length === 0 || options.config !== undefined
      ? requireConfig(world.env, configPath(world.env, options.config))
      : undefined
  const tools = config === undefined ? undefined : await pinnedTools(world, config)
  const live = config === undefined || files.length > 0 ? undefined : await world.bundle(config)
  const found = await checkPolicyFiles(
    files.length === 0 ? (config?.policy.files ?? []) : policyArguments(files),
    tools,
    false,
    live === undefined || live.problem !== undefined ? [] : live.files,
  )
  const line = bundleLine(live)
  if (line !== undefined && options.json !== true) print(safeText(line))
  report(found, options.json)
  return found.problems.length === 0 ? 0 : 1
}

function report({ problems, warnings }: PolicyCheck, json: boolean | undefined): void {
  if (json === true) return printJson({ ok: problems.length === 0, problems, warnings })
  for (const problem of problems) print(formatProblem(problem))
  for (const warning of warnings) print(`warning: ${formatProblem(warning)}`)
  if (problems.length === 0) print('no problems')
}

/** `callgate policy test GOLDEN...`: exit 0 when every case came to what it expects, and where asked the cases show every branch. */
export async function policyTest(
  golden: readonly string[],
  options: { policy?: readonly string[]; json?: boolean; requireCoverage?: boolean },
): Promise<number> {
  const policy = await readPolicyFiles(policyArguments(options.policy ?? []))
  const read = await readPolicyFiles(golden)
  if ('problems' in policy) throw unreadable(policy.problems)
  if ('problems' in read) throw unreadable(read.problems)
  const coverage = new PolicyCoverage()
  const results = read.files.map((file) => ({
    file: file.file,
    ...runGolden(file, policy.files, Date.now(), coverage),
  }))
  let failed = 0
  let passed = 0
  for (const { file, cases, problems } of results) {
    failed += problems.length
    for (const problem of problems) if (options.json !== true) print(formatProblem(problem))
    for (const { title, line, passed: ok, got, expected } of cases) {
      if (ok) passed++
      else failed++
      if (options.json === true) printJson({ file, line, title, passed: ok, got, expected })
      else
        print(
          ok
            ? `ok ${title}`
            : `FAILED ${file}:${line} ${title}: got ${JSON.stringify({ effect: got.effect, rules: got.rules })}, expected ${JSON.stringify(expected)}`,
        )
    }
  }
  const shown = coverage.report()
  reportCoverage(shown, options.json)
  if (options.json !== true) print(`${passed} passed, ${failed} failed`)
  const isShort = options.requireCoverage === true && shown.missing.length > 0
  return failed === 0 && passed > 0 && !isShort ? 0 : 1
}

function reportCoverage(coverage: CoverageReport, json: boolean | undefined): void {
  if (json === true) return printJson({ coverage })
  const { rules, branches, missing } = coverage
  for (const problem of missing) print(`not covered: ${formatProblem(problem)}`)
  print(
    `coverage: ${rules.covered} of ${rules.total} rules, ${branches.covered} of ${branches.total} branches`,
  )
}

function unreadable(problems: readonly Problem[]): CommandFailed {
  return new CommandFailed(problems.map(formatProblem).join('\n'))
}

/**
 * `callgate policy eval`: judges one call without running it. Exit 0 whatever the effect.
 * @throws CommandFailed when the policy or the call file cannot be used
 */
export async function policyEval(
  world: World,
  options: { policy?: readonly string[]; call: string; config?: string; json?: boolean },
): Promise<void> {
  const config =
    options.policy === undefined ? requireConfig(world.env, configPath(world.env, options.config)) : undefined
  const tools = (config === undefined ? undefined : await pinnedTools(world, config)) ?? []
  const loaded = await loadPolicyFiles(
    options.policy === undefined ? (config?.policy.files ?? []) : policyArguments(options.policy),
    config === undefined ? [] : await bundleFiles(world, config),
    config && ((rule) => enforcedEarly(config.rollout, { rule })),
  )
  if ('problems' in loaded) throw unreadable(loaded.problems)
  loaded.set.recheck(tools)
  const read = readCall(callFile(options.call), tools, loaded.set.windowed)
  if ('message' in read) throw new CommandFailed(`${options.call}: ${read.message}`)
  const found = evaluateCall(loaded.set, read.call, world.now())
  if (options.json === true) return printJson(found)
  print(`${found.effect} (${found.reason})${found.rules.length === 0 ? '' : ` by ${found.rules.join(', ')}`}`)
  for (const [path, value] of Object.entries(found.facts)) print(`  ${path} = ${JSON.stringify(value)}`)
  for (const { rule, message } of found.errors) print(`  error in ${rule}: ${message}`)
}

/** The JSON of a call file. @throws CommandFailed when it cannot be read as such */
export function callFile(path: string): unknown {
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch (cause) {
    throw new CommandFailed(`${path}: cannot be read`, {
      fix: 'name a JSON file with server, tool and arguments',
      cause,
    })
  }
  if (bytes.length > MAX_CALL_BYTES)
    throw new CommandFailed(`${path}: is larger than ${MAX_CALL_BYTES} bytes`)
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch (cause) {
    // What the parser says quotes what it could not read.
    throw new CommandFailed(`${path}: is not JSON`, {
      fix: 'write an object with server, tool and arguments',
      cause,
    })
  }
}
