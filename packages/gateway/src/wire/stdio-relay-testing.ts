import { PassThrough, Readable } from 'node:stream'
import { isJsonObject, type JsonObject } from '../call/json.ts'
import type { Posted, Sent } from './stdio-relay-answers.ts'
import { relayStdio } from './stdio-relay.ts'

/** What was sent to the gate, with its body as text. */
export interface SentText extends Omit<Sent, 'body'> {
  readonly body: string
}

type Gate = (sent: SentText) => Posted | Promise<Posted>

export const answer = (status: number, contentType: string, text: string, sessionId?: string): Posted => ({
  status,
  contentType,
  sessionId,
  body: Readable.from(text === '' ? [] : [Buffer.from(text)]),
})
export const json = (body: object, status = 200, sessionId?: string): Posted =>
  answer(status, 'application/json', JSON.stringify(body), sessionId)
export const problem = (status: number, detail: string): Posted =>
  answer(status, 'application/problem+json', JSON.stringify({ detail }))
export const accepted = (): Posted => answer(202, '', '')

/** A stream of events that the test writes. */
export function events(): {
  readonly posted: Posted
  readonly say: (message: object) => void
  readonly end: () => void
} {
  const body = new PassThrough()
  return {
    posted: { status: 200, contentType: 'text/event-stream', sessionId: undefined, body },
    say: (message) => void body.write(`event: message\ndata: ${JSON.stringify(message)}\n\n`),
    end: () => void body.end(),
  }
}

/** An answer that never comes, until its request is aborted. */
export const never = ({ signal }: Pick<Sent, 'signal'>): Promise<Posted> =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))))

/** A relay between a host and a gate that the test plays. */
export class TestRelay {
  readonly input = new PassThrough()
  readonly output = new PassThrough()
  readonly sent: SentText[] = []
  readonly done: Promise<void>
  #text = ''

  constructor(gate: Gate, lingerMs = 1_000) {
    this.output.on('data', (chunk: Buffer) => (this.#text += chunk.toString()))
    this.done = relayStdio({
      input: this.input,
      output: this.output,
      lingerMs,
      send: async (request) => {
        const sent = { ...request, body: Buffer.from(request.body).toString() }
        this.sent.push(sent)
        return gate(sent)
      },
    })
  }

  say(...messages: readonly object[]): void {
    for (const message of messages) this.input.write(`${JSON.stringify(message)}\n`)
  }

  get lines(): string[] {
    return this.#text.split('\n').filter((line) => line !== '')
  }

  get written(): JsonObject[] {
    return this.lines.map((line) => JSON.parse(line)).filter(isJsonObject)
  }

  /** Requests of one HTTP method, or with one JSON-RPC method. */
  sentOf(method: string): SentText[] {
    return this.sent.filter((each) => each.method === method || each.body.includes(`"method":"${method}"`))
  }

  /** Waits until something holds. */
  async until(holds: () => boolean): Promise<void> {
    for (let i = 0; i < 2_000 && !holds(); i++) await new Promise((resolve) => setTimeout(resolve, 2))
    if (!holds()) throw new Error(`it never held: ${String(holds)}`)
  }

  /** The host closes its end. */
  async close(): Promise<void> {
    this.input.end()
    await this.done
  }
}
