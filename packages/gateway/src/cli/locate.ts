import { existsSync, mkdirSync, readFileSync, writeFileSync, renameSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { loadConfig } from '../config/load.ts'
import type { GatewayConfig } from '../config/declaration.ts'
import { formatProblem } from '../config/problem.ts'
import { CommandFailed } from './output.ts'

const running = z.object({ pid: z.number(), url: z.string(), config: z.string(), startedAt: z.string() })

/** What a started gate leaves in its state folder so that commands find it. Holds no secret. */
export type RunFile = z.infer<typeof running>

const RUN_FILE = 'run.json'
/** Where a configuration is looked for when none is named, from the working directory. */
const USUAL_PLACES = ['callgate.yaml', join('examples', 'quickstart', 'callgate.yaml')]

type Env = Readonly<Record<string, string | undefined>>

/** The state folder that commands mean: `--state`, CALLGATE_STATE, or `state` here. */
export function stateFolder(env: Env, given?: string): string {
  return resolve(given ?? (env['CALLGATE_STATE'] || 'state'))
}

/** The gate that runs on a state folder, or ran there last; undefined when none ever did. */
export function readRunFile(state: string): RunFile | undefined {
  const path = join(state, RUN_FILE)
  if (!existsSync(path)) return undefined
  const parsed = running.safeParse(JSON.parse(readFileSync(path, 'utf8')))
  return parsed.success ? parsed.data : undefined
}

/** Leaves the run file of a gate that has just begun to listen. */
export function writeRunFile(state: string, run: RunFile): void {
  mkdirSync(state, { recursive: true, mode: 0o700 })
  // Renamed into place: a command that reads it meanwhile sees the old one or the new one, never half of it.
  const path = join(state, RUN_FILE)
  writeFileSync(`${path}.new`, `${JSON.stringify(run)}\n`, { mode: 0o600 })
  renameSync(`${path}.new`, path)
}

/**
 * Path of the configuration that a command means: the one named, that of the gate on this state folder, or one of the usual places.
 * @throws CommandFailed when there is none
 */
export function configPath(env: Env, given: string | undefined): string {
  if (given !== undefined) return resolve(given)
  const run = readRunFile(stateFolder(env))
  if (run !== undefined && existsSync(run.config)) return run.config
  const found = USUAL_PLACES.find((place) => existsSync(place))
  if (found === undefined) {
    throw new CommandFailed('no configuration found', {
      fix: 'name it with --config FILE, or run in a folder with a callgate.yaml',
    })
  }
  return resolve(found)
}

/**
 * Loads a configuration.
 * @throws CommandFailed with every problem, one a line, with file, line and column
 */
export function requireConfig(env: Env, path: string, strict = false): GatewayConfig {
  const loaded = loadConfig(path, { env, strict })
  if (loaded.config !== undefined) return loaded.config
  throw new CommandFailed(loaded.problems.map(formatProblem).join('\n'))
}
