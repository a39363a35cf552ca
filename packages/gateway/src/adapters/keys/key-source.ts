import { readFile, stat } from 'node:fs/promises'
import { Agent, request } from 'undici'
import type { KeySource } from '../../ports/key-source.ts'
import { MAX_JWKS_BYTES } from './jwk.ts'
import type { KeySetSource } from './key-set.ts'
import { KeySet } from './key-set.ts'

/** One issuer and where its public keys are. */
export interface IssuerKeys {
  /** Exact `iss` of its tokens. */
  readonly issuer: string
  /** Path of a JWKS file, or its https URL; plain http only on loopback. */
  readonly jwks: string
}

/** Timing of a key source. */
export interface KeySourceOptions {
  /** Milliseconds since the epoch. Default Date.now. */
  readonly now?: () => number
  /** Milliseconds between looks at the clock and at files. Default 1,000. */
  readonly tickMs?: number
  /** Milliseconds between refreshes of a URL. Default 300,000. */
  readonly urlRefreshMs?: number
  /** Least milliseconds between refreshes for unknown kids. Default 30,000. */
  readonly unknownKidMs?: number
  /** Milliseconds for one whole fetch. Default 5,000. */
  readonly timeoutMs?: number
  /** Told once of each key that is left out and of each outage, for the operator. Holds no key material. */
  readonly onProblem?: (issuer: string, problem: string) => void
}

/** A key source with a life. */
export interface RunningKeySource extends KeySource {
  /**
   * Reads all sets and begins to refresh them.
   * @throws Error when a file cannot be read; a URL that does not answer yet is tried again when its keys are asked for
   */
  start(): Promise<void>
  close(): Promise<void>
}

/**
 * Keys of the configured issuers, from files and URLs.
 * @throws TypeError for an issuer named twice or a URL that is neither https nor on loopback
 */
export function createKeySource(
  issuers: readonly IssuerKeys[],
  options: KeySourceOptions = {},
): RunningKeySource {
  const now = options.now ?? Date.now
  const tickMs = options.tickMs ?? 1_000
  // One connection per issuer is enough: a set is read once in minutes.
  const agent = new Agent({ connections: 1, keepAliveTimeout: 1_000 })
  const sets = new Map<string, { set: KeySet; isFile: boolean }>()
  for (const { issuer, jwks } of issuers) {
    if (sets.has(issuer)) throw new TypeError(`issuer \`${issuer}\` is configured twice; give it one key set`)
    const isFile = !/^[a-z][a-z0-9+.-]*:\/\//i.test(jwks)
    const source = isFile ? fileSource(jwks, tickMs) : urlSource(jwks, agent, options)
    const set = new KeySet(source, now, (problem) => options.onProblem?.(issuer, problem))
    sets.set(issuer, { set, isFile })
  }
  let timer: NodeJS.Timeout | undefined

  return {
    key: (issuer, kid) => sets.get(issuer)?.set.key(kid),
    generation: (issuer) => sets.get(issuer)?.set.generation ?? 0,
    async start() {
      await Promise.all(
        [...sets.values()].map(({ set, isFile }) =>
          isFile ? set.refresh() : set.refresh().catch(() => undefined),
        ),
      )
      timer = setInterval(() => {
        for (const { set } of sets.values()) set.tick()
      }, tickMs).unref()
    },
    async close() {
      clearInterval(timer)
      await agent.destroy()
    },
  }
}

/** A file is looked at each tick and read when it changed: no call waits for it. */
function fileSource(path: string, tickMs: number): KeySetSource {
  return {
    name: path,
    refreshMs: tickMs,
    unknownKidMs: tickMs,
    async read(seen) {
      const { mtimeMs, size, ino } = await stat(path)
      const version = `${mtimeMs} ${size} ${ino}`
      if (version === seen) return undefined
      if (size > MAX_JWKS_BYTES) throw new Error(`file is ${size} bytes long (at most ${MAX_JWKS_BYTES})`)
      return { text: await readFile(path, 'utf8'), version }
    },
  }
}

function urlSource(jwks: string, agent: Agent, options: KeySourceOptions): KeySetSource {
  const url = new URL(jwks)
  const isLoopback = ['127.0.0.1', '[::1]', 'localhost'].includes(url.hostname)
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback)) {
    throw new TypeError(
      `JWKS of host \`${url.host}\` is not https; whoever is on the way could put in their own keys`,
    )
  }
  if (url.username !== '' || url.password !== '') {
    throw new TypeError(`JWKS URL of host \`${url.host}\` holds credentials; public keys need none`)
  }
  return {
    // A query may be a key to the keys.
    name: url.origin + url.pathname,
    refreshMs: options.urlRefreshMs ?? 300_000,
    unknownKidMs: options.unknownKidMs ?? 30_000,
    read: async () => ({ text: await fetchText(url, agent, options.timeoutMs ?? 5_000), version: '' }),
  }
}

/** A redirect is not followed: it would let whoever answers choose where keys come from (SSRF, OWASP API7:2023). */
async function fetchText(url: URL, agent: Agent, timeoutMs: number): Promise<string> {
  const { statusCode, body } = await request(url, {
    dispatcher: agent,
    signal: AbortSignal.timeout(timeoutMs),
    headers: { accept: 'application/jwk-set+json, application/json' },
  })
  // A body that is dropped ends in an error event, which nobody else hears: unheard it would end the process.
  body.on('error', () => undefined)
  if (statusCode !== 200) {
    body.destroy()
    const hint =
      statusCode >= 300 && statusCode < 400 ? '; redirects are not followed, configure the final URL' : ''
    throw new Error(`answered ${statusCode} (expected 200)${hint}`)
  }
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body) {
    const bytes = Buffer.from(chunk)
    size += bytes.length
    if (size > MAX_JWKS_BYTES) {
      body.destroy()
      throw new Error(`answer is longer than ${MAX_JWKS_BYTES} bytes`)
    }
    chunks.push(bytes)
  }
  return Buffer.concat(chunks).toString('utf8')
}
