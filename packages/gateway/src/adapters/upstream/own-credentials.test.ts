import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Principal } from '../../call/call.ts'
import { UpstreamFailed } from '../../ports/upstream.ts'
import { identifiedCall } from '../../testing/calls.ts'
import { verifies } from '../../testing/verifies.ts'
import { createUpstream } from './index.ts'
import { textOf } from './testing/ask.ts'
import { callFor, testHost } from './testing/host.ts'
import { scripted, type Reply, type Script } from './testing/scripted-server.ts'

const who = (...grants: string[]): Principal => ({ ...identifiedCall().principal, grants })

/** A server behind credentials that name the grants of the caller, and what became of them. */
async function scene(t: TestContext, on: Script['on'], onGet?: Script['onGet'], backoffMs = 5) {
  const server = await scripted({
    capabilities: { tools: {}, resources: { subscribe: true } },
    ...(on === undefined ? {} : { on }),
    ...(onGet === undefined ? {} : { onGet }),
  })
  const told: string[] = []
  const kept = new Map<string, readonly string[]>()
  const of = (principal: Principal | undefined): string => principal?.grants.join('+') ?? 'gate'
  const upstream = createUpstream({
    servers: { fix: { transport: 'http', network: ['127.0.0.0/8'], url: server.url, era: 'legacy' } },
    limits: { backoffMinMs: backoffMs, backoffMaxMs: backoffMs * 4 },
    credentials: {
      keyOf: (_, principal) => of(principal),
      headersFor: (_, principal) => {
        const headers = kept.get(of(principal)) ?? ['authorization', `Bearer ${of(principal)} ${told.length}`]
        kept.set(of(principal), headers)
        return headers
      },
      refused: (_, principal) => {
        told.push(`refused ${of(principal)}`)
        return kept.delete(of(principal))
      },
      accepted: (_, principal) => void told.push(`accepted ${of(principal)}`),
    },
  })
  t.after(async () => {
    await upstream.close()
    await server.close()
  })
  const call = async (principal: Principal, name: string): Promise<string> =>
    textOf(await callFor(upstream, 'fix', name, testHost(), { principal }))
  return { server, told, call, upstream }
}

test('two tokens of one session with other grants share no connection: each request, resumed ones too, shows its own', async (t) => {
  verifies('identity.exchange-per-principal')
  let open: Reply | undefined
  const { server, call } = await scene(
    t,
    {
      polls: (reply) => {
        open = reply
        reply.events('id: polls-1\nretry: 1\ndata:\n\n')
        reply.end()
      },
      plain: (reply) => reply.result('plain'),
    },
    (reply, headers) => {
      if (headers['last-event-id'] !== 'polls-1' || open === undefined) return reply.status(405)
      reply.events(`id: polls-2\ndata: ${JSON.stringify(open.answer('polled'))}\n\n`)
    },
  )
  assert.equal(await call(who('admin', 'read'), 'plain'), 'plain')
  assert.equal(await call(who('read'), 'polls'), 'polled')
  const shown = (method: string): string[] =>
    server.of(method).map(({ headers }) => String(headers.authorization).replace(/ \d+$/, ''))
  assert.deepEqual(shown('initialize'), ['Bearer admin+read', 'Bearer read'])
  assert.deepEqual(shown('tools/call'), ['Bearer admin+read', 'Bearer read'])
  const resumed = server.of('GET').filter(({ headers }) => headers['last-event-id'] === 'polls-1')
  assert.deepEqual(
    resumed.map(({ headers }) => String(headers.authorization).replace(/ \d+$/, '')),
    ['Bearer read'],
  )
})

test('a call behind a 401 is sent once more with other credentials, one whose 401 has spoken is not', async (t) => {
  verifies('identity.credential-single-flight')
  const { server, told, call } = await scene(t, {
    once: (reply, _message) => {
      const sent = server.of('tools/call').filter(({ message }) => JSON.stringify(message).includes('"once"'))
      if (sent.length === 1) reply.status(401)
      else reply.result('second')
    },
    never: (reply) => reply.status(401),
    spoken: (reply) => {
      reply.refusedAloud()
    },
  })
  assert.equal(await call(who('read'), 'once'), 'second')
  assert.equal(told.filter((event) => event === 'refused read').length, 1)
  assert.ok(told.includes('accepted read'))
  const unavailable = (cause: unknown): boolean =>
    cause instanceof UpstreamFailed && cause.fault === 'unavailable'
  await assert.rejects(call(who('read'), 'never'), unavailable)
  await assert.rejects(call(who('read'), 'spoken'))
  const runs = (name: string): number =>
    server.of('tools/call').filter(({ message }) => JSON.stringify(message).includes(`"${name}"`)).length
  assert.deepEqual([runs('once'), runs('never'), runs('spoken')], [2, 2, 1])
})

for (const status of [401, 403]) {
  test(`a server that refuses what one caller is shown with, by ${status}, is there for the others; that one is not tried at will`, async (t) => {
    verifies('identity.exchange-per-principal')
    const scripts: NonNullable<Script['on']> = {
      plain: (reply) => reply.result('plain'),
      initialize: (reply) => {
        if (String(server.heard.at(-1)?.headers.authorization).includes('bad')) return reply.status(status)
        reply.json({
          jsonrpc: '2.0',
          id: reply.id,
          result: {
            protocolVersion: '2025-11-25',
            capabilities: { tools: {} },
            serverInfo: { name: 's', version: '1' },
          },
        })
      },
    }
    const { server, call } = await scene(t, scripts, undefined, 10_000)
    for (let i = 0; i < 3; i++) await assert.rejects(call(who('bad'), 'plain'), UpstreamFailed)
    const tries = server.of('initialize').length
    assert.equal(await call(who('good'), 'plain'), 'plain')
    assert.ok(tries <= 4, `${tries} tries`)
  })
}
