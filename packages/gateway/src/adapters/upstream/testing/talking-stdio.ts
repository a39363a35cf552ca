/**
 * A server over stdio that talks beside its answers, legacy or modern by its first argument. Written by hand: an SDK would not do
 * all of this. Second argument: file that each line it reads is appended to.
 */
import { appendFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { isJsonObject, member, stringMember, type Json, type JsonObject } from '../../../call/json.ts'

const [era = 'legacy', file = '', version = '2025-11-25'] = process.argv.slice(2)
const SUBSCRIPTION = 'io.modelcontextprotocol/subscriptionId'

const write = (...messages: readonly JsonObject[]): void => {
  process.stdout.write(messages.map((message) => `${JSON.stringify(message)}\n`).join(''))
}
const notice = (method: string, params: JsonObject): JsonObject => ({
  jsonrpc: '2.0',
  method: `notifications/${method}`,
  params,
})
const answer = (id: Json, result: JsonObject): JsonObject => ({ jsonrpc: '2.0', id, result })
const text = (id: Json, words: string): JsonObject =>
  answer(id, {
    content: [{ type: 'text', text: words }],
    ...(era === 'modern' ? { resultType: 'complete' } : {}),
  })

const capabilities = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { listChanged: true, subscribe: true },
}
let subscription: Json = null
let asking: Json = null

createInterface({ input: process.stdin }).on('line', (line) => {
  if (file !== '') appendFileSync(file, `${line}\n`)
  const message: unknown = JSON.parse(line)
  if (!isJsonObject(message)) return
  const method = stringMember(message, 'method')
  const params = member(message, 'params')
  const id = member(message, 'id') ?? null
  if (method === undefined) write(text(asking, JSON.stringify(message)))
  else if (id !== null) respond(id, method, isJsonObject(params) ? params : {})
})

function respond(id: Json, method: string, params: JsonObject): void {
  switch (method) {
    case 'server/discover':
      if (era === 'modern')
        write(answer(id, { supportedVersions: ['2026-07-28'], capabilities, resultType: 'complete' }))
      else write({ jsonrpc: '2.0', id, error: { code: -32601, message: 'no such method' } })
      break
    case 'initialize':
      write(
        answer(id, { protocolVersion: version, capabilities, serverInfo: { name: 'talks', version: '1' } }),
      )
      break
    case 'tools/list':
      write(answer(id, { tools: [] }))
      break
    case 'subscriptions/listen':
      subscription = id
      write(
        notice('subscriptions/acknowledged', {
          notifications: member(params, 'notifications') ?? {},
          ...tag(),
        }),
      )
      break
    case 'tools/call':
      act(id, stringMember(params, 'name') ?? '', params)
      break
    default:
      write(answer(id, {}))
  }
}

function tag(): JsonObject {
  return subscription === null ? {} : { _meta: { [SUBSCRIPTION]: subscription } }
}

function act(id: Json, name: string, params: JsonObject): void {
  const meta = member(params, '_meta')
  const token = (isJsonObject(meta) ? member(meta, 'progressToken') : undefined) ?? null
  switch (name) {
    case 'asks':
      asking = id
      write({
        jsonrpc: '2.0',
        id: 'q1',
        method: 'elicitation/create',
        params: {
          message: 'Which?',
          requestedSchema: { type: 'object', properties: { region: { type: 'string' } } },
        },
      })
      break
    case 'tells-all-at-once':
      write(
        notice('message', { level: 'info', data: 'begun' }),
        ...[1, 2, 3].map((progress) => notice('progress', { progressToken: token, progress })),
        text(id, 'done'),
      )
      break
    case 'changes':
      write(
        notice('prompts/list_changed', tag()),
        notice('resources/updated', { uri: 'note://one', ...tag() }),
        notice('message', { level: 'info', data: 'aside', ...tag() }),
        text(id, String(process.pid)),
      )
      break
    case 'ends-subscription':
      write(notice('cancelled', { requestId: subscription }), text(id, 'ended'))
      break
    case 'batches':
      process.stdout.write(
        `${JSON.stringify([notice('progress', { progressToken: token, progress: 1 }), text(id, 'in a batch')])}\n`,
      )
      setTimeout(() => write(text(id, 'alone')), 30)
      break
    case 'dies':
      process.exit(7)
      break
    default:
      write(text(id, JSON.stringify(params)))
  }
}
