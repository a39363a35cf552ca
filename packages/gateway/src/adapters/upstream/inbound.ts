import { member, type JsonObject } from '../../call/json.ts'
import { PROGRESS_TOKEN } from '../../mcp/era.ts'
import { encodeError, encodeResult, RPC, type Message } from '../../mcp/jsonrpc.ts'
import { UpstreamFailed } from '../../ports/upstream.ts'
import type { UpstreamLimits } from './options.ts'
import { parseObject } from './connection.ts'

/**
 * The gate's own answer to a request that a server makes: `ping`, and `roots/list` from the configuration. Everything
 * else is unknown here: nothing was declared, so nothing of the host is reachable (play of a hostile server: sampling
 * theft, elicitation phishing; SECURITY.md 3.1 #21). Roots are never the host's (server-filesystem would widen its
 * folders by them).
 */
export function answerServer(
  message: Message & { readonly kind: 'request' },
  roots: readonly string[] | undefined,
): Buffer {
  if (message.method === 'ping') return encodeResult(message.id, Buffer.from('{}'))
  if (message.method === 'roots/list' && roots !== undefined) {
    const result = { roots: roots.map((uri) => ({ uri })) }
    return encodeResult(message.id, Buffer.from(JSON.stringify(result)))
  }
  return encodeError(message.id, RPC.methodNotFound, 'method not found')
}

/** A progress notification: the token that it names, and its params without it. */
export function readProgress(
  params: Uint8Array | undefined,
): { token: unknown; params: JsonObject } | undefined {
  if (params === undefined) return undefined
  const value = parseObject(params)
  const token = member(value, PROGRESS_TOKEN)
  if (token === undefined) return undefined
  return {
    token,
    params: Object.fromEntries(Object.entries(value).filter(([key]) => key !== PROGRESS_TOKEN)),
  }
}

/** Hands on one progress notification. It is best effort: a host that is gone must not end the server's connection. */
export function tellProgress(onProgress: (params: JsonObject) => void, params: JsonObject): void {
  try {
    onProgress(params)
  } catch {
    // Told above: the call itself meets the host's end by its signal.
  }
}

/**
 * Counts what a server sends unasked (notifications, answers to nobody, stray lines) and ends a flood, of messages or of
 * bytes: each costs a scan. The returned function is called once per such message, with its length.
 * @throws UpstreamFailed `protocol`, from the returned function, above maxNoisePerSecond or maxNoiseBytesPerSecond
 */
export function createNoiseMeter(
  server: string,
  limits: Pick<UpstreamLimits, 'maxNoisePerSecond' | 'maxNoiseBytesPerSecond'>,
  clock: () => number,
): (bytes: number) => void {
  let since = clock()
  let heard = 0
  let heardBytes = 0
  const flood = (what: string): UpstreamFailed =>
    new UpstreamFailed('protocol', `server \`${server}\` sent more than ${what} in a second`)
  return (bytes) => {
    const now = clock()
    if (now - since >= 1_000) {
      since = now
      heard = 0
      heardBytes = 0
    }
    heardBytes += bytes
    if (++heard > limits.maxNoisePerSecond) throw flood(`${limits.maxNoisePerSecond} unasked messages`)
    if (heardBytes > limits.maxNoiseBytesPerSecond)
      throw flood(`${limits.maxNoiseBytesPerSecond} unasked bytes`)
  }
}
