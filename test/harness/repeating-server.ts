/** A legacy stdio server that says again what it was told: in answers, errors, progress, log messages and on stderr. */
import { createInterface } from 'node:readline'

const say = (message: object): void =>
  void process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)

const any = { type: 'object', additionalProperties: true }
const tool = (name: string, inputSchema: object = any): object => ({
  name,
  description: `The tool ${name}`,
  inputSchema,
})
const strict = {
  type: 'object',
  properties: { text: { type: 'string', maxLength: 4, pattern: '^[a-d]*$' }, n: { type: 'integer' } },
  additionalProperties: false,
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method, params } = JSON.parse(line) as {
    id?: number
    method: string
    params?: { name?: string; uri?: string; arguments?: object; _meta?: { progressToken?: unknown } }
  }
  if (id === undefined) return
  const told = JSON.stringify(params?.arguments ?? params ?? {})
  const answer = (result: object): void => say({ id, result })
  switch (method) {
    case 'initialize':
      return answer({
        protocolVersion: '2025-11-25',
        capabilities: { tools: {}, resources: {}, prompts: {}, logging: {} },
        serverInfo: { name: 'repeating', version: '1' },
      })
    case 'tools/list':
      return answer({ tools: [tool('say'), tool('fail'), tool('cry'), tool('send'), tool('strict', strict)] })
    case 'resources/list':
      return answer({ resources: [{ uri: 'note://one', name: 'one' }] })
    case 'resources/templates/list':
      return answer({ resourceTemplates: [{ uriTemplate: 'note://{name}', name: 'notes' }] })
    case 'prompts/list':
      return answer({ prompts: [{ name: 'greet', arguments: [{ name: 'text' }] }] })
    case 'resources/read':
      return say({ id, error: { code: -32002, message: `no ${told}`, data: { told } } })
    case 'prompts/get':
      return answer({ messages: [{ role: 'user', content: { type: 'text', text: told } }] })
    case 'tools/call':
      if (params?.name === 'fail') return say({ id, error: { code: -32000, message: told, data: { told } } })
      if (params?.name === 'cry') {
        process.stderr.write(`${told}\n`)
        const progressToken = params._meta?.progressToken
        if (progressToken !== undefined)
          say({ method: 'notifications/progress', params: { progressToken, progress: 1, message: told } })
        say({ method: 'notifications/message', params: { level: 'error', data: told } })
      }
      return answer({ content: [{ type: 'text', text: told }], isError: params?.name === 'cry' })
    default:
      return say({ id, error: { code: -32601, message: told } })
  }
})
