import { readFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { ROOT, type TestGate } from '../harness/gate.ts'
import type { Entry } from './host.ts'

/** The gate's entry for a host, with something in between that keeps what the host sends. */
export interface Tap {
  readonly entry: Entry
  /** Messages of the host in order; over stdio those to the process that it started last. */
  sent(): readonly string[]
}

/** Puts a tap between a host and the gate. @param folder where a stdio tap keeps its log */
export async function openTap(
  t: TestContext,
  gate: TestGate,
  transport: Entry['transport'],
  folder: string,
): Promise<Tap> {
  if (transport === 'stdio') return stdioTap(gate, join(folder, 'sent.log'))
  const sent: string[] = []
  const { url, close } = await forward(gate.url, (message) => sent.push(message))
  t.after(close)
  const token = gate.mint({ sid: 'one-conversation', lifetimeS: 600 })
  return { entry: { transport, url: `${url}/mcp`, token }, sent: () => sent }
}

/** `tee` starts sooner than a program of our own would, and hosts count the seconds. */
function stdioTap(gate: TestGate, log: string): Tap {
  const connect = [process.execPath, join(ROOT, 'packages', 'gateway', 'bin', 'callgate.mjs'), 'connect']
  return {
    entry: {
      transport: 'stdio',
      command: '/bin/sh',
      args: ['-c', 'tee "$0" | "$@"', log, ...connect, '--state', gate.state],
    },
    sent: () => readFileSync(log, 'utf8').split('\n'),
  }
}

/** Forwards everything to `target` unchanged but for Host, which the gate checks; tells the body of every POST. */
async function forward(
  target: string,
  posted: (body: string) => void,
): Promise<{ url: string; close: () => Promise<void> }> {
  const { host } = new URL(target)
  const server = createServer((incoming, outgoing) => {
    const { method = 'GET', url = '/', headers } = incoming
    const onward = request(new URL(url, target), { method, headers: { ...headers, host } }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      // An event stream without an event has headers all the same, and the host waits for them.
      outgoing.flushHeaders()
      answer.pipe(outgoing)
      answer.on('error', () => outgoing.destroy())
    })
    const chunks: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    incoming.on('end', () => method === 'POST' && posted(Buffer.concat(chunks).toString('utf8')))
    incoming.pipe(onward)
    onward.on('error', () => outgoing.destroy())
    // A host that hangs up has cancelled.
    outgoing.on('close', () => onward.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
