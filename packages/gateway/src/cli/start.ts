import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { formatProblem } from '../config/problem.ts'
import { configPath, requireConfig, writeRunFile } from './locate.ts'
import { CommandFailed, print, printJson } from './output.ts'
import { bundleFiles } from './policy-bundle.ts'
import { checkPolicyFiles } from './policy.ts'
import type { World } from './world.ts'

export interface StartOptions {
  readonly config?: string
  readonly strict?: boolean
  readonly quickstart?: boolean
  readonly json?: boolean
}

/** `callgate start`: runs the gate until SIGINT or SIGTERM. */
export async function start(world: World, options: StartOptions): Promise<void> {
  const path = configPath(world.env, options.config)
  const config = requireConfig(world.env, path, options.strict)
  if (options.strict === true) {
    const { problems } = await checkPolicyFiles(
      config.policy.files,
      undefined,
      true,
      await bundleFiles(world, config),
    )
    if (problems.length > 0) throw new CommandFailed(problems.map(formatProblem).join('\n'))
  }
  const gate = await world.startGate(config)
  const stopped = new Promise<void>((resolve) => {
    process.once('SIGINT', () => resolve())
    process.once('SIGTERM', () => resolve())
  })
  writeRunFile(config.state, {
    pid: process.pid,
    url: gate.url,
    config: path,
    startedAt: new Date(world.now()).toISOString(),
  })
  await Promise.race([gate.settled, stopped])
  if (options.json === true) printJson({ event: 'gate.ready', url: gate.url })
  else if (options.quickstart === true)
    for (const line of await quickstart(world, gate.url, config.state, path)) print(line)
  else print(`callgate is ready on ${gate.url} (configuration ${path})`)
  await stopped
  await gate.close()
}

/** The lines of `npm start`: at most 8, each of them can be pasted as it is. */
async function quickstart(world: World, url: string, state: string, path: string): Promise<string[]> {
  const issuer = await world.openDevIssuer(state)
  const minted = issuer.mint({
    audience: `${url}/mcp`,
    subject: 'you',
    clientId: 'curl',
    scope: 'quickstart',
    lifetimeS: 600,
  })
  const call = (method: string, params: object) =>
    `curl -s ${url}/mcp -H 'authorization: Bearer ${minted.token}' -H 'content-type: application/json' -H 'accept: application/json, text/event-stream' -d ${shellWord(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }))}`
  const file = join(path, '..', 'files', 'welcome.txt')
  const launcher = fileURLToPath(new URL('../../bin/callgate.mjs', import.meta.url))
  const here = relative(process.cwd(), state)
  const stateVariable = here === 'state' ? '' : `CALLGATE_STATE=${shellWord(state)} `
  return [
    `callgate is ready on ${url}; the token below serves one session until ${minted.expiresAt} (replay defence: session)`,
    `list:     ${call('tools/list', {})}`,
    `allowed:  ${call('tools/call', { name: 'fs__read_text_file', arguments: { path: file } })}`,
    `denied:   ${call('tools/call', { name: 'fs__write_file', arguments: { path: file, content: 'overwritten' } })}`,
    `host:     claude mcp add callgate -- ${shellWord(process.execPath)} ${shellWord(launcher)} connect --state ${shellWord(state)}`,
    `records:  ${stateVariable}npx callgate tail, ${stateVariable}npx callgate explain ID, ${stateVariable}npx callgate evidence verify`,
    `policy:   ${path.replace(/callgate\.yaml$/, 'policy.yaml')} (it is read again when it changes)`,
  ]
}

/** One word of a shell line, quoted when a shell would read anything else in it. */
function shellWord(text: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}
