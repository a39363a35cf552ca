import { constants } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { open } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { FileReference } from '../../ports/secret-reference.ts'
import { SecretUnavailable } from '../../ports/secrets.ts'
import { MAX_SECRET_BYTES, secretText } from './text.ts'

/** Permission bits of group and others. */
const FOREIGN = 0o077

/**
 * Reads a secret from a file, through a symbolic link too: orchestrators mount secrets that way.
 * Everything is judged on the open file, so that no other one takes its place between the look and the read.
 * @param folder what a relative path starts from
 * @throws SecretUnavailable for a file that is missing, not regular, open to others, empty or over 64 KiB
 */
export async function readFileSecret({ label, path }: FileReference, folder: string): Promise<string> {
  const file = await openFile(label, resolve(folder, path))
  try {
    const { mode, size } = await file.stat()
    if ((mode & constants.S_IFMT) !== constants.S_IFREG) {
      throw new SecretUnavailable('refused', `\`${label}\` is not a regular file`)
    }
    if ((mode & FOREIGN) !== 0) {
      const octal = (mode & 0o777).toString(8).padStart(4, '0')
      throw new SecretUnavailable(
        'refused',
        `\`${label}\` has mode ${octal}, its group or everybody may use it; set 0600 or 0400`,
      )
    }
    if (size > MAX_SECRET_BYTES + 2) {
      throw new SecretUnavailable('refused', `\`${label}\` is longer than ${MAX_SECRET_BYTES} bytes`)
    }
    // The size is a promise of the moment: what is read is bounded by the buffer. Two bytes more for a newline.
    const buffer = Buffer.alloc(MAX_SECRET_BYTES + 3)
    let length = 0
    for (;;) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length)
      length += bytesRead
      if (bytesRead === 0) return secretText(label, buffer.subarray(0, length))
    }
  } finally {
    await file.close()
  }
}

/** Without O_NONBLOCK the open of a pipe would wait for its writer for ever. */
async function openFile(label: string, path: string): Promise<FileHandle> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
    const fix = code === 'ENOENT' ? 'create the file' : 'let the user of the gate read it'
    throw new SecretUnavailable('refused', `\`${label}\` cannot be read: ${code}; ${fix}`)
  }
}
