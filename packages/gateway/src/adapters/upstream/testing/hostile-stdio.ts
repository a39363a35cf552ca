/**
 * A legacy server over stdio that misbehaves in the way named by its first argument. Written by hand: an SDK would not.
 */
import { spawn } from 'node:child_process'
import { appendFileSync, closeSync, writeSync } from 'node:fs'
import { createInterface } from 'node:readline'

const [behaviour = '', file = ''] = process.argv.slice(2)

const say = (message: unknown): void => {
  process.stdout.write(`${JSON.stringify(message)}\n`)
}
const answer = (id: unknown, text: string): void => {
  say({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text }] } })
}

if (behaviour === 'banner') process.stdout.write('Server ready on stdio\n\n')
if (behaviour === 'dies-at-start') {
  process.stderr.write('\u001b[31mcannot open the database\u001b[0m\n')
  process.exit(3)
}
if (behaviour === 'stubborn') {
  process.on('SIGTERM', () => {})
  setInterval(() => {}, 1_000)
}
if (behaviour === 'grandchild') {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'inherit' })
  appendFileSync(file, `${child.pid}\n`)
}
if (behaviour === 'counts-starts' || behaviour === 'dies-of-probe') appendFileSync(file, `${process.pid}\n`)

let calls = 0
let probe: unknown
createInterface({ input: process.stdin }).on('line', (line) => {
  const message: unknown = JSON.parse(line)
  if (typeof message !== 'object' || message === null) return
  const { id, method, params } = { id: undefined, method: '', params: {}, ...message }
  if (id !== undefined && method === 'server/discover') {
    if (behaviour === 'dies-of-probe') process.exit(1)
    if (behaviour === 'silent-to-probe') return
    // Slow to start, and then the question that came last is answered first.
    if (behaviour === 'answers-probe-last') return void (probe = id)
    say({ jsonrpc: '2.0', id, error: { code: -32601, message: 'Method not found' } })
  } else if (method === 'initialize') {
    if (behaviour === 'never-greets') return
    const protocolVersion = behaviour === 'odd-version' ? '1999-01-01' : '2025-11-25'
    const serverInfo = { name: 'hostile', version: '0' }
    say({ jsonrpc: '2.0', id, result: { protocolVersion, capabilities: { tools: {} }, serverInfo } })
    if (probe !== undefined) setTimeout(discovered, 100)
  } else if (method === 'tools/list') {
    if (behaviour === 'endless-list') say({ jsonrpc: '2.0', id, result: { tools: [], nextCursor: 'again' } })
    else {
      const tools = [{ name: 'act', inputSchema: { type: 'object' } }]
      say({ jsonrpc: '2.0', id, result: { tools } })
    }
  } else if (method === 'tools/call') act(id, JSON.stringify(params), line)
  else if (method === 'notifications/cancelled') appendFileSync(file, `${line}\n`)
})

function discovered(): void {
  const result = {
    resultType: 'complete',
    supportedVersions: ['2025-11-25', '2026-07-28'],
    capabilities: { tools: {} },
  }
  say({ jsonrpc: '2.0', id: probe, result: { ...result, ttlMs: 0, cacheScope: 'private' } })
}

let asked: unknown

function act(id: unknown, params: string, line: string): void {
  calls++
  // A server that behaves well in general does once what the tool's name says.
  const once = /"name":"([a-z-]+)"/.exec(params)?.[1] ?? ''
  switch (behaviour === 'well' ? once : behaviour) {
    case 'giant-line':
      process.stdout.write(`{"jsonrpc":"2.0","id":${String(id)},"result":{"x":"`)
      process.stdout.write('x'.repeat(600_000))
      break
    case 'large-answer':
      answer(id, 'x'.repeat(400_000))
      break
    case 'duplicate-keys':
      process.stdout.write(`{"jsonrpc":"2.0","id":${String(id)},"result":{"a":1,"\\u0061":2}}\n`)
      break
    case 'wrong-id':
      answer(Number(id) + 1_000, 'for nobody')
      answer(String(id), 'a string')
      answer(id, 'the right one')
      break
    case 'twice':
      answer(id, 'the first')
      answer(id, 'the second')
      break
    case 'never-answers':
      if (file !== '') appendFileSync(file, 'called\n')
      break
    case 'dies-mid-call':
      process.exit(7)
      break
    case 'dies-once':
      if (params.includes('die')) process.exit(7)
      answer(id, `alive ${process.pid}`)
      break
    case 'half-answer':
      writeSync(1, `{"jsonrpc":"2.0","id":${String(id)},"res`)
      process.exit(0)
      break
    case 'floods-stderr':
      for (let i = 0; i < 200; i++) process.stderr.write(`${'e'.repeat(10_000)}\n`)
      answer(id, 'after the flood')
      break
    case 'floods-notifications':
      for (let i = 0; i < 20_000; i++) {
        say({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: i } })
      }
      answer(id, 'after the flood')
      break
    case 'some-notifications':
      for (let i = 0; i < 500; i++) {
        say({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: i } })
      }
      answer(id, 'after a few')
      break
    case 'floods-blank-lines':
      process.stdout.write('\n'.repeat(6_000))
      answer(id, 'after the flood')
      break
    case 'some-blank-lines':
      process.stdout.write('\r\n'.repeat(500))
      answer(id, 'after a few')
      break
    case 'closes-stdin':
      answer(id, 'deaf from now on')
      setInterval(() => {}, 1_000)
      setImmediate(() => {
        process.stdin.destroy()
        closeSync(0)
        appendFileSync(file, 'deaf')
      })
      break
    case 'environment':
      answer(id, JSON.stringify(process.env))
      break
    case 'argv':
      answer(id, JSON.stringify(process.argv.slice(3)))
      break
    case 'echo-line':
      answer(id, line)
      break
    case 'splice':
      process.stdout.write(
        `{"jsonrpc":"2.0","id":${String(id)},"result": {"n":1.50,  "future":{"x":[1e2]}} }\n`,
      )
      break
    case 'asks':
      asked = id
      say({ jsonrpc: '2.0', id: 'q1', method: 'ping' })
      say({ jsonrpc: '2.0', id: 'q2', method: 'roots/list' })
      say({ jsonrpc: '2.0', id: 3, method: 'sampling/createMessage', params: { messages: [], maxTokens: 1 } })
      break
    case 'changes-tools':
      say({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' })
      answer(id, 'changed')
      break
    default:
      answer(id, `${process.pid} ${calls}`)
  }
}

if (behaviour === 'asks') {
  const answers: string[] = []
  createInterface({ input: process.stdin }).on('line', (line) => {
    if (!line.includes('"method"')) answers.push(line)
    if (answers.length === 3) answer(asked, JSON.stringify(answers.splice(0)))
  })
}
if (behaviour === 'dies-after-greeting') setTimeout(() => process.exit(5), 150)
