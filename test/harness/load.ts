import { Agent, request } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import type { DevIssuer } from '../../packages/gateway/src/adapters/keys/dev-issuer.ts'

/** Numbers that look random and are the same for the same seed (mulberry32). From 0 up to, not including, 1. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** What became of one call, as its host saw it. */
export interface HostCall {
  readonly tool: string
  /** Subject of its token and its only argument, so that records, server and host speak of the same call. */
  readonly mark: string
  /**
   * `answered`: the server's result came back whole. `refused`: a result of the gate's own, or a 401.
   * `lost`: no whole answer, so nobody was told anything.
   */
  readonly end: 'answered' | 'refused' | 'lost'
  /** Code of a refusal. */
  readonly code?: string
  /** Evidence id that a refusal named. */
  readonly evidence?: string
  /** Milliseconds until the end. */
  readonly ms: number
}

export interface HostOptions {
  readonly url: string
  readonly agent: Agent
}

/** One tools/call of a legacy host on `/mcp/fix`. Never rejects. */
export async function callTool(
  options: HostOptions,
  tool: string,
  mark: string,
  token: string,
): Promise<HostCall> {
  const startedAt = performance.now()
  const body = JSON.stringify({
    jsonrpc: '2.0',
    id: mark,
    method: 'tools/call',
    params: { name: tool, arguments: { mark } },
  })
  const answer = await post(options, token, body)
  const said = { tool, mark, ms: performance.now() - startedAt }
  if (answer === undefined) return { ...said, end: 'lost' }
  if (answer.includes(`done ${mark}`) && answer.includes(JSON.stringify(mark)))
    return { ...said, end: 'answered' }
  const code = /CG_[A-Z_]+/.exec(answer)?.[0]
  if (code === undefined)
    throw new Error(`the gate gave an answer that is neither result nor refusal: ${answer}`)
  const evidence = /\[evidence ([0-9A-Z]{26})\]/.exec(answer)?.[1]
  return { ...said, end: 'refused', code, ...(evidence === undefined ? {} : { evidence }) }
}

/** Makes a token known to the gate without calling anything. */
export async function claimToken(options: HostOptions, token: string): Promise<void> {
  const answer = await post(options, token, '{"jsonrpc":"2.0","id":1,"method":"ping"}')
  if (answer?.includes('"result"') !== true) throw new Error(`a token was not accepted: ${answer}`)
}

/** @returns the whole body; undefined when the connection ended before it did */
function post({ url, agent }: HostOptions, token: string, body: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const headers = {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'content-length': Buffer.byteLength(body),
    }
    const sent = request(`${url}/mcp/fix`, { method: 'POST', agent, headers }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', () => resolve(undefined))
      response.on('close', () =>
        resolve(response.complete ? Buffer.concat(chunks).toString('utf8') : undefined),
      )
    })
    sent.on('error', () => resolve(undefined))
    sent.end(body)
  })
}

export interface LoadOptions {
  readonly url: string
  readonly issuer: DevIssuer
  /** Begins every mark; unique among the loads of one log. */
  readonly name: string
  /** Hosts that call at the same time, each one call after the other. */
  readonly hosts: number
  readonly random: () => number
}

/** Hosts that call until they are stopped or the gate is gone. */
export interface Load {
  /** Ended calls, in the order of their ends. */
  readonly calls: readonly HostCall[]
  /** Waits until `count` calls have ended, or until no host calls any more. */
  ended(count: number): Promise<void>
  /** Waits until every host has the end of its last call. */
  stop(): Promise<void>
}

/** Reads, writes and calls that policy denies, each with a token and so a subject of its own. */
export function startLoad(options: LoadOptions): Load {
  const { url, issuer, name, hosts, random } = options
  const agent = new Agent({ keepAlive: true, maxSockets: hosts })
  const calls: HostCall[] = []
  const stopping = new AbortController()
  let made = 0

  async function host(): Promise<void> {
    while (!stopping.signal.aborted) {
      const mark = `${name}.${made++}`
      const drawn = random()
      const tool = drawn < 0.5 ? 'look' : 'note'
      // Policy denies every subject whose name ends in `.denied`.
      const subject = drawn > 0.9 ? `${mark}.denied` : mark
      const { token } = issuer.mint({ audience: `${url}/mcp/fix`, subject, clientId: 'load' })
      const call = await callTool({ url, agent }, tool, mark, token)
      calls.push(call)
      if (call.end === 'lost') return
    }
  }

  const running = Array.from({ length: hosts }, host)
  // A host stops calling when it loses an answer.
  const gone = (): number => calls.filter(({ end }) => end === 'lost').length
  return {
    calls,
    async ended(count) {
      while (calls.length < count && gone() < hosts) await pause(1)
    },
    async stop() {
      stopping.abort()
      await Promise.all(running)
      agent.destroy()
    },
  }
}
