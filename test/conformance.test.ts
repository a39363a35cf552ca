import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { type AddressInfo, type Socket, connect, createServer } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import { type TestContext, after, before, test } from 'node:test'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { authorize, startForwarder } from './conformance/forwarder.ts'
import { type Verdict, judgeDirect, judgeThrough } from './conformance/judge.ts'
import { EXCEPTIONS, type Exception, PAIRINGS, type Pairing, nameOf } from './conformance/pairings.ts'
import { type Check, type HostEra, type SuiteRun, requiredOf, runSuite } from './conformance/suite.ts'
import { ConformanceRig } from './conformance/through-gate.ts'
import { ROOT, type TestGate } from './harness/gate.ts'
import { modern, resultOf } from './harness/modern.ts'

/** What CI runs; `npm run conformance` runs them all. */
const HERE = PAIRINGS.filter(({ server, transport }) => transport === 'http' && server !== 'both')
const SUITE = join(ROOT, 'test', 'conformance', 'node_modules', '@modelcontextprotocol', 'conformance')

let rig: ConformanceRig | undefined

before(async () => {
  const script = join(ROOT, 'scripts', 'conformance.mjs')
  spawnSync(process.execPath, [script, '--install'], { stdio: ['ignore', 2, 2] })
  if (existsSync(SUITE)) rig = await ConformanceRig.start(HERE)
})
after(() => rig?.close())

/** Without the suite there is nothing to run; in CI that is a failure. */
function installed(t: TestContext): ConformanceRig | undefined {
  if (rig !== undefined) return rig
  assert.notEqual(process.env['CI'], 'true', 'the conformance suite is not installed in test/conformance')
  t.skip('hosts.conformance: the suite is not installed: `npm ci` in test/conformance failed')
  return undefined
}

/** Scored scenarios that did not pass, each with what is wrong. */
function failing(verdicts: readonly Verdict[]): Record<string, readonly string[]> {
  const bad = verdicts.filter(({ scored, passed }) => scored && !passed)
  return Object.fromEntries(bad.map(({ scenario, problems }) => [scenario, problems]))
}

for (const host of ['legacy', 'modern'] as const) {
  for (const server of [host, 'both'] as const) {
    test(`the fixture server that speaks ${server} scores full marks with a ${host} host and no gate`, async (t) => {
      const here = installed(t)
      if (here === undefined) return
      const verdicts = await here.direct({ host, server })
      assert.deepEqual(failing(verdicts), {})
      assert.ok(verdicts.filter(({ scored }) => scored).length >= 30, 'scenarios were lost')
    })
  }
}

const ran = new Map<string, Promise<readonly Verdict[]>>()

/** The verdicts of a pairing, which runs once. */
function verdictsOf(here: ConformanceRig, pairing: Pairing): Promise<readonly Verdict[]> {
  const name = nameOf(pairing)
  const known = ran.get(name) ?? here.through(pairing)
  ran.set(name, known)
  return known
}

for (const pairing of HERE) {
  const { host, server } = pairing
  const all = host === server ? 'every scored scenario' : 'every scored scenario that can exist there'
  test(`${nameOf(pairing)}: ${all} passes through the gate`, async (t) => {
    verifies('hosts.conformance')
    verifies('bridge.conformance')
    const here = installed(t)
    if (here === undefined) return
    assert.deepEqual(failing(await verdictsOf(here, pairing)), {})
  })
}

// What proxies that pair an SDK client with an SDK server are known to break (measured on mcp-proxy 6.7.19: 28 of 50 scenarios
// of 2026-07-28, 28 of 33 of 2025-11-25). Each by its name, so that a break is read as what it is.
const KNOWN_BREAKS: readonly (readonly [what: string, host: HostEra, scenario: string])[] = [
  ["sampling: the host's capability does not reach the server", 'legacy', 'tools-call-sampling'],
  ["elicitation: the host's capability does not reach the server", 'legacy', 'tools-call-elicitation'],
  ['elicitation: the defaults of a form are lost', 'legacy', 'elicitation-sep1034-defaults'],
  ['elicitation: the choices of a form are lost', 'legacy', 'elicitation-sep1330-enums'],
  ['progress: the last notification is lost', 'legacy', 'tools-call-with-progress'],
  ['progress: the last notification is lost', 'modern', 'tools-call-with-progress'],
  ['Host and Origin are not checked', 'legacy', 'dns-rebinding-protection'],
  ['Host and Origin are not checked', 'modern', 'dns-rebinding-protection'],
  ['MRTR: an elicitation is lost', 'modern', 'input-required-result-basic-elicitation'],
  ['MRTR: a sampling is lost', 'modern', 'input-required-result-basic-sampling'],
  ['MRTR: a question about roots is lost', 'modern', 'input-required-result-basic-list-roots'],
  ['MRTR: requestState is lost', 'modern', 'input-required-result-request-state'],
  ['MRTR: several questions become one', 'modern', 'input-required-result-multiple-input-requests'],
  ['MRTR: the second round is lost', 'modern', 'input-required-result-multi-round'],
  ['MRTR: prompts cannot ask', 'modern', 'input-required-result-non-tool-request'],
  ['headers are not held against the body', 'modern', 'http-header-validation'],
  ['x-mcp-header is not validated', 'modern', 'http-custom-header-server-validation'],
]

for (const [what, host, scenario] of KNOWN_BREAKS) {
  test(`known of other proxies, and not here: ${what} (${host}, ${scenario})`, async (t) => {
    verifies('bridge.known-breaks')
    const here = installed(t)
    if (here === undefined) return
    const pairing =
      HERE.find((each) => each.host === host && each.server === host) ?? assert.fail('no pairing')
    const verdict = (await verdictsOf(here, pairing)).find((each) => each.scenario === scenario)
    assert.deepEqual([verdict?.passed, verdict?.problems], [true, []])
  })
}

test('the record of all that verifies', async (t) => {
  const here = installed(t)
  if (here === undefined) return
  const { ok, problems } = await here.gate.verify()
  assert.deepEqual({ ok, problems }, { ok: true, problems: [] })
  const answered = (await here.gate.records()).filter(
    ({ record }) => record.kind === 'outcome' && record.outcome === 'answered',
  )
  assert.ok(answered.length > HERE.length * 20, `${answered.length} answered calls`)
})

// What happens instead of what the exceptions say cannot be.

const ASKED = '/mcp/modern-legacy'
const ABLE = { 'io.modelcontextprotocol/clientCapabilities': { elicitation: {}, sampling: {}, roots: {} } }
const ANSWERS: Readonly<Record<string, object>> = {
  'elicitation/create': { action: 'accept', content: { name: 'Alice' } },
  'sampling/createMessage': {
    role: 'assistant',
    content: { type: 'text', text: 'Hello there!' },
    model: 'test-model',
  },
  'roots/list': { roots: [{ uri: 'file:///of/the/host' }] },
}

interface Asking {
  readonly resultType: string
  readonly inputRequests?: Readonly<Record<string, { readonly method: string }>>
  readonly requestState?: string
  readonly content?: readonly { readonly text: string }[]
  readonly isError?: boolean
}

async function callTool(gate: TestGate, path: string, name: string, more: object = {}, meta: object = ABLE) {
  const params = { name, arguments: {}, ...more }
  const answer = await modern(gate, 'tools/call', params, { path, meta: { ...meta } })
  return resultOf(answer) as unknown as Asking
}

/** Answers what is asked, round by round. @returns the methods that were asked, and the end */
async function converse(gate: TestGate, path: string, name: string) {
  const asked: string[] = []
  let result = await callTool(gate, path, name)
  for (let round = 0; result.resultType === 'input_required' && round < 8; round++) {
    const { inputRequests = {}, requestState } = result
    const questions = Object.entries(inputRequests)
    asked.push(...questions.map(([, { method }]) => method))
    const inputResponses = {
      ...Object.fromEntries(questions.map(([key, { method }]) => [key, ANSWERS[method]])),
      nobodyAsked: ANSWERS['elicitation/create'],
    }
    result = await callTool(gate, path, name, { inputResponses, requestState })
  }
  return { asked: asked.sort(), result, text: result.content?.[0]?.text ?? '' }
}

test("a legacy server's question has a key of the gate, its answer reaches the server, and what nobody asked is left out", async (t) => {
  verifies('bridge.conformance')
  const here = installed(t)
  if (here === undefined) return
  const { asked, text } = await converse(here.gate, ASKED, 'test_input_required_result_elicitation')
  assert.deepEqual(asked, ['elicitation/create'])
  assert.equal(text, 'Hello: {"user_name":{"action":"accept","content":{"name":"Alice"}}}')
})

test('an answer to a question that a legacy server has not asked is asked for, and not believed', async (t) => {
  const here = installed(t)
  if (here === undefined) return
  const inputResponses = { user_name: ANSWERS['elicitation/create'] }
  const name = 'test_input_required_result_elicitation'
  assert.equal((await callTool(here.gate, ASKED, name, { inputResponses })).resultType, 'input_required')
})

test('a server of either era is told the roots of the operator, and never those of the host', async (t) => {
  const here = installed(t)
  if (here === undefined) return
  for (const path of [ASKED, '/mcp/modern-modern']) {
    const { text } = await converse(here.gate, path, 'test_input_required_result_list_roots')
    assert.equal(text, `Roots: {"client_roots":{"roots":[{"uri":"file://${here.gate.folder}"}]}}`)
  }
})

test('three questions of a legacy server at once become rounds, and the gate answers the one for roots', async (t) => {
  const here = installed(t)
  if (here === undefined) return
  const { asked, text } = await converse(here.gate, ASKED, 'test_input_required_result_multiple_inputs')
  assert.deepEqual(asked, ['elicitation/create', 'sampling/createMessage'])
  assert.match(text, /^All three: .*"client_roots".*"greeting".*Hello there!.*"user_name".*Alice/)
})

test('a legacy server that lacks a capability says so in its own words', async (t) => {
  const here = installed(t)
  if (here === undefined) return
  const { isError, content } = await callTool(here.gate, ASKED, 'test_missing_capability', {}, {})
  assert.deepEqual([isError, content?.[0]?.text], [true, 'Error: the client does not support sampling'])
})

test('a dead port passes nothing, although the suite counts what was sent to it', async (t) => {
  if (installed(t) === undefined) return
  const closed = createServer().listen(0, '127.0.0.1')
  await once(closed, 'listening')
  const { port } = closed.address() as AddressInfo
  closed.close()
  const run = await runSuite('legacy', `http://127.0.0.1:${port}/mcp`)
  const verdicts = judgeDirect(run, requiredOf('legacy'))
  assert.deepEqual(
    verdicts.filter(({ passed }) => passed),
    [],
  )
  assert.equal(verdicts.length, requiredOf('legacy').scored.length + requiredOf('legacy').notScored.length)
})

const check = (id: string, status: string, details: Check['details'] = {}): Check => ({
  id,
  status,
  message: undefined,
  details,
})
const runOf = (...checks: readonly Check[]): SuiteRun => ({
  exitCode: 0,
  output: '',
  scenarios: new Map([['s', checks]]),
})
const NONE = { exceptions: [] }
const required = { scored: ['s'], notScored: [] }
const saying = (text: string) => ({ result: { content: [{ type: 'text', text }] } })

test('the text of a refusal is no answer, although the suite takes any text for one', () => {
  const direct = runOf(check('c', 'SUCCESS', saying('hello')))
  const [same] = judgeThrough(direct, direct, required, NONE)
  assert.equal(same?.passed, true)
  const refused = runOf(check('c', 'SUCCESS', saying('CG_POLICY_DENIED')))
  const [other] = judgeThrough(refused, direct, required, NONE)
  assert.equal(other?.passed, false)
  assert.match(other.problems.join(), /^c: other content: .*CG_POLICY_DENIED/)
})

test('a check that passes directly may not be skipped through the gate', () => {
  const direct = runOf(check('c', 'SUCCESS'), check('c', 'SUCCESS'))
  const [once] = judgeThrough(runOf(check('c', 'SUCCESS'), check('c', 'SKIPPED')), direct, required, NONE)
  assert.deepEqual(once?.problems, ['c: passes directly, SUCCESS and SKIPPED here'])
  const [skipped] = judgeThrough(runOf(check('d', 'SUCCESS'), check('c', 'SKIPPED')), direct, required, NONE)
  assert.equal(skipped?.passed, false)
  // A check that is skipped directly too says nothing about the gate.
  const idle = runOf(check('c', 'SKIPPED'), check('d', 'SUCCESS'))
  assert.equal(judgeThrough(idle, idle, required, NONE)[0]?.passed, true)
})

test('an exception covers its checks alone, for what it allows alone, and one that is not needed fails', () => {
  const entry = { host: 'modern', servers: ['legacy'], scenario: 's', checks: ['c'], reason: 'why' } as const
  const direct = runOf(check('c', 'SUCCESS'), check('d', 'SUCCESS'))
  const judge = (run: SuiteRun, allows: Exception['allows'] = 'failure') =>
    judgeThrough(run, direct, required, { exceptions: [{ ...entry, allows }] })[0]
  const failed = runOf(check('c', 'FAILURE'), check('d', 'SUCCESS'))
  const covered = judge(failed)
  assert.deepEqual([covered?.passed, covered?.excepted], [true, ['why']])
  assert.equal(judge(runOf(check('c', 'FAILURE'), check('d', 'FAILURE')))?.passed, false)
  assert.match(judge(direct)?.problems.join() ?? '', /^c: passes, and is among the exceptions/)
  assert.equal(judge(runOf(check('c', 'INFO'), check('d', 'SUCCESS')), 'difference')?.passed, true)
  assert.equal(judge(failed, 'difference')?.passed, false)
})

test('where host and server share an era, no exception allows a failure of the suite', () => {
  verifies('hosts.conformance')
  const wrong = EXCEPTIONS.filter(
    ({ host, servers, allows }) =>
      allows === 'failure' && (servers.includes(host) || servers.includes('both')),
  )
  assert.deepEqual(wrong, [])
})

const BODY = '{"x":"\r\n\r\nPOST / HTTP/1.1\r\n\r\n"}'
const REQUESTS = [
  `POST /mcp HTTP/1.1\r\nHost: evil.example\r\nMcp-Name:   two  blanks  \r\nX: a\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`,
  'GET /mcp HTTP/1.1\r\nhOsT: a\r\nOrigin: http://a\r\n\r\n',
  `POST /mcp HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n${BODY.length.toString(16)};e=1\r\n${BODY}\r\n0\r\nTrailer: t\r\n\r\n`,
  'DELETE /mcp HTTP/1.1\r\nHost: a\r\n\r\n',
]

test('the forwarder puts one token into each request and changes no other byte, wherever the bytes are cut', () => {
  const sent = REQUESTS.join('')
  const expected = REQUESTS.map((request, index) =>
    request.replace('\r\n', `\r\nAuthorization: Bearer t${index + 1}\r\n`),
  ).join('')
  for (let cut = 0; cut <= sent.length; cut++) {
    let tokens = 0
    const change = authorize(() => `t${++tokens}`)
    const got = [sent.slice(0, cut), sent.slice(cut)].map((part) => change(Buffer.from(part)).toString())
    assert.equal(got.join(''), expected, `cut at ${cut}`)
  }
})

test('the end, the half-close and the reset of either side become those of the other', async (t) => {
  const accepted: Socket[] = []
  const target = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined)
    accepted.push(socket.resume())
  }).listen(0, '127.0.0.1')
  await once(target, 'listening')
  const forwarder = await startForwarder()
  forwarder.forward({ port: (target.address() as AddressInfo).port, token: () => 't' })
  t.after(() => {
    forwarder.close()
    target.close()
  })
  const pair = async (): Promise<[Socket, Socket]> => {
    const arrives = once(target, 'connection')
    const client = connect(Number(forwarder.host.split(':')[1]), '127.0.0.1').resume()
    client.on('error', () => undefined)
    await arrives
    return [client, accepted.at(-1) ?? assert.fail('no connection')]
  }

  const [halfClosed, serves] = await pair()
  const ended = once(serves, 'end')
  halfClosed.end()
  await ended
  const answered = once(halfClosed, 'data')
  serves.end('still here')
  assert.equal(String((await answered)[0]), 'still here')

  const reset = { code: 'ECONNRESET' }
  const [aborts, meets] = await pair()
  const gone = assert.rejects(once(meets, 'close'), reset)
  aborts.resetAndDestroy()
  await gone

  const [waits, dies] = await pair()
  const lost = assert.rejects(once(waits, 'close'), reset)
  dies.resetAndDestroy()
  await lost
})
