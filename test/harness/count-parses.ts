/**
 * Loaded into a gate by NODE_OPTIONS: counts what the gate parses and reads. Each JSON.parse of a text that holds the
 * marker, and each closed connection of a listener, adds a line to the file that CALLGATE_TEST_COUNTS names.
 */
import { subscribe } from 'node:diagnostics_channel'
import { appendFileSync } from 'node:fs'
import type { Socket } from 'node:net'

const file = process.env['CALLGATE_TEST_COUNTS'] ?? ''
const parse = JSON.parse
const stringify = JSON.stringify

JSON.parse = (text: string, reviver?: (key: string, value: unknown) => unknown): unknown => {
  appendFileSync(file, `${stringify({ parsed: text.length, text: text.slice(0, 80) })}\n`)
  return parse(text, reviver)
}

subscribe('net.server.socket', (event) => {
  const { socket } = event as { socket: Socket }
  // A closed socket has forgotten its port.
  const port = socket.remotePort
  socket.on('close', () => appendFileSync(file, `${stringify({ port, read: socket.bytesRead })}\n`))
})
