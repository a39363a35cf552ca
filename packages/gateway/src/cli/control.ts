import { type JsonObject, stringMember } from '../call/json.ts'
import type { GatewayConfig } from '../config/declaration.ts'
import { loadConfig } from '../config/load.ts'
import { askControl } from '../control/client.ts'
import type { ControlAnswer } from '../control/server.ts'
import { readRunFile, stateFolder } from './locate.ts'
import { CommandFailed } from './output.ts'
import { safeText } from '../text/safe-text.ts'
import type { World } from './world.ts'

/** Whose control API is asked. */
export interface ControlTarget {
  readonly env: World['env']
  /** As given by --state. */
  readonly state: string | undefined
  /** What the configuration must say so that the gate has these verbs; undefined: it says so. */
  readonly missing: (config: GatewayConfig) => string | undefined
}

/**
 * Asks the gate that runs here.
 * @throws CommandFailed when no gate answers, it has no such verbs, or it refuses; exit code 2 for what was asked wrongly
 */
export async function askControlOf(
  target: ControlTarget,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  body?: JsonObject,
): Promise<ControlAnswer> {
  const state = stateFolder(target.env, target.state)
  let answer: ControlAnswer
  try {
    answer = await askControl(state, method, path, body)
  } catch (cause) {
    throw new CommandFailed(`the gate on \`${state}\` cannot be asked: ${reasonOf(cause)}`, {
      fix: fixOf(target, state, cause),
      cause,
    })
  }
  if (answer.status < 400) return answer
  const detail = safeText(stringMember(answer.body, 'detail') ?? '?')
  throw new CommandFailed(detail, {
    exitCode: answer.status === 400 ? 2 : 1,
    ...(answer.status === 404 ? { fix: fixOf(target, state, undefined) } : {}),
  })
}

function reasonOf(cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  if (code === 'ENOENT' || code === 'ECONNREFUSED') return 'nothing listens on its control socket'
  if (code === 'EACCES') return 'its control socket is not ours'
  return cause instanceof Error ? cause.message : String(cause)
}

function fixOf({ env, missing }: ControlTarget, state: string, cause: unknown): string {
  if (cause instanceof Error && 'code' in cause && cause.code === 'EACCES')
    return 'run this as the user that the gate runs as'
  const run = readRunFile(state)
  if (run === undefined) return 'start the gate, or name its folder with --state'
  const { config } = loadConfig(run.config, { env: { ...env, CALLGATE_STATE: state } })
  const wanted = config === undefined ? undefined : missing(config)
  if (wanted !== undefined) return `set ${wanted} in ${run.config} and start the gate again`
  return cause === undefined ? 'list what there is' : 'start the gate'
}
