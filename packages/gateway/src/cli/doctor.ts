import { loadConfig } from '../config/load.ts'
import { formatProblem } from '../config/problem.ts'
import { LOCAL_CHECKS } from './doctor-local.ts'
import { REMOTE_CHECKS } from './doctor-remote.ts'
import type { Check, Finding, Patient } from './doctor-finding.ts'
import { configPath, stateFolder } from './locate.ts'
import { print, printJson } from './output.ts'
import { safeText } from '../text/safe-text.ts'
import type { World } from './world.ts'

/** Longest time for all of one group, in milliseconds: each look of its own is bounded by 5 s. */
const GROUP_MS = 20_000

/**
 * `callgate doctor`: looks at configuration, state folder, keys, certificates, secrets, issuers and servers. Writes nothing and starts
 * nothing.
 * @returns exit code: 0 when nothing is wrong, 1 when something is, 2 when the configuration cannot be looked at
 */
export async function doctor(
  world: World,
  options: { config?: string; offline?: boolean; json?: boolean },
): Promise<number> {
  const path = configPath(world.env, options.config)
  const loaded = loadConfig(path, { env: world.env })
  if (loaded.config === undefined) {
    const problems = loaded.problems.map((problem) => formatProblem(problem))
    if (options.json === true)
      printJson(
        problems.map((text) => ({ id: 'configuration', group: 'configuration', verdict: 'wrong', text })),
      )
    else for (const problem of problems) print(`wrong  configuration  ${safeText(problem)}`)
    return 2
  }
  const patient: Patient = { world, path, config: loaded.config, state: loaded.config.state }
  const checks = options.offline === true ? LOCAL_CHECKS : [...LOCAL_CHECKS, ...REMOTE_CHECKS]
  if (options.json !== true)
    print(`configuration ${path}, state ${loaded.config.state ?? stateFolder(world.env)}\n`)
  const found: Finding[] = []
  for (const check of checks) {
    const findings = await looked(check, patient)
    found.push(...findings)
    if (options.json !== true) for (const finding of findings) show(finding)
  }
  const count = (verdict: Finding['verdict']): number => found.filter((one) => one.verdict === verdict).length
  if (options.json === true) printJson(found)
  else print(`\n${count('ok')} in order, ${count('warn')} doubtful, ${count('wrong')} wrong`)
  return count('wrong') === 0 ? 0 : 1
}

/** A look that fails is a finding too: what was not seen is not in order. */
async function looked({ group, look }: Check, patient: Patient): Promise<Finding[]> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it took longer than ${GROUP_MS / 1_000} s`)), GROUP_MS)
  })
  try {
    const findings = await Promise.race([look(patient), late])
    return findings.map((finding) => ({ group, ...finding }))
  } catch (error) {
    const text = `could not be looked at: ${error instanceof Error ? error.message : String(error)}`
    return [{ group, id: `${group}.failed`, verdict: 'wrong', text }]
  } finally {
    clearTimeout(timer)
  }
}

/** Names come from files and answers of strangers, so nothing reaches the terminal raw. */
function show({ verdict, group, text, fix }: Finding): void {
  print(`${verdict.padEnd(6)} ${group.padEnd(14)} ${safeText(text)}`)
  if (fix !== undefined) print(`       ${''.padEnd(14)} fix: ${safeText(fix)}`)
}
