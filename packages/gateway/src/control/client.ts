import { request } from 'node:http'
import { join } from 'node:path'
import { type JsonObject, isJsonObject } from '../call/json.ts'
import type { ControlAnswer } from './server.ts'
import { CONTROL_SOCKET } from './socket.ts'

/** Longest answer that is read, in bytes: a list of as many enrolments as there can be. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024
const TIMEOUT_MS = 15_000

/**
 * Asks the gate that runs on a state folder, over its socket.
 * @throws Error with the code of the system when nobody listens there, or we may not
 */
export function askControl(
  state: string,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  body?: JsonObject,
): Promise<ControlAnswer> {
  return new Promise((resolve, reject) => {
    const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
    const sent = request(
      {
        socketPath: join(state, CONTROL_SOCKET),
        method,
        path,
        timeout: TIMEOUT_MS,
        headers:
          bytes === undefined ? {} : { 'content-type': 'application/json', 'content-length': bytes.length },
      },
      (answer) => {
        const chunks: Buffer[] = []
        let size = 0
        answer.on('data', (chunk: Buffer) => {
          size += chunk.length
          if (size > MAX_ANSWER_BYTES) answer.destroy(new Error('the answer of the gate is too long'))
          else chunks.push(chunk)
        })
        answer.on('error', reject)
        answer.on('end', () => {
          const value: unknown = parse(Buffer.concat(chunks).toString('utf8'))
          if (isJsonObject(value)) resolve({ status: answer.statusCode ?? 0, body: value })
          else reject(new Error('the gate did not answer in JSON'))
        })
      },
    )
    sent.on('timeout', () =>
      sent.destroy(new Error(`the gate did not answer within ${TIMEOUT_MS / 1_000} s`)),
    )
    sent.on('error', reject)
    sent.end(bytes)
  })
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
