/**
 * A legacy stdio server written by hand that tells what it received. Arguments: its folder, then a behaviour.
 * The folder holds `tools.json`, the definitions that it lists (read at each list, announced when they change), and
 * `tools-later.json`, which a process that starts after it was written lists instead. It writes `lines.log`: what arrived.
 */
import { appendFileSync, existsSync, readFileSync, watch, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const [folder = '.', behaviour = 'well'] = process.argv.slice(2)
if (behaviour === 'dead') process.exit(3)

const log = join(folder, 'lines.log')
const later = existsSync(join(folder, 'tools-later.json'))
const toolsFile = join(folder, later ? 'tools-later.json' : 'tools.json')
writeFileSync(join(folder, `environment-${process.pid}.json`), JSON.stringify(process.env))

const say = (message: object): void =>
  void process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
const text = (value: string): object => ({ content: [{ type: 'text', text: value }] })

if (!later && existsSync(toolsFile)) {
  let last = readFileSync(toolsFile, 'utf8')
  const watcher = watch(folder, () => {
    const now = readFileSync(toolsFile, 'utf8')
    if (now === last || now === '') return
    last = now
    say({ method: 'notifications/tools/list_changed' })
  })
  watcher.unref()
}

createInterface({ input: process.stdin }).on('line', (line) => {
  appendFileSync(log, `${JSON.stringify({ pid: process.pid, line })}\n`)
  if (behaviour === 'hangs') return
  const message: unknown = JSON.parse(line)
  if (typeof message !== 'object' || message === null) return
  const { id, method, params } = { id: undefined, method: '', params: {}, ...message }
  if (id === undefined) return
  const answer = (result: object): void => say({ id, result })
  switch (method) {
    case 'initialize':
      return answer({
        protocolVersion: '2025-11-25',
        capabilities: { tools: { listChanged: true }, resources: {}, prompts: {} },
        serverInfo: { name: 'fixture', version: '1' },
      })
    case 'tools/list':
      return answer({ tools: JSON.parse(readFileSync(toolsFile, 'utf8')) })
    case 'resources/list':
      return answer({
        resources: [
          { uri: 'note://open', name: 'open' },
          { uri: 'note://secret', name: 'secret' },
        ],
      })
    case 'resources/templates/list':
      return answer({ resourceTemplates: [] })
    case 'prompts/list':
      return answer({ prompts: [{ name: 'greet' }, { name: 'hidden' }] })
    case 'resources/read':
      return answer({ contents: [{ uri: new Map(Object.entries(params)).get('uri'), text: 'a note' }] })
    case 'prompts/get':
      return answer({ messages: [{ role: 'user', content: { type: 'text', text: 'hello' } }] })
    case 'tools/call':
      return called(new Map<string, unknown>(Object.entries(params)), answer)
    default:
      return say({ id, error: { code: -32601, message: 'Method not found' } })
  }
})

function called(params: ReadonlyMap<string, unknown>, answer: (result: object) => void): void {
  switch (params.get('name')) {
    case 'never':
      return
    case 'slow':
      setTimeout(() => answer(text('slow but sure')), 700)
      return
    case 'slowish':
      setTimeout(() => answer(text(`${process.pid} ${JSON.stringify(params.get('arguments'))}`)), 200)
      return
    default:
      answer(text(`${process.pid} ${JSON.stringify(params.get('arguments'))}`))
  }
}
