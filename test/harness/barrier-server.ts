import { fileURLToPath } from 'node:url'
import { startServerProcess } from './server-process.ts'

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
  /** YAML of a gate's `servers:` for HTTP: `old` and `old2` speak the legacy era, `new` and `new2` the modern one. */
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
  const { url, close } = await startServerProcess(HTTP)
  const http = (id: string, era: string): string =>
    `${id}:\n  url: ${url}/${era}\n  network: [127.0.0.0/8]\n  era: ${era}\n  ${MORE}`
  const stdio = (id: string, era: string): string =>
    `${id}:\n  command: [node, ${STDIO}, "${url}", ${era}]\n  era: ${era}\n  ${MORE}`
  return {
    url,
    http: ['', '2'].map((n) => `${http(`old${n}`, 'legacy')}\n${http(`new${n}`, 'modern')}`).join('\n'),
    shared: `${stdio('oneio', 'legacy')}\n  shared: true`,
    stdio: `${stdio('oldio', 'legacy')}\n${stdio('newio', 'modern')}`,
    async need(calls) {
      await fetch(`${url}/need/${calls}`)
    },
    seen: async () => (await (await fetch(`${url}/seen`)).json()) as Seen,
    close,
  }
}
