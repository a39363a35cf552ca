import { serveStdio } from '@modelcontextprotocol/server/stdio'
import { createModernServer } from './modern-server.ts'

const delayMs = Number(process.argv[3] ?? 0)
setTimeout(
  () => serveStdio(createModernServer, { legacy: process.argv[2] === 'reject' ? 'reject' : 'serve' }),
  delayMs,
)
