/**
 * Loaded into a gate by NODE_OPTIONS with --expose-gc: at SIGUSR2 it collects its garbage and adds a line to the file that
 * CALLGATE_TEST_WEIGHT names, with what is left.
 */
import { appendFileSync, readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

const file = process.env['CALLGATE_TEST_WEIGHT'] ?? ''

async function weigh(): Promise<void> {
  let heap = Number.POSITIVE_INFINITY
  // Finalisers run between two collections; weak things go with the second one.
  for (let i = 0; i < 4; i++) {
    globalThis.gc?.()
    await sleep(20)
    heap = Math.min(heap, process.memoryUsage().heapUsed)
  }
  const handles: Record<string, number> = {}
  for (const name of process.getActiveResourcesInfo()) {
    // Requests of the file system come and go; what is held ends in Wrap: sockets, pipes, processes.
    if (name.endsWith('Wrap')) handles[name] = (handles[name] ?? 0) + 1
  }
  // The folder that is being read is a descriptor itself.
  const descriptors = readdirSync('/proc/self/fd').length - 1
  appendFileSync(file, `${JSON.stringify({ heap, handles, descriptors })}\n`)
}

process.on('SIGUSR2', () => void weigh())
