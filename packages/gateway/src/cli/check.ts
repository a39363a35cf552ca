import { formatProblem } from '../config/problem.ts'
import { loadConfig } from '../config/load.ts'
import { exceptionProblems } from './dlp-exceptions.ts'
import { configPath } from './locate.ts'
import { print, printJson } from './output.ts'
import { bundleFiles } from './policy-bundle.ts'
import { checkPolicyFiles, pinnedTools, ruleWarnings } from './policy.ts'
import type { World } from './world.ts'

/** `callgate check`: the configuration and the policy files that it names, every problem with file, line and column. */
export async function check(
  world: World,
  options: { config?: string; strict?: boolean; json?: boolean },
): Promise<number> {
  const path = configPath(world.env, options.config)
  const loaded = loadConfig(path, { env: world.env, strict: options.strict ?? false })
  const { config } = loaded
  const tools = config === undefined ? undefined : await pinnedTools(world, config)
  const bundle = config === undefined ? [] : await bundleFiles(world, config)
  const policy =
    config === undefined
      ? undefined
      : await checkPolicyFiles(config.policy.files, tools, options.strict, bundle)
  const exceptions = config === undefined ? [] : exceptionProblems(path, config, tools, world.now())
  const problems = [...(loaded.problems ?? []), ...(policy?.problems ?? []), ...exceptions]
  const warnings = [
    ...(policy?.warnings ?? []),
    ...(config === undefined ? [] : await ruleWarnings(config, bundle)),
  ]
  if (options.json === true) {
    printJson({ ok: problems.length === 0, problems, warnings })
  } else {
    for (const problem of problems) print(formatProblem(problem))
    for (const warning of warnings) print(`warning: ${formatProblem(warning)}`)
    if (problems.length === 0) print(`${path}: no problems`)
  }
  return problems.length === 0 ? 0 : 1
}
