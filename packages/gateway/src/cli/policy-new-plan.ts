import { existsSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { parse } from 'yaml'
import type { Effect } from '../call/decision.ts'
import type { GatewayConfig } from '../config/declaration.ts'
import { isPack, isPackFile } from '../config/policy-packs.ts'
import { evaluateCall } from '../stages/policy/call-file.ts'
import { readPolicy } from '../stages/policy/document.ts'
import { DraftError } from '../stages/policy/draft-condition.ts'
import { draftCases, goldenText } from '../stages/policy/draft-golden.ts'
import { appendRule, draftRule } from '../stages/policy/draft.ts'
import { runGolden } from '../stages/policy/golden.ts'
import { readPolicyFiles, type PolicyFile } from '../stages/policy/load.ts'
import { compilePolicy, type PolicySet } from '../stages/policy/policy-set.ts'
import { formatProblem } from '../stages/policy/problem.ts'
import { concerns, concernsCaller } from '../stages/policy/rule.ts'
import type { PolicyTool } from '../stages/policy/rule-index.ts'
import { unifiedDiff } from './install-diff.ts'
import { readText, type FileText } from './install-files.ts'
import { asFailure } from './install-gate.ts'
import { addItems } from './install-yaml.ts'
import { CommandFailed } from './output.ts'
import type { RecordedCall } from './policy-new-call.ts'
import { schemaLine } from './policy-schema.ts'

/** One file before and after. */
export interface Change {
  readonly file: FileText
  readonly text: string
  /** Lines of a diff, nothing in them but what this command writes and what stands around it in a policy. */
  readonly diff: readonly string[]
}

/** What a rule is drafted from. */
export interface Draft {
  /** Rule files of the signed bundle in force. */
  readonly bundle: readonly PolicyFile[]
  /** callgate.yaml. */
  readonly path: string
  readonly config: GatewayConfig
  readonly tools: readonly PolicyTool[]
  readonly recorded: RecordedCall
  /** Evidence id and time of the call. */
  readonly id: string
  readonly time: string
  readonly decision: Effect
  readonly ruleId: string | undefined
  readonly pins: readonly string[]
  /** Policy file to write to. Default: the first of the configuration. */
  readonly out: string | undefined
  /** Milliseconds since the epoch. */
  readonly now: number
}

/** What will be written. */
export interface Plan {
  readonly rule: string
  /** Paths of the policy file with the rule, and of its golden file. */
  readonly policy: string
  readonly golden: string
  /** Every policy file of the configuration, the new one too. */
  readonly policies: readonly string[]
  /** In the order in which they are written: the test before the rule, callgate.yaml last. */
  readonly changes: readonly Change[]
}

/**
 * Drafts a rule and its golden file, and proves both before anything is written.
 * @throws CommandFailed or DraftError when the rule would not do what it is for
 */
export async function planRule(draft: Draft): Promise<Plan> {
  const { config, tools, recorded, decision, id, time, now } = draft
  const { call } = recorded
  const files = [...(await policyFiles(config)), ...draft.bundle]
  const before = soundPolicy(files, tools)
  requireOpen(before, recorded, decision, now)

  const why = `drafted from call ${id} of ${time.slice(0, 10)}`
  const { rule, pins } = draftRule(call, { decision, id: draft.ruleId, pins: draft.pins, why })
  const policy = policyFile(config, draft.out)
  const isListed = config.policy.files.includes(policy)
  const target = readText(policy)
  const text = appendRule(short(policy), target.bytes === undefined ? schemaLine(policy) : target.text, rule)
  const filesAfter = isListed
    ? files.map((one) => (one.file === policy ? { file: policy, text } : one))
    : [...files, { file: policy, text }]
  const after = soundPolicy(filesAfter, tools)

  const golden = join(dirname(policy), 'policy-tests', `${rule.rule.replaceAll('/', '-')}.yaml`)
  if (existsSync(golden))
    throw new CommandFailed(`${short(golden)}: is there already`, {
      fix: 'name the rule with --rule ID, or remove the file',
    })
  const cases = draftCases(call, rule, { before, after, tools, pins, now })
  const head = [
    `What the rule \`${rule.rule}\` must come to. Drafted by \`callgate policy new --from ${id}\`.`,
    'A near miss differs from the recorded call in one thing that the rule is bound to.',
  ]
  const test = goldenText(head, cases, typedTools(draft, after))
  requireTelling({ file: golden, text: test }, files, filesAfter, now)
  const changes = [
    fileChange(readText(golden), test),
    fileChange(target, text),
    ...(isListed ? [] : [listed(draft.path, policy)]),
  ]
  return { rule: rule.rule, policy, golden, policies: filesAfter.map((one) => one.file), changes }
}

function policyFile(config: GatewayConfig, out: string | undefined): string {
  // A pack is replaced with the product, and a rule in it would go with it.
  const first = config.policy.files.find((file) => !isPackFile(file))
  if (out !== undefined) {
    if (!isPack(out) && !isPackFile(resolve(out))) return resolve(out)
    throw new CommandFailed(`--out ${out}: is a rule pack of the product`, {
      fix: 'name a policy file of your own',
    })
  }
  if (first !== undefined) return first
  throw new CommandFailed('the configuration has no policy file of your own', {
    fix: 'name one with --out FILE',
  })
}

/** The tool of the call when rules read its arguments: the gate checks such conditions against its schema, so does the test. */
function typedTools({ recorded: { call }, tools, now }: Draft, after: PolicySet): PolicyTool[] {
  const { target } = call
  const facts = Object.keys(evaluateCall(after, call, now).facts)
  if (!readsArguments(facts.map((path) => path.split('.')[0] ?? ''))) return []
  return tools.filter(
    ({ server, name }) => target.kind === 'tool' && server === target.server && name === target.name,
  )
}

/** A new file is for everyone to read, as policies are. */
function fileChange(file: FileText, text: string): Change {
  const diff = unifiedDiff(file.text, text)
  return { file: file.bytes === undefined ? { ...file, mode: 0o644 } : file, text, diff }
}

/** callgate.yaml with one more policy file in it; every other line stays. */
function listed(path: string, policy: string): Change {
  const file = readText(path)
  const name = relative(dirname(path), policy)
  let text: string
  try {
    text = addItems(file.text, ['policy', 'files'], [name])
  } catch (error) {
    throw asFailure(error, file)
  }
  const before: { policy: { files: string[] } } = parse(file.text)
  const wanted = { ...before, policy: { ...before.policy, files: [...before.policy.files, name] } }
  if (!isDeepStrictEqual(parse(text), wanted))
    throw new CommandFailed(`${short(path)}: cannot take one more policy file as it is written`, {
      fix: 'write `policy.files` as lines that begin with `-`, or leave out `--out`',
    })
  // The lines around it may be the environment of a server.
  return { file, text, diff: [`+policy.files: ${name}`] }
}

/** @throws CommandFailed when the policy of now decides the call as wanted already, or no rule can be made to */
function requireOpen(
  set: PolicySet,
  { call, knowsArguments }: RecordedCall,
  decision: Effect,
  at: number,
): void {
  // A rule that allows may read what it likes: beside the new one it changes nothing.
  const blind = set.rules.filter(
    (rule) =>
      rule.source.decision === 'deny' &&
      readsArguments(rule.reads) &&
      concerns(rule, { ...call.target, class: call.class }) &&
      concernsCaller(rule, call.caller, null) === true,
  )
  if (!knowsArguments && blind.length > 0)
    throw noArguments(`${blind.map(({ source }) => source.id).join(', ')} judges the arguments of this call`)
  const now = evaluateCall(set, call, at)
  const rules = now.rules.join(', ')
  if (now.effect === decision)
    throw new CommandFailed(
      rules === ''
        ? `the policy of now would ${decision} this call already, because no rule allows it`
        : `the policy of now would ${decision} this call already, by ${rules}`,
    )
  if (decision === 'allow' && rules !== '')
    throw new CommandFailed(
      `the policy of now denies this call by ${rules}, and that beats every rule that allows`,
      { fix: 'narrow or remove that rule' },
    )
}

function readsArguments(roots: Iterable<string>): boolean {
  return [...roots].some((root) => root === 'args' || root === 'url')
}

/** A failure for want of arguments. @param why who needs them */
export function noArguments(why: string): CommandFailed {
  return new CommandFailed(`${why}, of which the record holds no more than keyed hashes`, {
    fix: 'give the call again: `--args FILE` with `{ "server": ..., "tool": ..., "arguments": ... }`',
  })
}

/** The golden file holds with the rule, and fails without it. */
function requireTelling(
  file: PolicyFile,
  before: readonly PolicyFile[],
  after: readonly PolicyFile[],
  now: number,
): void {
  const holds = (files: readonly PolicyFile[]) => {
    const { cases, problems } = runGolden(file, files, now)
    return problems.length === 0 && cases.length > 1 && cases.every(({ passed }) => passed)
  }
  if (!holds(after) || holds(before))
    throw new DraftError(
      'no test of this rule can be written: the policy decides otherwise outside of the gate',
    )
}

async function policyFiles(config: GatewayConfig): Promise<PolicyFile[]> {
  const read = await readPolicyFiles(config.policy.files)
  if ('problems' in read) throw new CommandFailed(read.problems.map(formatProblem).join('\n'))
  return read.files
}

/** @throws CommandFailed with every problem: nothing is added to a policy that is not sound */
function soundPolicy(files: readonly PolicyFile[], tools: readonly PolicyTool[]): PolicySet {
  const compiled = compilePolicy(files.map(({ file, text }) => readPolicy(file, text)))
  const problems = 'problems' in compiled ? compiled.problems : compiled.set.recheck(tools).problems
  if ('problems' in compiled || problems.length > 0)
    throw new CommandFailed(problems.map(formatProblem).join('\n'))
  return compiled.set
}

/** A path as the user would type it from here. */
export function short(path: string): string {
  const here = relative(process.cwd(), path)
  return here.startsWith('..') || here === '' ? path : here
}
