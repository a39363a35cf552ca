import { chmod, mkdtemp, rename, rm } from 'node:fs/promises'
import type { Server } from 'node:http'
import { join } from 'node:path'

/** Name of the socket in the state folder. */
export const CONTROL_SOCKET = 'control.sock'

/** Longest name of a Unix socket, in bytes: `sun_path` of Linux without its end. */
const MAX_PATH_BYTES = 107

/** A control API that listens. */
export interface ControlListener {
  readonly path: string
  close(): Promise<void>
}

/**
 * Listens on `<state>/control.sock` with mode 0600. A socket is made with whatever the umask leaves, so this one is made in a
 * folder that is closed to others and moved into place only with its own mode: at no moment can anybody else open it. What lay
 * there before, such as the socket of a gate that was killed, is replaced; the log of record has made sure that we own the folder.
 * @throws Error when the name is too long for a socket
 */
export async function listenPrivately(server: Server, state: string): Promise<ControlListener> {
  const path = join(state, CONTROL_SOCKET)
  const folder = await mkdtemp(join(state, '.c'))
  const made = join(folder, 's')
  try {
    const bytes = Math.max(Buffer.byteLength(path), Buffer.byteLength(made))
    if (bytes > MAX_PATH_BYTES) {
      throw new Error(
        `\`${path}\` is too long for a socket (${bytes} bytes, at most ${MAX_PATH_BYTES}); move \`state\` to a shorter path`,
      )
    }
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(made, () => {
        server.removeListener('error', reject)
        resolve()
      })
    })
    await chmod(made, 0o600)
    await rename(made, path)
  } catch (error) {
    server.close()
    throw error
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
  return {
    path,
    async close() {
      await rm(path, { force: true })
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }
}
