import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import type { TestGate } from './gate.ts'

/** What a process holds after its garbage was collected. */
export interface Weight {
  /** Bytes. */
  readonly heap: number
  /** Sockets, pipes and processes that are open, by kind. */
  readonly handles: Readonly<Record<string, number>>
  readonly descriptors: number
}

/** Weighs one gate, as weigh.ts inside of it tells. */
export class Scales {
  readonly #file: string

  constructor(folder: string) {
    this.#file = join(folder, 'weights.log')
  }

  /** Environment that loads the scales into a gate. */
  get env(): Record<string, string> {
    const preload = pathToFileURL(join(import.meta.dirname, 'weigh.ts')).href
    return { NODE_OPTIONS: `--expose-gc --import ${preload}`, CALLGATE_TEST_WEIGHT: this.#file }
  }

  #weights(): Weight[] {
    if (!existsSync(this.#file)) return []
    const lines = readFileSync(this.#file, 'utf8').split('\n')
    return lines.slice(0, -1).map((line) => JSON.parse(line) as Weight)
  }

  async weigh(gate: TestGate): Promise<Weight> {
    const before = this.#weights().length
    gate.process.kill('SIGUSR2')
    for (;;) {
      const weight = this.#weights()[before]
      if (weight !== undefined) return weight
      await sleep(20)
    }
  }

  /** Weighs until no descriptor has been closed for two seconds: idle connections are kept for a while. */
  async atRest(gate: TestGate): Promise<Weight> {
    let best = await this.weigh(gate)
    for (let since = performance.now(); performance.now() - since < 2_000; await sleep(200)) {
      const weight = await this.weigh(gate)
      if (weight.descriptors < best.descriptors) since = performance.now()
      if (weight.descriptors <= best.descriptors) best = weight
    }
    return best
  }
}

/** Processes that a process started and that still run. */
export function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8')
      .split(' ')
      .filter((text) => text.trim() !== '')
      .map(Number),
  )
}

/** Whether a process runs; one that has ended and was not collected yet does not. */
export function isRunning(pid: number): boolean {
  if (!existsSync(`/proc/${pid}/stat`)) return false
  return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
}
