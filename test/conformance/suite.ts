import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { type JsonObject, isJsonObject, member, stringMember } from '../../packages/gateway/src/call/json.ts'

const FOLDER = fileURLToPath(new URL('node_modules/@modelcontextprotocol/conformance/', import.meta.url))
/** Longest time for one scenario, in milliseconds: the slowest one takes two seconds when all is well. */
const SCENARIO_MS = 8_000

/** The revision that a host of each era is checked against. */
export const REVISION = { legacy: '2025-11-25', modern: '2026-07-28' } as const
export type HostEra = keyof typeof REVISION

/** One check as the suite writes it down. */
export interface Check {
  readonly id: string
  /** SUCCESS, FAILURE, WARNING, SKIPPED or INFO. */
  readonly status: string
  readonly message: string | undefined
  readonly details: JsonObject
}

/** One run of the suite: its verdict and what it says for it. */
export interface SuiteRun {
  readonly exitCode: number
  readonly output: string
  /** Every scenario that wrote a result, in order of name. */
  readonly scenarios: ReadonlyMap<string, readonly Check[]>
}

/** Server scenarios that a revision scores, and those that it only reports. */
export function requiredOf(era: HostEra): {
  readonly scored: readonly string[]
  readonly notScored: readonly string[]
} {
  const text = readFileSync(join(FOLDER, 'requirements', `${REVISION[era]}.yaml`), 'utf8')
  const set: unknown = parse(text)
  if (!isJsonObject(set)) throw new TypeError('the requirements are no map')
  const scored = listMember(set, 'server').map(String)
  const notScored = listMember(set, 'not_scored')
    .filter(isJsonObject)
    .filter((entry) => stringMember(entry, 'leg') === 'server')
    .map((entry) => stringMember(entry, 'scenario') ?? '')
  return { scored, notScored }
}

/**
 * Runs the scenarios of a revision, or one of them, against a server.
 * @throws Error when the suite could not be started
 */
export async function runSuite(era: HostEra, url: string, scenario?: string): Promise<SuiteRun> {
  const out = mkdtempSync(join(tmpdir(), 'callgate-conformance-'))
  const program = join(FOLDER, 'dist', 'index.js')
  const which =
    scenario === undefined
      ? ['--requirements', REVISION[era]]
      : ['--scenario', scenario, '--spec-version', REVISION[era]]
  const argv = ['server', '--url', url, ...which, '--output-dir', out, '--timeout', String(SCENARIO_MS)]
  try {
    const { exitCode, output } = await runProgram([program, ...argv])
    return { exitCode, output, scenarios: readResults(out) }
  } finally {
    rmSync(out, { recursive: true, force: true })
  }
}

function runProgram(argv: readonly string[]): Promise<{ exitCode: number; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
    }
    child.once('error', reject)
    child.once('close', (code) => resolve({ exitCode: code ?? 1, output }))
  })
}

/** Folders are named `server-<scenario>-<time>`. */
function readResults(folder: string): Map<string, readonly Check[]> {
  const results = new Map<string, readonly Check[]>()
  for (const name of readdirSync(folder).sort()) {
    const scenario = /^server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z$/.exec(name)?.[1]
    if (scenario === undefined) continue
    const checks: unknown = JSON.parse(readFileSync(join(folder, name, 'checks.json'), 'utf8'))
    if (Array.isArray(checks)) results.set(scenario, checks.filter(isJsonObject).map(checkOf))
  }
  return results
}

function checkOf(entry: JsonObject): Check {
  const details = member(entry, 'details')
  return {
    id: stringMember(entry, 'id') ?? '',
    status: stringMember(entry, 'status') ?? '',
    message: stringMember(entry, 'errorMessage'),
    details: isJsonObject(details) ? details : {},
  }
}

function listMember(object: JsonObject, key: string): readonly unknown[] {
  const value = member(object, key)
  return Array.isArray(value) ? value : []
}
