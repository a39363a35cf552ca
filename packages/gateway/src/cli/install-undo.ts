import { GATE_ENTRY, profileOf, type HostId } from './host-profiles.ts'
import { samePath, type HostDocument, type PlaceChange } from './install-document.ts'
import {
  dropBackup,
  isAsWritten,
  newestBackup,
  readText,
  replaceFile,
  restoreBackup,
  type Backup,
  type FileText,
} from './install-files.ts'
import { asFailure } from './install-gate.ts'
import { proveRewrite, readDocument } from './install-plan.ts'
import { gateLine } from './install-server.ts'
import { CommandFailed } from './output.ts'

/** How one configuration of a host is put back. */
export interface UndoPlan {
  readonly host: HostId
  readonly file: FileText
  readonly backup: Backup
  /** The file is as install left it, so every byte comes back; else only the servers do. */
  readonly exact: boolean
  /** Text that the file will have; undefined: it goes away, since there was none. */
  readonly text: string | undefined
}

/**
 * Plans to put a file back as its newest backup has it. A file that the host or a person changed since keeps those
 * changes: the entry of the gate goes, and the servers that are missing come back by the text that they had.
 * @returns undefined when install did not change the file
 * @throws CommandFailed when the file is gone or cannot be read
 */
export function planUndo(host: HostId, path: string): UndoPlan | undefined {
  const backup = newestBackup(path)
  if (backup === undefined) return undefined
  const file = readText(path)
  if (file.bytes === undefined)
    throw new CommandFailed(`${path}: is gone`, {
      fix: `what it held before \`install\` is in ${backup.path}`,
    })
  const old = readText(backup.path)
  if (isAsWritten(file, backup))
    return { host, file, backup, exact: true, text: backup.none ? undefined : old.text }
  const profile = profileOf(host)
  const now = readDocument(profile, file)
  const changes = changesBack(now, readDocument(profile, old))
  if (changes.length === 0) return { host, file, backup, exact: false, text: file.text }
  try {
    const text = now.rewrite(changes)
    proveRewrite(profile, file, now, text, changes)
    return { host, file, backup, exact: false, text }
  } catch (error) {
    const failure = asFailure(error, file)
    if (!(failure instanceof CommandFailed)) throw failure
    throw new CommandFailed(
      `${path}: was changed since \`install\`, and the servers cannot be put back into it`,
      {
        fix: `what it held before is in ${backup.path}`,
        cause: failure,
      },
    )
  }
}

function changesBack(now: HostDocument, old: HostDocument): PlaceChange[] {
  return old.places.flatMap(({ path, entries }) => {
    const present = now.places.find((place) => samePath(place.path, path))?.entries ?? []
    const gate = present.find(({ name, value }) => name === GATE_ENTRY && gateLine(value) === 'connect')
    const remove = new Set(gate === undefined ? [] : [GATE_ENTRY])
    const write = entries.filter(
      ({ name }) => remove.has(name) || present.every((each) => each.name !== name),
    )
    return remove.size + write.length === 0 ? [] : [{ path, remove, write }]
  })
}

/** Does what was planned, and takes the backup away. */
export function undo({ file, backup, exact, text }: UndoPlan): void {
  if (exact) return restoreBackup(file, backup)
  if (text !== undefined && text !== file.text) replaceFile(file, text)
  dropBackup(backup)
}
