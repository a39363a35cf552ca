import { createInterface } from 'node:readline'
import { type JsonObject, isJsonObject, member, stringMember } from '../../packages/gateway/src/call/json.ts'
import { METHOD_NOT_FOUND } from './fixture-call.ts'
import { Fixture } from './fixture.ts'
import { LegacySession } from './fixture-legacy.ts'
import { ModernServer, errorOf, isModern } from './fixture-modern.ts'

/**
 * Speaks one JSON-RPC message a line on stdin and stdout until stdin ends. A legacy client has one session, from its
 * `initialize` on; a modern one ends a call or a subscription with `notifications/cancelled`.
 * @param legacy whether it speaks the legacy era
 * @param versions what it says that it speaks to a modern client; undefined when it knows nothing of that era
 */
export function serveStdio(legacy: boolean, versions: readonly string[] | undefined): void {
  const fixture = new Fixture()
  const modern = versions === undefined ? undefined : new ModernServer(fixture, versions)
  const running = new Map<string | number, () => void>()
  let session: LegacySession | undefined
  const send = (message: object): void => void process.stdout.write(`${JSON.stringify(message)}\n`)
  const peer = { send, breakOff: () => undefined }

  async function answerModern(server: ModernServer, id: string | number, message: JsonObject): Promise<void> {
    const gone = new AbortController()
    running.set(id, () => gone.abort())
    try {
      const asked = server.read(id, message)
      server.checkVersion(asked)
      const notify = (notice: object): void => send({ jsonrpc: '2.0', ...notice })
      if (asked.method === 'subscriptions/listen') {
        running.set(id, server.listen(asked, notify))
        return
      }
      const result = await server.answer(asked, notify, gone.signal)
      if (!gone.signal.aborted) send({ jsonrpc: '2.0', id, result })
    } catch (error) {
      if (!gone.signal.aborted) send({ jsonrpc: '2.0', id, error: errorOf(error) })
    }
    running.delete(id)
  }

  async function take(message: JsonObject): Promise<void> {
    const method = stringMember(message, 'method')
    const id = member(message, 'id')
    const params = member(message, 'params')
    const given = isJsonObject(params) ? params : {}
    if (method === undefined) return session?.response(message)
    if (typeof id !== 'string' && typeof id !== 'number') {
      const cancelled = member(given, 'requestId')
      if (
        method === 'notifications/cancelled' &&
        (typeof cancelled === 'string' || typeof cancelled === 'number')
      ) {
        running.get(cancelled)?.()
        running.delete(cancelled)
      }
      return session?.notification(method, given)
    }
    if (modern !== undefined && (!legacy || isModern(message))) return answerModern(modern, id, message)
    if (method === 'initialize') {
      session = new LegacySession(fixture, given, peer)
      return send({ jsonrpc: '2.0', id, result: session.initialized })
    }
    if (session !== undefined) return send(await session.request(id, method, given, peer))
    send({ jsonrpc: '2.0', id, error: { code: METHOD_NOT_FOUND, message: `Method not found: ${method}` } })
  }

  createInterface({ input: process.stdin }).on('line', (line) => {
    const message: unknown = JSON.parse(line)
    if (isJsonObject(message)) void take(message)
  })
}
