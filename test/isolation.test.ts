import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { type BarrierServer, startBarrier } from './harness/barrier-server.ts'
import { TestGate } from './harness/gate.ts'
import { Scales } from './harness/scales.ts'
import { type Came, type Claims, type Message, RawHost, TenantIssuer } from './harness/principals.ts'

/** Calls over HTTP: a twentieth in CI, all of issue 3's 100,000 in proof. */
const CALLS = Number(process.env['CALLGATE_PROOF_CALLS'] ?? 5_000)
const PRINCIPALS = 500
/** A token lives 600 s; a long proof takes new ones in time. */
const TOKEN_MS = 240_000
/** Everyone uses the same JSON-RPC id and the same progress token. */
const ID = 7
// Letters alone: digits may look like data that the gate takes out.
const CANARY = /canary-[a-p]{24}/g
const TAIL = 'canary-'.length + 24 - 1

/** What tells the principals apart: each one differs from all others in this one claim of its token alone. */
const TOLD_BY = ['tenant', 'subject', 'clientId', 'sid'] as const

class Principal {
  readonly canary = `canary-${randomBytes(12)
    .toString('hex')
    .replaceAll(/\d/g, (digit) => 'ghijklmnop'[Number(digit)] ?? '')}`
  readonly host: RawHost
  readonly #foreign = new Set<string>()
  #token = ''
  #mintedAt = Number.NEGATIVE_INFINITY
  #tail = ''
  /** Told on its standing stream. */
  readonly heard: Message[] = []
  /** Id of the last question of the gate to this legacy host. */
  question = ''
  /** State of the last question to this modern host. */
  state = ''

  constructor(index: number, server: string, issuer: TenantIssuer, gate: TestGate) {
    const told = TOLD_BY[(index >> 2) % TOLD_BY.length] ?? 'tenant'
    const claims: Claims = { tenant: 't', subject: 's', clientId: 'c', sid: 'i', [told]: `p${index}` }
    const path = `/mcp/${server}`
    this.host = new RawHost({
      url: gate.url,
      path,
      era: index % 2 === 0 ? 'legacy' : 'modern',
      capabilities: { elicitation: { form: {} } },
      token: () => {
        if (performance.now() - this.#mintedAt > TOKEN_MS) {
          this.#mintedAt = performance.now()
          this.#token = issuer.mint(claims, gate.url + path)
        }
        return this.#token
      },
      onBytes: (text) => this.#look(text),
    })
  }

  /** Every byte that the gate sends to this principal passes here. */
  #look(text: string): void {
    const whole = this.#tail + text
    for (const [found] of whole.matchAll(CANARY)) if (found !== this.canary) this.#foreign.add(found)
    this.#tail = whole.slice(-TAIL)
  }

  /** Canaries of others that came to this one. */
  get foreign(): readonly string[] {
    return [...this.#foreign]
  }

  call(tool: string, more: Message = {}, onMessage?: (message: Message) => void): Promise<Came> {
    const _meta = { progressToken: ID, 'io.modelcontextprotocol/logLevel': 'info' }
    const params = { name: tool, arguments: { canary: this.canary }, _meta, ...more }
    const options = onMessage === undefined ? {} : { onMessage }
    return this.host.post({ id: ID, method: 'tools/call', params }, options)
  }
}

const textOf = (message: Message | undefined): string => {
  const { content } = (message?.['result'] ?? {}) as { content?: { text?: string }[] }
  return content?.[0]?.text ?? JSON.stringify(message)
}

const told = (came: Came, method: string): Message[] =>
  came.messages
    .filter((message) => message['method'] === method)
    .map((message) => message['params'] as Message)

/** Servers of each kind; every era of host meets each of them. */
// HTTP has two of each, because a server takes 256 requests at once and the gate has some of its own.
const SERVERS = {
  http: ['old', 'new', 'old2', 'new2'],
  stdio: ['oldio', 'newio'],
  shared: ['oneio', 'oneio'],
} as const

interface World {
  readonly scales: Scales
  readonly barrier: BarrierServer
  readonly gate: TestGate
  readonly principals: readonly Principal[]
}

/** A gate before the barrier, and principals in every pairing of the eras of host and server. */
async function world(t: TestContext, how: keyof typeof SERVERS, count: number): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), 'callgate-isolation-'))
  const issuer = new TenantIssuer(folder)
  const scales = new Scales(folder)
  const barrier = await startBarrier()
  t.after(() => barrier.close())
  const gate = await TestGate.start(
    {
      folder,
      env: scales.env,
      identity: issuer.yaml,
      servers: barrier[how],
      policy:
        '- rule: all\n  when: { tool: "*" }\n  decision: allow\n- rule: read\n  when: { resource: "canary://*" }\n  decision: allow\n',
      more: 'listener: { port: 0, maxConnections: 4096 }',
    },
    t,
  )
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const principals = Array.from({ length: count }, (_, i) => {
    const servers = SERVERS[how]
    const server = ((i >> 1) & 1) | ((i >> 3) & 2)
    return new Principal(i, servers[server % servers.length] ?? '', issuer, gate)
  })
  t.after(() => principals.forEach(({ host }) => host.close()))
  await Promise.all(
    principals.map(async ({ host }) => {
      if (host.options.era !== 'legacy') return
      const came = await host.initialize()
      assert.equal(came.status, 200, came.text)
    }),
  )
  return { scales, barrier, gate, principals }
}

/** All call at once, and are held until all are there. */
async function meet({ barrier, principals }: World): Promise<void> {
  const came = await Promise.all(principals.map((principal) => principal.call('meet')))
  // One that never came holds all others until their time is up: it is the one to look at.
  const missing = came.filter(
    ({ text }) => text.includes('"isError":true') && !text.includes('CG_UPSTREAM_TIMEOUT'),
  )
  assert.deepEqual(
    missing.map(({ text }) => text),
    [],
  )
  for (const [i, principal] of principals.entries()) {
    const answer = came[i]
    assert.ok(answer)
    const { canary, host } = principal
    const who = `${i} ${host.options.era} on ${host.options.path}: ${answer.text.slice(0, 500)}`
    assert.deepEqual([answer.status, answer.messages.at(-1)?.['id']], [200, ID], who)
    assert.equal(textOf(answer.messages.at(-1)), canary, who)
    assert.deepEqual(
      told(answer, 'notifications/progress').map(({ progress, progressToken, message }) => [
        progress,
        progressToken,
        message,
      ]),
      [1, 2, 3].map((step) => [step, ID, canary]),
      who,
    )
    // What the server says beside the call may come with it, when the host has no stream for it.
    assert.deepEqual(
      new Set(told(answer, 'notifications/message').map(({ data }) => data)),
      new Set([canary]),
      who,
    )
  }
  const { most, mixed } = await barrier.seen()
  assert.deepEqual([most, mixed], [principals.length, []])
}

/** All are asked at once, each answers for its neighbours first, and only its own answer reaches its call. */
async function ask({ principals }: World): Promise<void> {
  // Nobody answers before every question is there: the answers for others must meet open questions.
  let asked = 0
  const all = Promise.withResolvers<void>()
  const isAsked = (): void => {
    if (++asked === principals.length) all.resolve()
  }
  const other = (i: number): Principal | undefined => principals[(i + 4) % principals.length]
  const answered = await Promise.all(
    principals.map(async (principal, i) => {
      const { host, canary } = principal
      const name = { action: 'accept', content: { name: canary } }
      const stolen = { action: 'accept', content: { name: `stolen by ${i}` } }
      if (host.options.era === 'legacy') {
        const came = await principal.call('ask', {}, (message) => {
          if (message['method'] !== 'elicitation/create') return
          principal.question = String(message['id'])
          isAsked()
          void all.promise.then(async () => {
            const foreign = { id: other(i)?.question, result: stolen }
            assert.equal((await host.post(foreign)).status, 202)
            assert.equal((await host.post({ id: principal.question, result: name })).status, 202)
          })
        })
        return textOf(came.messages.at(-1))
      }
      const question = await principal.call('ask')
      const { requestState, inputRequests } = (question.messages.at(-1)?.['result'] ?? {}) as Message
      assert.equal(typeof requestState, 'string', question.text)
      principal.state = String(requestState)
      isAsked()
      await all.promise
      // The gate asks for a legacy server under a key of its own.
      const [key = ''] = Object.keys(Object(inputRequests))
      const { canary: theirs } = other(i) ?? principal
      const takes = await principal.call('ask', {
        arguments: { canary: theirs },
        requestState: other(i)?.state,
        inputResponses: { [key]: stolen },
      })
      assert.match(takes.text, /CG_WIRE_STATE/)
      // The refusal repeats nothing of what it was asked.
      assert.ok(!takes.text.includes(theirs))
      const came = await principal.call('ask', { requestState, inputResponses: { [key]: name } })
      return textOf(came.messages.at(-1))
    }),
  )
  assert.deepEqual(
    answered,
    principals.map(({ canary }) => `${canary} was told ${canary}`),
  )
}

function nothingForeign(principals: readonly Principal[]): void {
  assert.deepEqual(
    principals.flatMap(({ foreign }) => foreign),
    [],
  )
}

/** Opens a standing stream for everyone, which watches a resource with his canary in its name. */
async function listen({ barrier, principals }: World, signal: AbortSignal): Promise<void> {
  const open = principals.map(async (principal) => {
    const { host, canary, heard } = principal
    const uri = `canary://${canary}`
    const hear = (message: Message): void => void heard.push(message)
    const opened = Promise.withResolvers<unknown>()
    if (host.options.era === 'legacy') {
      host.stream(hear, signal, opened.resolve).catch(opened.reject)
      await opened.promise
      const came = await host.post({ id: ID, method: 'resources/subscribe', params: { uri } })
      assert.deepEqual(came.messages[0]?.['result'], {}, came.text)
      return
    }
    const params = { notifications: { resourceSubscriptions: [uri] } }
    const listening = { id: ID, method: 'subscriptions/listen', params }
    const onMessage = (message: Message): void => {
      hear(message)
      opened.resolve(message)
    }
    host.post(listening, { signal, onMessage }).catch(opened.reject)
    await opened.promise
  })
  await Promise.all(open)
  while ((await barrier.seen()).listening < principals.length) await sleep(50)
}

/** Waits until everyone was told of his own resource, and looks at all that was told. */
async function isHeard({ principals }: World): Promise<void> {
  const updates = ({ heard }: Principal): unknown[] =>
    heard
      .filter((message) => message['method'] === 'notifications/resources/updated')
      .map((message) => (message['params'] as Message)['uri'])
  for (const principal of principals) {
    while (updates(principal).length === 0) await sleep(20)
    assert.deepEqual(new Set(updates(principal)), new Set([`canary://${principal.canary}`]))
  }
}

/** Most MiB of heap that stay, however many calls there were. */
const MAX_LEFT_MIB = 16

/** MiB that the gate holds after its garbage was collected. */
const heapOf = async ({ scales, gate }: World): Promise<number> => (await scales.weigh(gate)).heap / 1_048_576

const rounds = Math.ceil(CALLS / PRINCIPALS)

test(
  `${PRINCIPALS} principals over HTTP with identical ids, ${rounds * PRINCIPALS} calls, all held at once: nobody gets anything of another`,
  { timeout: 1_200_000 },
  async (t) => {
    verifies('bridge.isolation')
    const all = await world(t, 'http', PRINCIPALS)
    await all.barrier.need(PRINCIPALS)
    const startedAt = performance.now()
    const asks = Math.max(1, Math.floor(rounds / 10))
    for (let round = 0; round < 2; round++) await meet(all)
    const before = await heapOf(all)
    for (let round = 2; round < rounds - asks; round++) await meet(all)
    for (let round = 0; round < asks; round++) await ask(all)
    nothingForeign(all.principals)
    const seconds = (performance.now() - startedAt) / 1_000
    const left = (await heapOf(all)) - before
    t.diagnostic(
      `${rounds * PRINCIPALS} calls of ${PRINCIPALS} principals in ${seconds.toFixed(0)} s; ${left.toFixed(1)} MiB of heap more than after the first ${2 * PRINCIPALS}`,
    )
    assert.ok(left <= MAX_LEFT_MIB, `${left} MiB of heap more`)
  },
)

test('a change is told to who watches it and to nobody else, over standing streams of both eras', async (t) => {
  verifies('bridge.isolation')
  verifies('eras.streams')
  const all = await world(t, 'http', 40)
  const stop = new AbortController()
  t.after(() => stop.abort())
  await listen(all, stop.signal)
  await all.barrier.need(40)
  await meet(all)
  await isHeard(all)
  nothingForeign(all.principals)
})

test('20 principals over stdio with identical ids, each with a process of its own: nobody gets anything of another', async (t) => {
  verifies('bridge.isolation')
  const all = await world(t, 'stdio', 20)
  await all.barrier.need(20)
  await meet(all)
  await meet(all)
  await ask(all)
  const { mixed } = await all.barrier.seen()
  assert.deepEqual(mixed, [])
  nothingForeign(all.principals)
})

test('20 principals over one process that they share get their own answers, and nothing that was said beside them', async (t) => {
  verifies('bridge.isolation')
  const { barrier, principals } = await world(t, 'shared', 20)
  await barrier.need(20)
  const came = await Promise.all(principals.map((principal) => principal.call('meet')))
  for (const [i, answer] of came.entries()) {
    const canary = principals[i]?.canary
    assert.equal(textOf(answer.messages.at(-1)), canary)
    // Progress names its call; of a log message nobody can tell whose it is.
    assert.deepEqual(
      answer.messages
        .slice(0, -1)
        .map((message) => [message['method'], (message['params'] as Message)['message']]),
      [1, 2, 3].map(() => ['notifications/progress', canary]),
    )
  }
  assert.equal((await barrier.seen()).mixed.length, 1)
  nothingForeign(principals)
})

test('a cancel ends the call of its own host, whatever ids the others use', async (t) => {
  verifies('bridge.isolation')
  verifies('call.cancel')
  const all = await world(t, 'http', 20)
  const { barrier, principals } = all
  // One more than there are: they are held until the test lets them go.
  await barrier.need(21)
  const stop = new AbortController()
  const [cancels, closes] = [principals[8], principals[9]]
  assert.ok(cancels && closes)
  const calls = principals.map((principal) =>
    principal === closes
      ? principal.host
          .post(
            {
              id: ID,
              method: 'tools/call',
              params: { name: 'meet', arguments: { canary: principal.canary } },
            },
            { signal: stop.signal },
          )
          .catch(() => undefined)
      : principal.call('meet'),
  )
  while ((await barrier.seen()).held < 20) await sleep(10)
  await cancels.host.post({ method: 'notifications/cancelled', params: { requestId: ID } })
  stop.abort()
  while ((await barrier.seen()).cancelled.length < 2) await sleep(10)
  assert.deepEqual(new Set((await barrier.seen()).cancelled), new Set([cancels.canary, closes.canary]))
  const last = principals[0]?.call('meet')
  const came = await Promise.all([...calls, last])
  for (const [i, answer] of came.entries()) {
    if (principals[i] === closes) continue
    const text = textOf(answer?.messages.at(-1))
    if (principals[i] === cancels) assert.match(text, /CG_CALL_CANCELLED/)
    else assert.equal(text, (principals[i] ?? principals[0])?.canary)
  }
  nothingForeign(principals)
})
