#!/usr/bin/env node
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { verifyLog } from './verify.ts'
import type { Verification } from './verify.ts'

const USAGE = `usage: callgate-verify DIR [--key FILE|VKEY] [--json]

Verifies an evidence log, also beside a live gate. DIR is the log's directory.
  --key FILE|VKEY  verifier key (name+hash+key) or a file that holds it; pass one that you got from elsewhere than
                   the log. Default: DIR/vkey, which proves integrity but not who signed
  --json           the result as JSON
Exit code: 0 verified, 1 problems found, 2 usage.
Example: callgate-verify state/evidence/0 --key /mnt/usb/callgate.vkey`

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { key: { type: 'string' }, json: { type: 'boolean' }, help: { type: 'boolean' } },
  })
  const [directory, ...rest] = positionals
  if (values.help === true) {
    console.log(USAGE)
    return 0
  }
  if (directory === undefined || rest.length > 0)
    throw new TypeError(`expected one directory, got ${positionals.length}`)
  const verifierKey = await keyText(directory, values.key)
  const result = await verifyLog(directory, { verifierKey })
  if (values.json === true)
    console.log(JSON.stringify({ ...result, keyFrom: values.key === undefined ? 'log' : 'caller' }))
  else console.log(lines(directory, result, values.key === undefined).join('\n'))
  return result.ok ? 0 : 1
}

async function keyText(directory: string, key: string | undefined): Promise<string> {
  if (key !== undefined && /^[^+\s]+\+[0-9a-f]{8}\+/.test(key)) return key
  return (await readFile(key ?? join(directory, 'vkey'), 'utf8')).trim()
}

function lines(directory: string, result: Verification, ownKey: boolean): string[] {
  const { unsignedTail: tail } = result
  const verdict = result.ok
    ? 'verified'
    : `${result.problemCount} problem${result.problemCount === 1 ? '' : 's'}`
  const out = [`${directory}: ${verdict}, ${result.size} signed records, root ${result.root ?? 'unknown'}`]
  for (const { where, what, fix } of result.problems) out.push(`  ${where}: ${what}; ${fix}`)
  if (result.problemCount > result.problems.length) out.push(`  first ${result.problems.length} shown`)
  out.push(
    `unsigned tail: ${tail.records} records, ${tail.tornBytes} torn bytes; open calls: ${result.openCalls}`,
  )
  if (ownKey) out.push('key: taken from the log itself, so who signed is not proven; pass --key')
  return out
}

try {
  process.exitCode = await main()
} catch (error) {
  console.error(`callgate-verify: ${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`)
  process.exitCode = 2
}
