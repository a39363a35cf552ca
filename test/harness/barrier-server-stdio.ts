/**
 * The barrier server on stdio. Arguments: the URL of the barrier, then the era. Each process tells the barrier who it is, so
 * that one process which serves two hosts is found.
 */
import { createInterface } from 'node:readline'
import { type Message, TOOLS, elicitation, play } from './barrier-server-tools.ts'

const [barrierUrl = '', era = 'legacy'] = process.argv.slice(2)
const asked = new Map<unknown, (answer: Message) => void>()
let questions = 0
/** Canaries of the calls in flight, by id. */
const running = new Map<unknown, string>()

const send = (message: Message): void =>
  void process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)

async function tell(what: 'hold' | 'cancelled', canary: string): Promise<void> {
  const body = JSON.stringify({ canary, where: `process ${process.pid}` })
  await (await fetch(`${barrierUrl}/${what}`, { method: 'POST', body })).arrayBuffer()
}

function ask(message: string): Promise<Message> {
  // Every process begins with the same id.
  const id = ++questions
  send({ id, method: 'elicitation/create', params: elicitation(message) })
  return new Promise((resolve) => asked.set(id, resolve))
}

const serverInfo = { name: 'barrier', version: '1' }
const capabilities = { tools: {}, logging: {} }

async function resultOf(method: string, params: Message): Promise<Message | undefined> {
  const frame = era === 'modern' ? { resultType: 'complete', ttlMs: 0, cacheScope: 'private' } : {}
  if (method === 'initialize' && era === 'legacy')
    return { protocolVersion: '2025-11-25', capabilities, serverInfo }
  if (method === 'server/discover' && era === 'modern')
    return { ...frame, supportedVersions: ['2026-07-28'], capabilities, serverInfo }
  if (method === 'logging/setLevel') return {}
  if (method === 'tools/list') return { ...frame, tools: TOOLS }
  if (method !== 'tools/call') return undefined
  const { name, arguments: args, _meta, inputResponses, requestState } = params
  const result = await play(
    {
      tool: String(name),
      canary: String((args as Message)['canary']),
      progressToken: (_meta as Message | undefined)?.['progressToken'],
      answers: inputResponses as Message | undefined,
      requestState,
    },
    `process ${process.pid}`,
    { hold: (canary) => tell('hold', canary) },
    {
      say: (said, told) => send({ method: said, params: told }),
      ask: era === 'legacy' ? ask : undefined,
    },
  )
  return { ...(era === 'modern' ? { resultType: 'complete' } : {}), ...result }
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method, params = {}, result } = JSON.parse(line) as Message & { params?: Message }
  if (method === 'notifications/cancelled') void tell('cancelled', running.get(params['requestId']) ?? '')
  if (id === undefined) return
  if (method === undefined) return asked.get(id)?.((result ?? {}) as Message)
  if (method === 'tools/call') running.set(id, String((params['arguments'] as Message)['canary']))
  void resultOf(String(method), params).then((answer) => {
    running.delete(id)
    send(
      answer === undefined
        ? { id, error: { code: -32_601, message: 'method not found' } }
        : { id, result: answer },
    )
  })
})
