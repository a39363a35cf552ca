import { type OutcomeRecord, readRecords } from '@callgate/evidence'
import type { Effect } from '../call/decision.ts'
import type { GatewayConfig } from '../config/declaration.ts'
import { earlyIn, type TrialControl } from '../config/rollout.ts'
import { loadPolicyFiles } from '../stages/policy/load.ts'
import { formatProblem } from '../stages/policy/problem.ts'
import type { Rule } from '../stages/policy/rule.ts'
import { logFolder } from './evidence.ts'
import { configPath, requireConfig } from './locate.ts'
import { CommandFailed, print, printJson } from './output.ts'
import { safeText } from '../text/safe-text.ts'
import { bundleFiles, bundleLine } from './policy-bundle.ts'
import { targetOf } from './sentences.ts'
import type { World } from './world.ts'

/** Something that is on trial, and what enforcing it would have done. */
interface Trial {
  /** Id of a rule, or what data loss prevention would do to which class in which direction. */
  readonly control: string
  /** What it would do to a call. */
  readonly would: 'refuse' | 'put off' | 'hold up' | 'allow' | 'change' | 'unknown'
  /** For whom, and where, it is enforced already; empty: for nobody. */
  readonly early: readonly string[]
  /** How it is enforced, and what keeps it from meaning too much. */
  readonly enforce: string
  readonly hits: readonly Hit[]
}

/** Calls of one actor to one tool. */
interface Hit {
  readonly actor: string
  readonly tool: string
  readonly calls: number
  /** Evidence id of the last one. */
  readonly last: string
  /** What would let exactly these calls be. */
  readonly fix: string
}

/** How records name what egress and ownership would have refused. */
const JUDGE = /^\((egress|ownership): (\S+)\)$/
/** How records name what data loss prevention would have done. */
const DLP = /^\(dlp: (\S+) (\S+) in the (argument|result)\)$/
const DAY_MS = 86_400_000
/** Hits of one control that are shown; `--json` has all. */
const MAX_SHOWN = 20

/**
 * `callgate rollout status`: for every control on trial what it would have refused or changed, by actor and tool, each with the
 * narrowest fix (issue 6, "Nothing breaks on day one").
 */
export async function rolloutStatus(
  world: World,
  options: { config?: string; days?: string; json?: boolean },
): Promise<void> {
  const days = Number(options.days ?? 7)
  if (!(days > 0 && days <= 3_650))
    throw new CommandFailed(
      `--days is \`${safeText(options.days ?? '')}\` (expected a number from 1 to 3650)`,
      {
        exitCode: 2,
      },
    )
  const config = requireConfig(world.env, configPath(world.env, options.config))
  const live = await world.bundle(config)
  const loaded = await loadPolicyFiles(config.policy.files, await bundleFiles(world, config))
  if ('problems' in loaded)
    throw new CommandFailed(loaded.problems.map(formatProblem).join('\n'), { exitCode: 1 })
  const since = new Date(world.now() - days * DAY_MS).toISOString()
  const { calls, seen } = await observedSince(logFolder(world, undefined), since)
  const trials = trialsOf(config, loaded.set.rules, seen)
  const bundle = bundleLine(live)
  if (options.json === true)
    return printJson({ since, calls, ...(bundle === undefined ? {} : { bundle }), trials })
  if (bundle !== undefined) print(safeText(bundle))
  print(`${counted(calls)} since ${since.slice(0, 10)}; ${trials.length} controls on trial`)
  for (const trial of trials) show(trial)
}

/** Calls of one actor to one tool, as the records tell them. */
type SeenHit = Omit<Hit, 'fix'> & { readonly server: string }

/** By control, then by actor and tool. */
type Seen = ReadonlyMap<string, ReadonlyMap<string, SeenHit>>

async function observedSince(folder: string, since: string): Promise<{ calls: number; seen: Seen }> {
  const seen = new Map<string, Map<string, SeenHit>>()
  let calls = 0
  for await (const { record } of readRecords(folder)) {
    if (record.kind !== 'outcome' || record.decision === undefined || record.time < since) continue
    calls++
    // What was refused anyhow would not have been refused by a trial.
    for (const control of refusedByPolicy(record) ? [] : (record.decision.observed ?? [])) {
      const of = seen.get(control) ?? new Map<string, SeenHit>()
      seen.set(control, of)
      const actor = record.actor?.id ?? ''
      const tool = targetOf(record)
      const key = `${actor}\u0000${tool}`
      const server = record.call.server ?? ''
      of.set(key, { actor, tool, server, calls: (of.get(key)?.calls ?? 0) + 1, last: record.id })
    }
  }
  return { calls, seen }
}

function refusedByPolicy({ code = '' }: OutcomeRecord): boolean {
  return code.startsWith('CG_POLICY_')
}

/** Every control that is on trial now, whether it has seen a call or not, and those that records still tell of. */
function trialsOf(config: GatewayConfig, rules: readonly Rule[], seen: Seen): Trial[] {
  const onTrial = new Map(
    rules.filter(({ source }) => source.mode === 'observe').map((rule) => [rule.source.id, rule]),
  )
  const names = new Set([...onTrial.keys(), ...seen.keys()])
  return [...names].map((control) => {
    const hits = [...(seen.get(control)?.values() ?? [])].toSorted((a, b) => b.calls - a.calls)
    const data = DLP.exec(control)
    const rule = onTrial.get(control)
    if (data !== null) {
      const [, action, found = ''] = data
      const would = action === 'deny' ? 'refuse' : 'change'
      return controlTrial(config, { stage: 'dlp', would }, control, hits, (hit) => dataFix(found, hit))
    }
    const [, stage, what = ''] = JUDGE.exec(control) ?? []
    if (stage === 'egress' || stage === 'ownership')
      return controlTrial(config, { stage, would: 'refuse' }, control, hits, (hit) =>
        stage === 'egress' ? urlFix(hit) : ownerFix(what),
      )
    if (rule === undefined)
      return {
        control,
        early: [],
        would: 'unknown',
        enforce: 'no rule on trial has this id any more',
        hits: hits.map((hit) => ({ ...hit, fix: `callgate explain ${hit.last}` })),
      }
    const { file, line, decision } = rule.source
    return {
      control,
      early: earlyIn(config.rollout, { rule: control }),
      would: WOULD[decision],
      enforce: `remove \`mode: observe\` at ${file}:${line}`,
      hits: hits.map((hit) => ({
        ...hit,
        fix:
          decision === 'allow'
            ? 'nothing: it would let more pass'
            : `in its \`cond\`: \`!(actor.id == ${JSON.stringify(hit.actor)} && tool.name == ${JSON.stringify(hit.tool)})\``,
      })),
    }
  })
}

/** What a rule does to the calls that it is about. */
const WOULD: Readonly<Record<Effect, Trial['would']>> = {
  allow: 'allow',
  deny: 'refuse',
  defer: 'put off',
  require_ticket: 'hold up',
  require_approval: 'hold up',
  redact: 'change',
}

/** A control beside rules: where it is on trial, for all or at the servers that it met. */
function controlTrial(
  { rollout, servers, ...config }: GatewayConfig,
  { stage, would }: { readonly stage: TrialControl; readonly would: Trial['would'] },
  control: string,
  hits: readonly SeenHit[],
  fixOf: (hit: SeenHit) => string,
): Trial {
  const met = stage === 'ownership' ? [] : [...new Set(hits.map(({ server }) => server))]
  const own = met.filter((server) => stage !== 'ownership' && servers[server]?.[stage]?.mode === 'observe')
  const where = [
    ...(config[stage].mode === 'observe' ? [`${stage}.mode`] : []),
    ...own.map((server) => `servers.${server}.${stage}.mode`),
  ]
  const alone = stage === 'ownership' ? '' : `; one server alone: \`servers.X.${stage}.mode: enforce\``
  return {
    control,
    would,
    early: where.length === 0 ? [] : earlyIn(rollout, { control: stage }),
    enforce:
      where.length === 0
        ? 'it is enforced by now'
        : `set ${where.map((key) => `\`${key}: enforce\``).join(', ')}${alone}`,
    hits: hits.map((hit) => ({ ...hit, fix: fixOf(hit) })),
  }
}

const urlFix = ({ last, server }: SeenHit): string =>
  `\`callgate explain ${last}\` names the URL; list its domain in \`servers.${server}.egress.allow\``

const ownerFix = (type: string): string =>
  `in the source of \`ownership.types.${type}\`: that the object is the caller's; or take \`owned\` away from the tool`

const dataFix = (found: string, { last }: SeenHit): string =>
  found === 'placeholder'
    ? 'let the class pass in `dlp.results`, where agents must edit what they read'
    : `callgate explain ${last} prints the exception`

const counted = (calls: number): string => `${calls} ${calls === 1 ? 'call' : 'calls'}`

function show({ control, would, early, enforce, hits }: Trial): void {
  const calls = hits.reduce((sum, hit) => sum + hit.calls, 0)
  const done = would === 'unknown' ? 'was told of' : `would ${would}`
  print('')
  print(`${safeText(control)} ${hits.length === 0 ? `${done} nothing so far` : `${done} ${counted(calls)}`}`)
  if (early.length > 0) print(safeText(`  enforced already for ${early.join(', and for ')}`))
  print(safeText(`  to enforce it: ${enforce}`))
  for (const { actor, tool, calls: count, last, fix } of hits.slice(0, MAX_SHOWN)) {
    print(safeText(`  ${count} x ${actor} ${tool}, last ${last}`))
    print(safeText(`    to let these be: ${fix}`))
  }
  if (hits.length > MAX_SHOWN) print(`  and ${hits.length - MAX_SHOWN} more; --json has them`)
}
