import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, rmdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, after, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { explanation } from '../packages/gateway/src/cli/explain.ts'
import { sentence } from '../packages/gateway/src/cli/sentences.ts'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { startFixture } from './harness/fixture-http.ts'
import { type GateOptions, type HttpAnswer, TestGate } from './harness/gate.ts'
import { seededRandom } from './harness/load.ts'
import { modern } from './harness/modern.ts'

const META_KEY = 'dev.callgate/idempotencyKey'
const SEED = Number(process.env['CALLGATE_SEED'] ?? randomInt(2 ** 31))
const root = mkdtempSync(join(tmpdir(), 'callgate-once-test-'))
after(() => rmSync(root, { recursive: true, force: true }))

type Era = 'legacy' | 'modern'

interface Call {
  readonly tool?: string
  readonly mark?: string
  readonly meta?: string | undefined
  readonly header?: string | undefined
  readonly token?: string
}

/** What a host reads of the end of its call. */
interface End {
  readonly text: string
  readonly code: string | undefined
  readonly evidence: string | undefined
  readonly status: number
}

/** One tools/call as a host of an era sends it. */
async function call(gate: TestGate, era: Era, given: Call): Promise<End> {
  const { tool = 'fix__note', mark = 'm', meta, header, token = gate.mint() } = given
  const params = { name: tool, arguments: { mark } }
  const own = meta === undefined ? {} : { [META_KEY]: meta }
  const headers = header === undefined ? {} : { 'Idempotency-Key': header }
  if (era === 'modern') return endOf(await modern(gate, 'tools/call', params, { token, meta: own, headers }))
  const body = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { ...params, _meta: own } }
  return endOf(
    await gate.http(
      'POST',
      '/mcp',
      {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        ...headers,
      },
      JSON.stringify(body),
    ),
  )
}

function endOf(answer: HttpAnswer): End {
  const { result, error } = answer.json() as {
    result?: { content?: { text?: string }[] }
    error?: { message?: string; data?: { code?: string } }
  }
  const text = result?.content?.[0]?.text ?? error?.message ?? ''
  return {
    text,
    code: error?.data?.code ?? /^(CG_[A-Z_]+):/.exec(text)?.[1],
    evidence: /\[evidence ([0-9A-Z]{26})\]/.exec(text)?.[1],
    status: answer.status,
  }
}

const codes = (ends: readonly End[]): Record<string, number> => {
  const counts: Record<string, number> = {}
  for (const { code = 'answered' } of ends) counts[code] = (counts[code] ?? 0) + 1
  return counts
}

/** A server that counts what reaches it, and a gate before it. */
interface Scene {
  readonly gate: TestGate
  readonly tool: string
  readonly runs: (mark: string) => Promise<number>
}

/** @param says what the operator says of the tool beside its class */
async function overHttp(
  t: TestContext,
  delayMs: number,
  says = '',
  more: Partial<GateOptions> = {},
): Promise<Scene> {
  const server = await startFixture(delayMs)
  t.after(() => server.close())
  const servers = server.yaml.replace('note: { class: write', `note: { class: write${says}`)
  const gate = await TestGate.start({ servers, ...more }, t)
  return {
    gate,
    tool: 'fix__note',
    runs: async (mark) => (await server.seen()).filter((seen) => seen.mark === mark).length,
  }
}

let folders = 0

async function overStdio(t: TestContext, says = ''): Promise<Scene> {
  const folder = mkdtempSync(join(root, `stdio-${folders++}-`))
  const inputSchema = {
    type: 'object',
    properties: { mark: { type: 'string' } },
    required: ['mark'],
    additionalProperties: false,
  }
  writeFileSync(join(folder, 'tools.json'), JSON.stringify([{ name: 'slowish', inputSchema }]))
  const program = fileURLToPath(new URL('harness/fixture-server.ts', import.meta.url))
  const gate = await TestGate.start(
    {
      servers: `st:
  command: [${process.execPath}, ${program}, ${folder}]
  approve: first-use
  tools: { slowish: { class: destructive${says} } }`,
    },
    t,
  )
  const log = join(folder, 'lines.log')
  return {
    gate,
    tool: 'st__slowish',
    runs: (mark) => {
      const lines = existsSync(log) ? readFileSync(log, 'utf8').split('\n') : []
      const calls = lines.filter((line) => line.includes('tools/call') && line.includes(`\\"${mark}\\"`))
      return Promise.resolve(calls.length)
    },
  }
}

const SCENES = {
  'an HTTP server': (t: TestContext, says?: string) => overHttp(t, 200, says),
  'a stdio server': overStdio,
}

for (const era of ['legacy', 'modern'] as const) {
  for (const [name, start] of Object.entries(SCENES)) {
    test(
      `${era} host, ${name}: 50 calls of one key at once run once, and 50 runs where keys are off`,
      { timeout: 60_000 },
      async (t) => {
        verifies('play2.idempotency')
        const { gate, tool, runs } = await start(t)
        const all = await Promise.all(
          Array.from({ length: 50 }, (_, i) =>
            call(gate, era, {
              tool,
              mark: 'at-once',
              ...(i % 2 === 0 ? { meta: 'key-1' } : { header: '"key-1"' }),
            }),
          ),
        )
        assert.equal(await runs('at-once'), 1)
        const { answered = 0, CG_IDEMPOTENCY_RUNNING: running = 0 } = codes(all)
        assert.ok(answered >= 1 && answered + running === 50, JSON.stringify(codes(all)))
        const answer = all.find(({ code }) => code === undefined)
        const again = await call(gate, era, { tool, mark: 'at-once', meta: 'key-1' })
        assert.equal(again.text, answer?.text)
        assert.equal(await runs('at-once'), 1)
        // The near miss: another key is another call.
        await call(gate, era, { tool, mark: 'at-once', meta: 'key-2' })
        assert.equal(await runs('at-once'), 2)

        const off = await start(t, ', idempotency: off')
        await Promise.all(
          Array.from({ length: 50 }, () => call(off.gate, era, { tool, mark: 'off', meta: 'key-1' })),
        )
        assert.ok((await off.runs('off')) > 1)
      },
    )
  }
}

test('a key begun in one era is answered in the other, and the record of the repeat names the call that ran', async (t) => {
  verifies('play2.idempotency')
  const { gate, runs } = await overHttp(t, 0)
  const first = await call(gate, 'legacy', { meta: 'key' })
  const second = await call(gate, 'modern', { header: 'key' })
  assert.equal(second.text, first.text)
  assert.equal(await runs('m'), 1)
  const records = (await gate.records()).map(({ record }) => record)
  const intents = records.filter(({ kind }) => kind === 'intent')
  const outcomes = records.filter((record) => record.kind === 'outcome')
  assert.equal(intents.length, 1)
  assert.deepEqual(
    outcomes.map(({ replayed, outcome }) => [replayed, outcome]),
    [
      [undefined, 'answered'],
      [intents[0]?.id, 'answered'],
    ],
  )
  const repeat = (await gate.records()).filter(({ record }) => record.kind === 'outcome').slice(-1)
  assert.ok(explanation(repeat).join('\n').includes(`It did not run: it repeats call ${intents[0]?.id}`))
  assert.match(sentence(outcomes.at(-1) ?? assert.fail()), /answered as [0-9A-Z]{26} was, without running/)
  await gate.stop()
  const { ok, problems } = await gate.verify()
  assert.ok(ok, JSON.stringify(problems))
})

test('another payload is refused, another principal is not affected, what is no key is refused', async (t) => {
  verifies('play2.idempotency')
  const { gate, runs } = await overHttp(t, 0)
  for (const era of ['legacy', 'modern'] as const) {
    const key = `key-${era}`
    await call(gate, era, { mark: `a-${era}`, meta: key })
    const other = await call(gate, era, { mark: `b-${era}`, meta: key })
    assert.equal(other.code, 'CG_IDEMPOTENCY_DIFFERS')
    assert.equal(await runs(`b-${era}`), 0)
    const record = (await gate.records()).map((each) => each.record).find(({ id }) => id === other.evidence)
    assert.ok(record?.kind === 'outcome' && record.code === 'CG_IDEMPOTENCY_DIFFERS')
    for (const token of [gate.mint({ subject: 'somebody' }), gate.mint({ clientId: 'other-agent' })])
      assert.equal((await call(gate, era, { mark: `b-${era}`, meta: key, token })).code, undefined)
    assert.equal(await runs(`b-${era}`), 2)
    assert.equal((await call(gate, era, { meta: 'a b' })).code, 'CG_WIRE_PARAMS')
    assert.equal((await call(gate, era, { header: 'x'.repeat(129) })).code, 'CG_WIRE_PARAMS')
    assert.equal((await call(gate, era, { meta: 'one', header: 'two' })).code, 'CG_WIRE_HEADER_MISMATCH')
    assert.equal(await runs('m'), 0)
  }
})

test('an answer that is kept outlives no right', async (t) => {
  verifies('play2.idempotency')
  const { gate, runs } = await overHttp(t, 0)
  await call(gate, 'legacy', { meta: 'key' })
  const rule = '- { rule: nobody, when: { tool: "fix.note" }, decision: deny }\n'
  writeFileSync(join(gate.folder, 'policy.yaml'), rule)
  let { code } = await call(gate, 'legacy', { meta: 'key' })
  for (let i = 0; i < 50 && code === undefined; i++) {
    await pause(100)
    code = (await call(gate, 'legacy', { meta: 'key' })).code
  }
  assert.equal(code, 'CG_POLICY_DENIED')
  assert.equal(await runs('m'), 1)
})

test('`required` refuses what has no key, `derived` knows the same call of a session by itself', async (t) => {
  const required = await overHttp(t, 0, ', idempotency: required')
  assert.equal((await call(required.gate, 'legacy', {})).code, 'CG_IDEMPOTENCY_MISSING')
  assert.equal(await required.runs('m'), 0)
  assert.equal((await call(required.gate, 'modern', { header: 'key' })).code, undefined)
  // A read of the same server asks for none.
  assert.equal((await call(required.gate, 'legacy', { tool: 'fix__look' })).code, undefined)

  const derived = await overHttp(t, 0, ', idempotency: derived')
  for (const era of ['legacy', 'modern', 'legacy'] as const) await call(derived.gate, era, {})
  assert.equal(await derived.runs('m'), 1)
  await call(derived.gate, 'legacy', { token: derived.gate.mint({ sid: 'another-session' }) })
  await call(derived.gate, 'legacy', { mark: 'other' })
  assert.deepEqual([await derived.runs('m'), await derived.runs('other')], [2, 1])
})

test(
  'kill -9 over a running call: after the restart it is unknown, not run again; what was answered is answered again',
  { timeout: 60_000 },
  async (t) => {
    verifies('play2.idempotency')
    const server = await startFixture(700)
    t.after(() => server.close())
    const runs = async (mark: string) => (await server.seen()).filter((seen) => seen.mark === mark).length
    const first = await TestGate.start({ servers: server.yaml }, t)
    const done = await call(first, 'legacy', { mark: 'done', meta: 'done' })
    const lost = call(first, 'modern', { mark: 'lost', meta: 'lost' }).catch(() => undefined)
    while ((await runs('lost')) === 0) await pause(10)
    await first.stop('SIGKILL')
    assert.equal(await lost, undefined)
    const gate = await TestGate.start({ servers: server.yaml, folder: first.folder }, t)
    assert.equal((await call(gate, 'modern', { mark: 'done', header: 'done' })).text, done.text)
    for (let i = 0; i < 3; i++) {
      const again = await call(gate, 'modern', { mark: 'lost', meta: 'lost' })
      assert.equal(again.code, 'CG_IDEMPOTENCY_UNKNOWN')
    }
    assert.deepEqual([await runs('done'), await runs('lost')], [1, 1])
    assert.equal((await call(gate, 'modern', { mark: 'lost', meta: 'new' })).code, undefined)
    assert.equal(await runs('lost'), 2)
    await gate.stop()
    const { ok, problems } = await gate.verify()
    assert.ok(ok, JSON.stringify(problems))
  },
)

/** Hosts that call and repeat until they are answered, over gates that are killed; how often each key ran. */
async function killOver(
  t: TestContext,
  kills: number,
  says: string,
): Promise<{ runs: number[]; answered: number }> {
  const random = seededRandom(SEED)
  const server = await startFixture(5)
  t.after(() => server.close())
  const servers = server.yaml.replace('note: { class: write', `note: { class: write${says}`)
  const first = await TestGate.start({ servers }, t)
  let gate = first
  const answers = new Map<string, Set<string>>()
  for (let kill = 0; kill < kills; kill++) {
    const mortal = gate
    const token = mortal.mint()
    const before = answers.size
    const once = async (): Promise<End | undefined> => {
      const mark = `${kill}-${Math.floor(random() * 20)}`
      const end = await call(mortal, 'legacy', { mark, meta: mark, token }).catch(() => undefined)
      if (end === undefined || end.code !== undefined) return end
      answers.set(mark, (answers.get(mark) ?? new Set()).add(end.text))
      return end
    }
    const host = async (): Promise<void> => {
      for (let end = await once(); end !== undefined; end = await once());
    }
    const hosts = Array.from({ length: 8 }, host)
    while (answers.size < before + 5) await pause(5)
    await pause(random() * 200)
    await mortal.stop('SIGKILL')
    await Promise.all(hosts)
    gate = await TestGate.start({ servers, folder: first.folder }, t)
    // Every key of that life is repeated in the next one.
    await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        call(gate, 'legacy', { mark: `${kill}-${i}`, meta: `${kill}-${i}` }),
      ),
    )
  }
  const counts = new Map<string, number>()
  for (const { mark } of await server.seen()) counts.set(mark, (counts.get(mark) ?? 0) + 1)
  assert.ok([...answers.values()].every((texts) => texts.size === 1))
  return { runs: [...counts.values()], answered: answers.size }
}

test(
  'over kill -9 under load no key runs twice; the same kills find a gate whose keys are off',
  { timeout: 180_000 },
  async (t) => {
    verifies('play2.idempotency')
    t.diagnostic(`seed ${SEED} (CALLGATE_SEED)`)
    const { runs, answered } = await killOver(t, 8, '')
    assert.ok(runs.length > 80 && answered > 20, `${runs.length} keys ran, ${answered} were answered`)
    assert.equal(Math.max(...runs), 1)
    const off = await killOver(t, 1, ', idempotency: off')
    assert.ok(Math.max(...off.runs) > 1)
  },
)

test(
  'a journal that cannot be written refuses calls with a key and no others, until it can be',
  { timeout: 60_000 },
  async (t) => {
    const { gate, runs } = await overHttp(t, 0, '', {
      env: { NODE_OPTIONS: `--import=${new URL('harness/no-idempotency-journal.ts', import.meta.url).href}` },
    })
    const inTheWay = join(gate.state, 'idempotency.journal.new')
    mkdirSync(inTheWay)
    for (const era of ['legacy', 'modern'] as const)
      assert.equal((await call(gate, era, { meta: `key-${era}` })).code, 'CG_IDEMPOTENCY_STORE')
    assert.equal(await runs('m'), 0)
    assert.equal((await call(gate, 'legacy', { tool: 'fix__look', meta: 'key' })).code, undefined)
    assert.equal((await call(gate, 'legacy', {})).code, undefined)
    rmdirSync(inTheWay)
    assert.equal((await call(gate, 'legacy', { meta: 'key-legacy', mark: 'mended' })).code, undefined)
    assert.equal(await runs('mended'), 1)
    // That its call ended could not be written: the answer was given, and the operator is told.
    const events = (await gate.records()).flatMap(({ record }) =>
      record.kind === 'gate' ? [record.event] : [],
    )
    assert.ok(events.includes('idempotency.problem'), events.join())
  },
)
