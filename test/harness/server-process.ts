import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

/** A server of the tests in a process of its own. */
export interface ServerProcess {
  /** Base URL on 127.0.0.1, without a trailing slash. */
  readonly url: string
  /** Ends the process, unless it has ended already. */
  close(): Promise<void>
}

/**
 * Starts a TypeScript program that serves HTTP and prints its port as its first line.
 * @throws Error when it ends before that
 */
export async function startServerProcess(program: string, ...args: string[]): Promise<ServerProcess> {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  const port = await new Promise<string>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`\`${program}\` ended with ${code} before it served`)))
    createInterface({ input: child.stdout }).once('line', resolve)
  })
  return {
    url: `http://127.0.0.1:${port}`,
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const gone = once(child, 'exit')
      child.kill()
      await gone
    },
  }
}
