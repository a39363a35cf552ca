import { readRecords } from '@callgate/evidence'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isJsonObject, member, stringMember } from '../call/json.ts'
import type { GatewayConfig } from '../config/declaration.ts'
import { evidenceVerify, logFolder, recordsOf } from './evidence.ts'
import { explanation } from './explain.ts'
import { requireConfig } from './locate.ts'
import { CommandFailed, print, printJson } from './output.ts'
import type { RunningGate, World } from './world.ts'

/** One act of the demo: a call and how it must end. */
interface Act {
  readonly title: string
  readonly tool: string
  readonly args: object
  /** Code that must refuse it; undefined when it must be answered. */
  readonly refusedBy: string | undefined
}

const ACTS: readonly Act[] = [
  { title: 'a read that policy allows', tool: 'crm__get', args: { id: 7 }, refusedBy: undefined },
  {
    title: 'a fetch of the cloud metadata address (SSRF)',
    tool: 'web__fetch',
    args: { url: 'http://169.254.169.254/latest/meta-data/' },
    refusedBy: 'CG_POLICY_DENIED',
  },
  {
    title: 'a bulk change of 1001 customers without a ticket',
    tool: 'crm__bulk_update',
    args: { count: 1001, tier: 'gold' },
    refusedBy: 'CG_POLICY_DENIED',
  },
  {
    title: 'its near miss, 1000 customers',
    tool: 'crm__bulk_update',
    args: { count: 1000, tier: 'gold' },
    refusedBy: undefined,
  },
]

const TURNED: Act = {
  title: 'the first read again, after an update of the server changed the tool behind it',
  tool: 'crm__get',
  args: { id: 7 },
  refusedBy: 'CG_CATALOG_DRIFTED',
}

/**
 * `callgate demo`: real calls to two real servers through a real gate, in a folder that is gone afterwards.
 * @throws CommandFailed when an act does not end as it must
 */
export async function demo(world: World, options: { json?: boolean }): Promise<void> {
  const path = fileURLToPath(new URL('../../../../examples/demo/callgate.yaml', import.meta.url))
  if (!existsSync(path)) {
    throw new CommandFailed('the demo needs the examples of the project', {
      fix: 'run it from a clone of the project',
    })
  }
  const state = mkdtempSync(join(tmpdir(), 'callgate-demo-'))
  const here: World = { ...world, env: { ...world.env, CALLGATE_STATE: state, CALLGATE_PORT: '0' } }
  try {
    const config = requireConfig(here.env, path)
    await play(here, config, ACTS, options)
    await play(here, turned(config), [TURNED], options)
    if (options.json !== true) await evidenceVerify(here, undefined, {})
  } finally {
    rmSync(state, { recursive: true, force: true })
  }
}

/** The same configuration with the CRM server as a bad update left it. */
function turned(config: GatewayConfig): GatewayConfig {
  const crm = config.servers['crm']
  if (crm?.transport !== 'stdio') throw new TypeError('the demo has no stdio server `crm`')
  return { ...config, servers: { ...config.servers, crm: { ...crm, command: [...crm.command, '--turned'] } } }
}

async function play(
  world: World,
  config: GatewayConfig,
  acts: readonly Act[],
  options: { json?: boolean },
): Promise<void> {
  const gate = await world.startGate(config)
  try {
    await gate.settled
    for (const act of acts) await perform(world, gate, config, act, options)
  } finally {
    await gate.close()
  }
}

async function perform(
  world: World,
  gate: RunningGate,
  config: GatewayConfig,
  act: Act,
  options: { json?: boolean },
): Promise<void> {
  const issuer = await world.openDevIssuer(config.state)
  const { token } = issuer.mint({
    audience: `${gate.url}/mcp`,
    subject: 'you',
    clientId: 'demo-agent',
    scope: 'demo',
    lifetimeS: 60,
  })
  const response = await fetch(`${gate.url}/mcp`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: { name: act.tool, arguments: act.args },
    }),
  })
  const text = textOf(await response.json())
  const refusedBy = /^(CG_[A-Z_]+):/.exec(text)?.[1]
  if (refusedBy !== act.refusedBy) {
    throw new CommandFailed(
      `${act.title}: ended with \`${refusedBy ?? 'an answer'}\` (expected \`${act.refusedBy ?? 'an answer'}\`)`,
    )
  }
  const stored = await recordsOf(world, await lastCallId(world))
  if (options.json === true) return printJson({ act: act.title, answer: text, records: stored })
  print(`\n${act.title}`)
  print(`  agent asks:  ${act.tool} ${JSON.stringify(act.args)}`)
  print(`  agent reads: ${text}`)
  for (const line of explanation(stored)) print(`  record:      ${line}`)
}

function textOf(answer: unknown): string {
  const result = isJsonObject(answer) ? member(answer, 'result') : undefined
  const content = isJsonObject(result) ? member(result, 'content') : undefined
  const first: unknown = Array.isArray(content) ? content[0] : undefined
  return (isJsonObject(first) ? stringMember(first, 'text') : undefined) ?? JSON.stringify(answer)
}

/** Evidence id of the newest call in the log. */
async function lastCallId(world: World): Promise<string> {
  let id: string | undefined
  for await (const { record } of readRecords(logFolder(world, undefined)))
    if (record.kind === 'outcome') id = record.id
  if (id === undefined) throw new CommandFailed('the gate recorded nothing')
  return id
}
