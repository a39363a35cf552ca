import { spawn } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const SCRIPT = fileURLToPath(new URL('load.lua', import.meta.url))

/** What the generator saw in one round. */
export interface Load {
  readonly requests: number
  readonly seconds: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Answers whose id and text were those that had been asked. */
  readonly right: number
  readonly wrong: number
  /** Connections and requests that broke or timed out. */
  readonly failed: number
  /** Status and beginning of the first wrong answer. */
  readonly sample: string
}

export interface LoadOptions {
  readonly port: number
  readonly seconds: number
  readonly connections: number
  readonly tokensFile: string
  readonly era: 'legacy' | 'modern'
  /** Arguments of taskset for the generator; empty: not pinned. */
  readonly pin: readonly string[]
}

/** Drives wrk against one target. @throws Error when wrk said nothing that could be read */
export function drive(options: LoadOptions): Promise<Load> {
  const url = `http://127.0.0.1:${options.port}`
  const wrk = [
    'wrk',
    '-t1',
    `-c${options.connections}`,
    `-d${options.seconds}s`,
    '--timeout',
    '10s',
    '-s',
    SCRIPT,
    url,
  ]
  const [command = '', ...args] = [...options.pin, ...wrk]
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      env: { ...process.env, TOKENS: options.tokensFile, ERA: options.era },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    const hear = (chunk: Buffer): void => {
      output += chunk.toString()
    }
    child.stdout.on('data', hear)
    child.stderr.on('data', hear)
    child.on('error', reject)
    child.on('close', () => {
      const found = /RESULT(\{.*\})/.exec(output)?.[1]
      if (found === undefined) reject(new Error(`wrk gave no result: ${output.slice(-500)}`))
      else resolve(JSON.parse(found) as Load)
    })
  })
}

/** Microseconds on a CPU of a process and its children, all threads, by the scheduler's own account. */
export function cpuMicros(pid: number): number {
  let nanos = 0
  for (const member of tree(pid)) {
    for (const thread of list(`/proc/${member}/task`)) {
      nanos += Number(read(`/proc/${member}/task/${thread}/schedstat`).split(' ')[0] ?? 0)
    }
  }
  return nanos / 1_000
}

/** MiB resident, children included. */
export function residentMib(pid: number): number {
  const kib = tree(pid).map((member) =>
    Number(/VmRSS:\s+(\d+)/.exec(read(`/proc/${member}/status`))?.[1] ?? 0),
  )
  return kib.reduce((sum, one) => sum + one, 0) / 1_024
}

function tree(pid: number): number[] {
  const children = new Map<number, number[]>()
  for (const name of list('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const stat = read(`/proc/${name}/stat`)
    // The program's name stands in brackets and may hold anything.
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
    children.set(parent, [...(children.get(parent) ?? []), Number(name)])
  }
  const members = [pid]
  for (let i = 0; i < members.length; i++) members.push(...(children.get(members[i] ?? -1) ?? []))
  return members
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // it ended meanwhile
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}

/** The middle value; of an even number the upper one of the two. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN
}
