import { createHash, randomBytes } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { CommandFailed } from './output.ts'

/** Largest configuration of a host that is read, in bytes; Claude Code keeps its history in the same file. */
const MAX_BYTES = 64 * 1024 * 1024

/** A file as it was read. */
export interface FileText {
  /** Where it really lies, behind symbolic links. */
  readonly path: string
  /** Undefined: there is none yet. */
  readonly bytes: Buffer | undefined
  /** Without the byte order mark; empty when there is no file. */
  readonly text: string
  readonly bom: boolean
  /** Permission bits; for a new file those that it gets. */
  readonly mode: number
}

/**
 * Reads a file that may not be there.
 * @throws CommandFailed when it is there and cannot be read as UTF-8
 */
export function readText(path: string): FileText {
  const real = realPath(path)
  if (real === undefined) return { path, bytes: undefined, text: '', bom: false, mode: 0o600 }
  try {
    const { mode, size } = statSync(real)
    if (size > MAX_BYTES) throw new CommandFailed(`${path}: is larger than 64 MiB (${size} bytes)`)
    const bytes = readFileSync(real)
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    const bom = text.startsWith('\uFEFF')
    return { path: real, bytes, text: bom ? text.slice(1) : text, bom, mode: mode & 0o7777 }
  } catch (cause) {
    if (cause instanceof CommandFailed) throw cause
    throw new CommandFailed(`${path}: cannot be read (${codeOf(cause)})`, {
      fix: 'it must be a UTF-8 file that you may read; nothing was changed',
      cause,
    })
  }
}

function realPath(path: string): string | undefined {
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return undefined
  try {
    return realpathSync(path)
  } catch (cause) {
    throw new CommandFailed(`${path}: is a link to nowhere`, { fix: 'remove it or make its target', cause })
  }
}

/**
 * Replaces a file in one step, so that nobody ever reads half of it; its mode stays.
 * @throws CommandFailed when the file is no longer what was read
 */
export function replaceFile(file: FileText, text: string, mode = file.mode): void {
  mkdirSync(dirname(file.path), { recursive: true, mode: 0o700 })
  const temporary = `${file.path}.${randomBytes(6).toString('hex')}.tmp`
  try {
    writeDurably(temporary, Buffer.from((file.bom ? '\uFEFF' : '') + text, 'utf8'), mode)
    if (!isUnchanged(file))
      throw new CommandFailed(`${file.path}: was changed by someone else meanwhile; it was left alone`, {
        fix: 'close the host and run the command again',
      })
    renameSync(temporary, file.path)
  } catch (cause) {
    rmSync(temporary, { force: true })
    if (cause instanceof CommandFailed) throw cause
    throw new CommandFailed(`${file.path}: cannot be written (${codeOf(cause)})`, { cause })
  }
}

/** Whether a file still holds what was read. */
function isUnchanged({ path, bytes }: FileText): boolean {
  const there = lstatSync(path, { throwIfNoEntry: false }) !== undefined
  return bytes === undefined ? !there : there && readFileSync(path).equals(bytes)
}

function writeDurably(path: string, bytes: Buffer, mode: number): void {
  // Made with no rights for others: the bytes may hold secrets, and the mode comes after.
  const descriptor = openSync(path, 'wx', 0o600)
  try {
    writeFileSync(descriptor, bytes)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
  chmodSync(path, mode)
}

/** A copy of a host's file from before `install`, beside it. */
export interface Backup {
  readonly path: string
  /** First 16 hex digits of the SHA-256 of the file as install wrote it. */
  readonly written: string
  /** There was no file before. */
  readonly none: boolean
}

const BACKUP = /\.callgate-backup-\d{8}T\d{9}Z-([0-9a-f]{16})(-none)?$/

/** Keeps what a file holds now beside it, with its mode. @param after what it will hold */
export function keepBackup(file: FileText, after: string, now: number): Backup {
  const stamp = new Date(now).toISOString().replace(/[-:.]/g, '')
  const written = digest(Buffer.from((file.bom ? '\uFEFF' : '') + after, 'utf8'))
  const none = file.bytes === undefined
  const path = `${file.path}.callgate-backup-${stamp}-${written}${none ? '-none' : ''}`
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  writeDurably(path, file.bytes ?? Buffer.alloc(0), file.mode)
  return { path, written, none }
}

/** The newest backup of a file; undefined: install never changed it, or its change was undone. */
export function newestBackup(path: string): Backup | undefined {
  const real = realPath(path) ?? path
  const folder = dirname(real)
  const name = basename(real)
  if (statSync(folder, { throwIfNoEntry: false }) === undefined) return undefined
  const found = readdirSync(folder).filter(
    (entry) => entry.startsWith(`${name}.callgate-backup-`) && BACKUP.test(entry),
  )
  const newest = found.sort().at(-1)
  const match = newest === undefined ? null : BACKUP.exec(newest)
  if (newest === undefined || match === null) return undefined
  return { path: join(folder, newest), written: match[1] ?? '', none: match[2] !== undefined }
}

/** Whether a file holds exactly what install wrote when it kept this backup. */
export function isAsWritten(file: FileText, backup: Backup): boolean {
  return file.bytes !== undefined && digest(file.bytes) === backup.written
}

/** Puts a backup back, byte for byte, and takes it away. */
export function restoreBackup(file: FileText, backup: Backup): void {
  if (backup.none) {
    rmSync(file.path, { force: true })
    rmSync(backup.path)
  } else renameSync(backup.path, file.path)
}

/** Takes a backup away that has served. */
export function dropBackup(backup: Backup): void {
  rmSync(backup.path)
}

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16)
}

function codeOf(error: unknown): string {
  if (error instanceof TypeError) return 'it is not UTF-8'
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
}
