import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type StoredRecord, readRecords, verifyLog } from '@callgate/evidence'
import { isCallId } from '../call/id.ts'
import { CommandFailed, print, printJson } from './output.ts'
import { safeText } from '../text/safe-text.ts'
import { stateFolder } from './locate.ts'
import { sentence } from './sentences.ts'
import type { World } from './world.ts'

/** Folder of this node's log. @throws CommandFailed when there is none */
export function logFolder(world: World, given: string | undefined): string {
  const folder = given ?? join(stateFolder(world.env), 'evidence', '0')
  if (!existsSync(folder)) {
    throw new CommandFailed(`no evidence log at \`${folder}\``, {
      fix: 'start the gate once, set CALLGATE_STATE to its state folder, or name the log folder',
    })
  }
  return folder
}

/** `callgate evidence verify`: everything recomputed from the files, beside a live gate. Exit 0 when it holds, 1 when not. */
export async function evidenceVerify(
  world: World,
  folder: string | undefined,
  options: { key?: string; json?: boolean },
): Promise<number> {
  const log = logFolder(world, folder)
  const verifierKey = options.key === undefined ? readFileSync(join(log, 'vkey'), 'utf8') : keyOf(options.key)
  const found = await verifyLog(log, { verifierKey: verifierKey.trim() })
  if (options.json === true) {
    printJson({ ...found, keyFrom: options.key === undefined ? 'log' : 'caller' })
  } else {
    const { records, tornBytes } = found.unsignedTail
    print(
      `${found.ok ? 'verified' : 'NOT verified'}: ${found.size} signed records, root ${found.root ?? 'unknown'}`,
    )
    print(`unsigned tail: ${records} records${tornBytes > 0 ? `, ${tornBytes} torn bytes` : ''}`)
    for (const problem of found.problems) print(safeText(`${problem.where}: ${problem.what}; ${problem.fix}`))
    if (options.key === undefined)
      print(
        'key: taken from beside the log, so who signed is not proven; give --key a copy that you keep elsewhere',
      )
  }
  return found.ok ? 0 : 1
}

function keyOf(given: string): string {
  return existsSync(given) ? readFileSync(given, 'utf8') : given
}

/** `callgate evidence show [ID]`: the records of one call, or the last ones, as they stand in the log. */
export async function evidenceShow(
  world: World,
  id: string | undefined,
  options: { last: string; json?: boolean },
): Promise<void> {
  const found = id === undefined ? await lastRecords(world, Number(options.last)) : await recordsOf(world, id)
  for (const stored of found) {
    if (options.json === true) printJson(stored)
    else
      print(
        `${String(stored.index).padStart(8)} ${stored.signed ? 'signed  ' : 'unsigned'} ${sentence(stored.record)}`,
      )
  }
}

/** Every record of one call. @throws CommandFailed when the id is no call id, or the log has none of it */
export async function recordsOf(world: World, id: string): Promise<StoredRecord[]> {
  if (!isCallId(id))
    throw new CommandFailed('the id is no evidence id (26 characters of 0-9 and A-Z)', { exitCode: 2 })
  const found: StoredRecord[] = []
  for await (const stored of readRecords(logFolder(world, undefined)))
    if (stored.record.id === id) found.push(stored)
  if (found.length === 0) {
    throw new CommandFailed(`no record \`${id}\` in the log`, {
      fix: 'check CALLGATE_STATE; refusals before identity are counted, not recorded one by one',
    })
  }
  return found
}

async function lastRecords(world: World, count: number): Promise<StoredRecord[]> {
  if (!Number.isInteger(count) || count < 1)
    throw new CommandFailed('--last expects a whole number from 1', { exitCode: 2 })
  const last: StoredRecord[] = []
  for await (const stored of readRecords(logFolder(world, undefined))) {
    last.push(stored)
    if (last.length > count) last.shift()
  }
  return last
}
