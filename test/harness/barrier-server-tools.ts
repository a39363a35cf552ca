/** The tools of the barrier server, whatever carries them: each waits until enough calls are in flight, then talks to its host. */

export type Message = Record<string, unknown>

/** Where calls meet: nobody goes on before as many as needed are there. */
export interface Barrier {
  /** Resolves when the calls that are held are enough. @param where the session or process that the call came to */
  hold(canary: string, where: string): Promise<void>
}

/** The way back to the host of one call. */
export interface Talk {
  /** Sends a notification before the answer. */
  say(method: string, params: Message): void
  /** Asks for a name in the era of the server; undefined: the answer must be a question (modern). */
  readonly ask: ((message: string) => Promise<Message>) | undefined
}

/** One tools/call as it came. */
export interface Call {
  readonly tool: string
  readonly canary: string
  readonly progressToken: unknown
  /** Answers of a modern host to the question of this tool, and the state that came back with them. */
  readonly answers: Message | undefined
  readonly requestState: unknown
}

const SCHEMA = {
  type: 'object',
  properties: { canary: { type: 'string', maxLength: 64 } },
  required: ['canary'],
  additionalProperties: false,
}

/** `meet` meets the others and tells of it; `ask` asks its host for a name then; `wait` never answers; `look` does at once. */
export const TOOLS: readonly Message[] = ['meet', 'ask', 'wait', 'look'].map((name) => ({
  name,
  description: name,
  inputSchema: SCHEMA,
}))

const form = (message: string): Message => ({
  mode: 'form',
  message,
  requestedSchema: { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] },
})

/** Params of an elicitation of a legacy server, which has no `mode` before 2025-11-25 and needs none after. */
export function elicitation(message: string): Message {
  const { mode: _, ...params } = form(message)
  return params
}

/** Plays one call. @param where the session or process that it came to */
export async function play(call: Call, where: string, barrier: Barrier, talk: Talk): Promise<Message> {
  const { tool, canary, progressToken } = call
  const progress = (step: number): void => {
    if (progressToken !== undefined)
      talk.say('notifications/progress', { progressToken, progress: step, message: canary })
  }
  const text = (more: string): Message => ({ content: [{ type: 'text', text: `${canary}${more}` }] })
  if (call.answers !== undefined) {
    if (call.requestState !== `state of ${canary}`) return text(' got a foreign state')
    return text(` was told ${nameIn(call.answers['who'])}`)
  }
  if (tool === 'look') return text('')
  progress(1)
  if (tool === 'wait') return new Promise(() => undefined)
  await barrier.hold(canary, where)
  talk.say('notifications/message', { level: 'info', logger: canary, data: canary })
  progress(2)
  await turn()
  if (tool === 'ask') {
    if (talk.ask !== undefined) return text(` was told ${nameIn(await talk.ask(`who is ${canary}`))}`)
    const who = { method: 'elicitation/create', params: form(`who is ${canary}`) }
    return { resultType: 'input_required', inputRequests: { who }, requestState: `state of ${canary}` }
  }
  progress(3)
  return text('')
}

function nameIn(answer: unknown): string {
  const { content } = (answer ?? {}) as { content?: { name?: unknown } }
  return String(content?.name)
}

/** Lets the other calls go on in between, so that what they say is interleaved as finely as can be. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
