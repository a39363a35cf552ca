import { readFileSync } from 'node:fs'
import type { Answer } from '../../../call/call.ts'
import { member, type Json, type JsonObject } from '../../../call/json.ts'
import { Refusal } from '../../../call/refusal.ts'
import type { Upstream } from '../../../ports/upstream.ts'
import type { StdioServer } from '../options.ts'

/** A call of a tool, for tests. */
export interface Ask {
  readonly session?: string
  readonly args?: JsonObject
  readonly meta?: JsonObject
  readonly onProgress?: (params: JsonObject) => void
  readonly signal?: AbortSignal
}

/** Longest that a test waits for anything, in milliseconds. */
export const PATIENCE_MS = 10_000

/** Calls a tool as session `s1`. */
export function callTool(upstream: Upstream, server: string, name: string, ask: Ask = {}): Promise<Answer> {
  return upstream.request(
    {
      server,
      session: ask.session ?? 's1',
      principal: undefined,
      method: 'tools/call',
      head: { name },
      argsBytes: Buffer.from(JSON.stringify(ask.args ?? {})),
      meta: ask.meta ?? {},
      host: {
        capabilities: {},
        logLevel: undefined,
        hearsLogs: false,
        onProgress: ask.onProgress,
        onLog: undefined,
        ask: () => Promise.reject(new Refusal('CG_HOST_UNREACHABLE')),
      },
    },
    ask.signal ?? AbortSignal.timeout(PATIENCE_MS),
  )
}

/** Text of the first content item of a tool result. */
export function textOf(answer: Answer): string {
  const content = member(answer.value, 'content')
  const [first]: readonly Json[] = Array.isArray(content) ? content : []
  if (typeof first !== 'object' || first === null || !('text' in first)) throw new TypeError('no text')
  return String(first.text)
}

/** A hostile server (hostile-stdio.ts) with one behaviour. */
export function hostile(behaviour: string, ...args: string[]): StdioServer {
  const file = new URL('hostile-stdio.ts', import.meta.url).pathname
  return { transport: 'stdio', command: [process.execPath, file, behaviour, ...args], era: 'legacy' }
}

/** Whether a process lives; a zombie that nobody reaped does not. */
export function lives(pid: number): boolean {
  try {
    return !/\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

/** Waits until something holds. @throws Error after 5 seconds, naming it */
export async function until(what: string, holds: () => boolean): Promise<void> {
  const end = performance.now() + 5_000
  while (!holds()) {
    if (performance.now() > end) throw new Error(`never came true: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
