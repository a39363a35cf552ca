// Stands between the gate and a stdio server and writes down what the gate sends: `node stdio-tap.ts LOG program args...`.
import { spawn } from 'node:child_process'
import { createWriteStream } from 'node:fs'

const [log, program, ...args] = process.argv.slice(2)
if (log === undefined || program === undefined) {
  console.error('usage: node stdio-tap.ts LOG program args...')
  process.exit(2)
}
const server = spawn(program, args, { stdio: ['pipe', 'inherit', 'inherit'] })
process.stdin.pipe(createWriteStream(log, { flags: 'a' }))
process.stdin.pipe(server.stdin)
process.on('SIGTERM', () => server.kill('SIGTERM'))
server.on('exit', (code) => process.exit(code ?? 1))
