import { join } from 'node:path'
import type { StoredRecord } from '@callgate/evidence'
import type { Effect } from '../call/decision.ts'
import type { GatewayConfig } from '../config/declaration.ts'
import { DraftError } from '../stages/policy/draft-condition.ts'
import { recordsOf } from './evidence.ts'
import { replaceFile } from './install-files.ts'
import { configPath, requireConfig } from './locate.ts'
import { CommandFailed, print, printJson } from './output.ts'
import { safeText } from '../text/safe-text.ts'
import { bundleFiles } from './policy-bundle.ts'
import { policyTaken, type Taken } from './policy-in-force.ts'
import { decidedRecord, recordedCall } from './policy-new-call.ts'
import { noArguments, planRule, short, type Draft, type Plan } from './policy-new-plan.ts'
import { callFile, pinnedTools } from './policy.ts'
import type { World } from './world.ts'

export interface PolicyNewOptions {
  readonly from: string
  readonly decision: string
  readonly rule?: string
  readonly args?: string
  readonly pin?: readonly string[]
  readonly out?: string
  readonly dryRun?: boolean
  readonly config?: string
  readonly json?: boolean
}

const WHAT_NOW = {
  'not written': 'nothing was written',
  'no gate runs': 'written; it is in force when the gate starts',
  'in force': 'in force: the gate has read it',
  silent: 'written; the gate that runs does not watch this file: start it again',
  refused: 'written, and not taken by the gate that runs',
} as const

/**
 * `callgate policy new --from ID`: a rule for exactly the call of a record, and a golden file with the call and its near
 * misses. The rule goes to the end of a policy file of the configuration, which a gate that runs reads again by itself.
 * @throws CommandFailed when no rule can change what became of the call; then nothing is written
 */
export async function policyNew(world: World, options: PolicyNewOptions): Promise<void> {
  const decision = effectOf(options.decision)
  const path = configPath(world.env, options.config)
  const config = requireConfig(world.env, path)
  const there = { ...world, env: { ...world.env, CALLGATE_STATE: config.state } }
  const stored = await recordsOf(there, options.from)
  const record = decidedRecord(stored, decision)
  const { id, time } = record
  const file = options.args === undefined ? undefined : { path: options.args, value: callFile(options.args) }
  const recorded = await recordedCall(world, config, record, file)
  const { pin: pins = [], rule: ruleId, out } = options
  if (pins.length > 0 && !recorded.knowsArguments) throw noArguments('`--pin` needs the arguments')
  const tools = (await pinnedTools(world, config)) ?? []
  const now = world.now()
  const bundle = await bundleFiles(world, config)
  const plan = await drafted({
    path,
    config,
    bundle,
    tools,
    recorded,
    id,
    time,
    decision,
    ruleId,
    pins,
    out,
    now,
  })
  if (options.dryRun !== true) for (const { file: changed, text } of plan.changes) replaceFile(changed, text)
  const taken = options.dryRun === true ? 'not written' : await takenBy(config, plan, stored, now)
  report(plan, taken, options.json === true)
  if (typeof taken === 'object')
    throw new CommandFailed(`the gate kept its policy: ${safeText(taken.refused.join('\n'))}`)
}

/** A draft that fails is a failure of the command. */
async function drafted(draft: Draft): Promise<Plan> {
  try {
    return await planRule(draft)
  } catch (error) {
    if (error instanceof DraftError) throw new CommandFailed(safeText(error.message), { cause: error })
    throw error
  }
}

/** What the gate made of the files, when one runs. */
function takenBy(
  config: GatewayConfig,
  { policy }: Plan,
  stored: readonly StoredRecord[],
  since: number,
): Promise<Taken> {
  return policyTaken(config.state, {
    log: join(config.state, 'evidence', '0'),
    from: (stored.at(-1)?.index ?? -1) + 1,
    since,
    isWatched: config.policy.files.includes(policy),
  })
}

function report(plan: Plan, taken: Taken | 'not written', json: boolean): void {
  const { rule, policy, golden } = plan
  const changes = plan.changes.map(({ file, diff }) => ({ file: file.path, diff: diff.map(safeText) }))
  const test = `callgate policy test ${short(golden)} --policy ${plan.policies.map(short).join(' ')}`
  if (json) return printJson({ rule, policy, golden, changes, taken, test })
  for (const { file, diff } of changes) {
    print(`--- ${safeText(short(file))}`)
    for (const line of diff) print(line)
  }
  print(WHAT_NOW[typeof taken === 'string' ? taken : 'refused'])
  print(`test it: ${safeText(test)}`)
}

function effectOf(word: string): Effect {
  if (word === 'allow' || word === 'deny') return word
  throw new CommandFailed(`--decision is \`${word}\` (expected \`allow\` or \`deny\`)`, { exitCode: 2 })
}
