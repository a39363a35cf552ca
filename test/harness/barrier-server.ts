import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** What the barrier has seen. */
export interface Seen {
  /** Calls that are held now. */
  readonly held: number
  /** Most calls that were held at once. */
  readonly most: number
  readonly calls: number
  /** Canaries of calls whose request was cancelled or closed before its answer. */
  readonly cancelled: readonly string[]
  /** Sessions and processes that met more than one canary: whose hosts were not kept apart. */
  readonly mixed: readonly string[]
  /** Streams that listen: GET of the legacy era, subscriptions of the modern one. */
  readonly listening: number
}

/** A running barrier. */
export interface BarrierServer {
  readonly url: string
  /** YAML of a gate's `servers:` for HTTP: `old` speaks the legacy era, `new` the modern one. */
  readonly http: string
  /** The same over stdio, `oldio` and `newio`: a process for each session. */
  readonly stdio: string
  /** `oneio`: one legacy process for all sessions. */
  readonly shared: string
  /** Sets how many calls must be held until all go on, and forgets what was seen of cancelled ones. */
  need(calls: number): Promise<void>
  seen(): Promise<Seen>
  close(): Promise<void>
}

const HTTP = fileURLToPath(new URL('barrier-server-http.ts', import.meta.url))
const STDIO = fileURLToPath(new URL('barrier-server-stdio.ts', import.meta.url))
const MORE = `approve: first-use
  clientCapabilities: [elicitation.form]
  tools: { meet: { class: read }, look: { class: read }, wait: { class: read }, ask: { class: write } }`

/** Starts the barrier in a process of its own. */
export async function startBarrier(): Promise<BarrierServer> {
  const child = spawn(process.execPath, [HTTP], { stdio: ['ignore', 'pipe', 'inherit'] })
  const url = `http://127.0.0.1:${await portOf(child)}`
  const http = (id: string, era: string): string =>
    `${id}:\n  url: ${url}/${era}\n  network: [127.0.0.0/8]\n  era: ${era}\n  ${MORE}`
  const stdio = (id: string, era: string): string =>
    `${id}:\n  command: [node, ${STDIO}, "${url}", ${era}]\n  era: ${era}\n  ${MORE}`
  return {
    url,
    http: `${http('old', 'legacy')}\n${http('new', 'modern')}`,
    shared: `${stdio('oneio', 'legacy')}\n  shared: true`,
    stdio: `${stdio('oldio', 'legacy')}\n${stdio('newio', 'modern')}`,
    async need(calls) {
      await fetch(`${url}/need/${calls}`)
    },
    seen: async () => (await (await fetch(`${url}/seen`)).json()) as Seen,
    async close() {
      if (child.exitCode !== null) return
      const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
      child.kill()
      await gone
    },
  }
}

function portOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the barrier ended with ${code}`)))
    if (child.stdout !== null) createInterface({ input: child.stdout }).once('line', resolve)
  })
}
