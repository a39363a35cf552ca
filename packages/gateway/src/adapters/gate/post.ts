import { type JsonObject, isJsonObject } from '../../call/json.ts'
import { type GateClientOptions, createGateClient } from './client.ts'

/** Longest answer that is read, in bytes. */
const MAX_ANSWER_BYTES = 64 * 1024
const TIMEOUT_MS = 20_000

/**
 * Sends one JSON object to a gate as whoever the credential says.
 * @throws Error when the gate cannot be reached or does not answer in JSON
 */
export async function postTo(
  options: GateClientOptions,
  body: JsonObject,
): Promise<{ readonly status: number; readonly body: JsonObject }> {
  const client = createGateClient(options)
  try {
    const bytes = Buffer.from(JSON.stringify(body))
    const signal = AbortSignal.timeout(TIMEOUT_MS)
    const answer = await client.send({ method: 'POST', headers: {}, body: bytes, signal })
    const chunks: Uint8Array[] = []
    let size = 0
    for await (const chunk of answer.body) {
      size += chunk.length
      if (size > MAX_ANSWER_BYTES) throw new Error('the answer of the gate is too long')
      chunks.push(chunk)
    }
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'))
    if (!isJsonObject(value)) throw new Error('the gate did not answer in JSON')
    return { status: answer.status, body: value }
  } finally {
    client.close()
  }
}
