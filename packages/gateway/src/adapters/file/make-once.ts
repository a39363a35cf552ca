import { randomUUID } from 'node:crypto'
import { closeSync, fsyncSync, linkSync, openSync, unlinkSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { systemCode } from './evidence-errors.ts'

/**
 * Makes a file of mode 0600 unless it is there, whole or not at all: of processes that start together one makes it, and none
 * reads it half written. It outlives a loss of power.
 */
export function makeOnce(path: string, text: string): void {
  const made = writeBeside(dirname(path), text)
  try {
    // link, unlike rename, does not replace what another process just made.
    linkSync(made, path)
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error
  } finally {
    unlinkSync(made)
  }
  const folder = openSync(dirname(path), 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}

/** A durable file of mode 0600 with a name of its own, to be linked or renamed into place. @returns its path */
export function writeBeside(folder: string, text: string): string {
  const path = join(folder, `.${randomUUID()}`)
  const file = openSync(path, 'wx', 0o600)
  try {
    writeSync(file, text)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  return path
}
