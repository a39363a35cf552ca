import { CommandFailed } from './cli/output.ts'
import type { createListener } from './wire/http-listener.ts'

const FIX = 'stop that program, or choose a port with CALLGATE_PORT or `listener.port`'

/**
 * @param fix what to do where the port is taken
 * @returns the base URL of what listens
 * @throws CommandFailed naming the port when it is taken
 */
export function listen(
  server: ReturnType<typeof createListener>,
  host: string,
  port: number,
  fix = FIX,
): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        error.code === 'EADDRINUSE'
          ? new CommandFailed(`port \`${port}\` on \`${host}\` is taken by another program`, { fix })
          : error,
      )
    })
    server.listen(port, host, () => {
      const address = server.address()
      const taken = typeof address === 'object' && address !== null ? address.port : port
      resolve(
        `${'setSecureContext' in server ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${taken}`,
      )
    })
  })
}
