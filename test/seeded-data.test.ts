// Whatever a caller sends and wherever, none of it stands in anything that the gate keeps or says of itself.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { BIN, TestGate } from './harness/gate.ts'

/** Values that are sent; the proof sends 10,000. */
const VALUES = Number(process.env['CALLGATE_PROOF_SEEDED'] ?? 500)
const SERVER = fileURLToPath(new URL('harness/repeating-server.ts', import.meta.url))

const folder = mkdtempSync(join(tmpdir(), 'callgate-seeded-'))
after(() => rmSync(folder, { recursive: true, force: true }))

/** A card with its check digit, a token with its form, or a word that nobody else has. */
function seeded(i: number): string {
  if (i % 3 === 0) {
    const body = `4${[...randomBytes(14)].map((byte) => byte % 10).join('')}`
    const sum = [...body].reduce((all, digit, at) => {
      const value = Number(digit) * (at % 2 === 0 ? 2 : 1)
      return all + (value > 9 ? value - 9 : value)
    }, 0)
    return `${body}${(10 - (sum % 10)) % 10}`
  }
  const letters = randomBytes(27).toString('base64').replaceAll(/[+/]/g, 'x')
  return i % 3 === 1 ? `ghp_${letters}` : `canary${letters.slice(0, 24)}`
}

const POLICY = `- rule: most
  when: { tool: "*" }
  decision: allow
- rule: resources
  when: { resource: "*" }
  decision: allow
- rule: prompts
  when: { prompt: "*" }
  decision: allow
- rule: not-with-a-vowel
  when: { tool: "rep.say", cond: "args.n != null && args.text.contains('a')" }
  decision: deny
`

test(
  `none of ${VALUES} seeded cards, tokens and canaries stands in a log, a record or an error`,
  { timeout: 900_000 },
  async (t) => {
    verifies('play3.redaction.not-recorded')
    verifies('play7.logging')
    const gate = await TestGate.start(
      {
        folder: join(folder, 'gate'),
        servers: `rep: { command: [node, ${SERVER}], approve: first-use, tools: { say: { class: read }, cry: { class: read } } }`,
        policy: POLICY,
        more: 'listener: { port: 0 }\ndlp: { arguments: { credit_card: deny }, results: { secret: count } }',
      },
      t,
    )
    let stdout = ''
    gate.process.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
    const values = Array.from({ length: VALUES }, (_, i) => seeded(i))
    const own = gate.mint({ path: '/mcp/rep', lifetimeS: 600 })
    const post = (body: string, headers: Record<string, string> = {}, path = '/mcp/rep', token = own) =>
      gate.http(
        'POST',
        path,
        {
          authorization: `Bearer ${token}`,
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          ...headers,
        },
        body,
      )
    const ask = (method: string, params: object) =>
      post(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }))
    const call = (name: string, args: object) =>
      ask('tools/call', { name, arguments: args, _meta: { progressToken: 1 } })

    /** Where a value goes; true: what comes back is of the server and may hold it, where it was let through. */
    const ways: readonly ((value: string) => Promise<{ body: string; mayRepeat: boolean }>)[] = [
      async (value) => ({ ...(await call('say', { text: value })), mayRepeat: true }),
      async (value) => ({
        ...(await call('say', { deep: [{ [`k${value}`]: `{"x":"${value}"}` }] })),
        mayRepeat: true,
      }),
      async (value) => ({
        ...(await call('say', { text: Buffer.from(`it is ${value} and more`).toString('base64') })),
        mayRepeat: true,
      }),
      async (value) => ({ ...(await call('fail', { text: value })), mayRepeat: true }),
      async (value) => ({ ...(await call('cry', { text: value })), mayRepeat: true }),
      async (value) => ({ ...(await call('send', { url: `https://x.example/${value}` })), mayRepeat: true }),
      async (value) => ({ ...(await call('send', { url: `http://127.0.0.1/${value}` })), mayRepeat: false }),
      async (value) => ({ ...(await call('strict', { text: value })), mayRepeat: false }),
      // Who sent an unknown member is told its name, so that he can correct it.
      async (value) => ({ ...(await call('strict', { [value]: 1 })), mayRepeat: true }),
      async (value) => ({ ...(await call('say', { text: `a${value}`, n: 1 })), mayRepeat: false }),
      async (value) => ({ ...(await call(value, {})), mayRepeat: true }),
      async (value) => ({ ...(await ask('resources/read', { uri: `note://${value}` })), mayRepeat: true }),
      async (value) => ({
        ...(await ask('prompts/get', { name: value, arguments: { text: value } })),
        mayRepeat: true,
      }),
      async (value) => ({ ...(await ask(value, { x: value })), mayRepeat: true }),
      async (value) => ({
        ...(await post(
          `{"jsonrpc":"2.0","id":"${value}","method":"tools/call","params":{"a":1,"a":"${value}"`,
        )),
        mayRepeat: true,
      }),
      async (value) => ({
        ...(await post('{}', { 'mcp-session-id': value, 'mcp-protocol-version': value, 'x-own': value })),
        mayRepeat: false,
      }),
      async (value) => ({ ...(await post('{}', {}, `/mcp/${value}`)), mayRepeat: false }),
      async (value) => ({
        ...(await post('{}', {}, '/mcp/rep', `${own.slice(0, -20)}${value}`)),
        mayRepeat: false,
      }),
    ]
    let at = 0
    const wrong: string[] = []
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        for (let i = at++; i < values.length; i = at++) {
          const value = values[i] ?? ''
          const { body, mayRepeat } = await (ways[i % ways.length] as (typeof ways)[0])(value)
          if (!mayRepeat && body.includes(value)) wrong.push(`way ${i % ways.length}: ${body.slice(0, 300)}`)
        }
      }),
    )
    assert.deepEqual(wrong, [], 'a refusal of ours repeats nothing')
    await gate.stop()
    const outcomes = (await gate.records()).filter(({ record }) => record.kind === 'outcome').length
    assert.ok(outcomes > VALUES / 3, `${outcomes} outcomes`)

    const run = (...args: string[]) => {
      const { stdout: out, stderr } = spawnSync(process.execPath, [BIN, ...args], {
        encoding: 'utf8',
        maxBuffer: 1 << 29,
        env: { ...process.env, CALLGATE_STATE: gate.state },
      })
      return out + stderr
    }
    const said = new Map([
      ['stdout', stdout],
      ['stderr', gate.stderr],
      ['tail', run('tail', '--no-follow')],
      ['evidence verify', run('evidence', 'verify')],
      ...readdirSync(gate.state, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => {
          const file = join(entry.parentPath, entry.name)
          return [file.slice(gate.state.length), readFileSync(file, 'latin1')] as const
        }),
    ])
    t.diagnostic(
      `${VALUES} values, ${outcomes} outcomes, ${[...said.values()].reduce((sum, text) => sum + text.length, 0)} bytes looked through`,
    )
    const found = [...said].flatMap(([where, text]) =>
      values.flatMap((value, i) => (text.includes(value) ? [`way ${i % ways.length}: ${where}`] : [])),
    )
    assert.deepEqual([...new Set(found)], [])
  },
)
