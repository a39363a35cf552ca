// What goes wrong is told without the secret that it went wrong with: on the screen, in --json and in the log of record.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { BIN, TestGate } from './harness/gate.ts'

const SECRET = 'hunter2secret'
const folder = mkdtempSync(join(tmpdir(), 'callgate-untold-'))
after(() => rmSync(folder, { recursive: true, force: true }))

function run(args: readonly string[], env: Record<string, string> = {}) {
  const { stdout, stderr, status } = spawnSync(process.execPath, [BIN, ...args], {
    encoding: 'utf8',
    input: '',
    timeout: 60_000,
    env: { ...process.env, CALLGATE_STATE: join(folder, 'none'), HOME: folder, ...env },
  })
  return { told: stdout + stderr, status }
}

/** Everything below a folder, names of files too. */
function everythingIn(at: string): string {
  return readdirSync(at, { recursive: true, withFileTypes: true })
    .map((entry) =>
      entry.isFile()
        ? `${entry.name}\n${readFileSync(join(entry.parentPath, entry.name), 'latin1')}`
        : entry.name,
    )
    .join('\n')
}

for (const [what, args, says] of [
  [
    'an endpoint with a password',
    ['connect', `https://joe:${SECRET}@gate.example/mcp`],
    /holds more than an endpoint/,
  ],
  [
    'an endpoint with a query',
    ['connect', `https://gate.example/mcp?token=${SECRET}`],
    /holds more than an endpoint/,
  ],
  ['an endpoint that is none', ['connect', `joe:${SECRET}@gate.example`], /the endpoint|joe:/],
  [
    'an option that does not exist',
    ['connect', 'https://gate.example/mcp', `--token=${SECRET}`],
    /unknown option '--token=\*\*\*/,
  ],
  [
    'a variable with its value',
    ['wrap', '--env', `API_KEY=${SECRET}`, '--', 'node', '-e', '0'],
    /give the name alone/,
  ],
] as const)
  test(`${what} is refused without being quoted`, () => {
    verifies('secrets.untold')
    const { told, status } = run(args)
    assert.notEqual(status, 0)
    assert.match(told, says)
    assert.doesNotMatch(told, /hunter2/)
  })

test('a call file that is no JSON is not quoted', () => {
  verifies('secrets.untold')
  const call = join(folder, 'call.json')
  const policy = join(folder, 'policy.yaml')
  writeFileSync(call, `${SECRET} is no JSON`)
  writeFileSync(policy, '- { rule: a, when: { tool: "*" }, decision: allow }\n')
  const { told } = run(['policy', 'eval', '--policy', policy, '--call', call])
  assert.match(told, /call\.json: is not JSON/)
  assert.doesNotMatch(told, /hunter2/)
})

test('what a wrapped server complains of is told without the values of its environment, and its name is no password', () => {
  verifies('secrets.untold')
  const state = join(folder, 'wrapped')
  const complains = 'console.error("bad key", process.env.API_KEY); process.exit(1)'
  const { told } = run(
    ['wrap', '--state', state, '--env', 'API_KEY', '--', process.execPath, '-e', complains],
    { API_KEY: SECRET },
  )
  assert.match(told, /its last words: `bad key \*\*\*`/)
  const named = run([
    'wrap',
    '--state',
    state,
    '--',
    'uvx',
    '--index-url',
    `https://joe:${SECRET}@127.0.0.1:9/`,
    'pkg-of-nobody',
  ])
  for (const text of [told, named.told, everythingIn(state)]) assert.doesNotMatch(text, /hunter2/)
})

test('a secret that cannot be read is named by its place, and keys of an issuer by theirs', async (t) => {
  verifies('secrets.untold')
  const exec = JSON.stringify(`exec:["/bin/sh","-c","exit 3","--token","${SECRET}"]`)
  const gate = await TestGate.start(
    {
      folder: join(folder, 'gate'),
      identity: `issuers: [{ issuer: "urn:callgate:dev-issuer", dev: true }, { issuer: "https://id.example", jwks: "http://127.0.0.1:9/jwks?key=${SECRET}" }]\nreplay: session`,
      servers: `ex: { url: "http://127.0.0.1:9/mcp", network: ["127.0.0.1/32"], credentials: { type: bearer, secret: ${exec} } }
io: { command: ["${process.execPath}", "-e", "console.error(process.env.K); process.exit(1)"], env: { K: ${SECRET} } }`,
    },
    t,
  )
  await gate.call('ex__any', {})
  const doctor = run(['doctor', '--config', gate.config, '--json'], { CALLGATE_STATE: gate.state })
  await gate.stop()
  const tail = run(['tail', '--no-follow', '--lines', '1000'], { CALLGATE_STATE: gate.state })
  assert.match(tail.told, /secret `exec:\S*` of server `ex` cannot be read/)
  assert.match(tail.told, /http:\/\/127\.0\.0\.1:9\/jwks/)
  assert.match(tail.told, /its last words: `\*\*\*`/)
  for (const text of [tail.told, doctor.told, gate.stderr, everythingIn(gate.state)])
    assert.doesNotMatch(text, /hunter2/)
})

test('the diff of `install` masks keys in paths, connection strings and short flags', () => {
  verifies('secrets.untold')
  mkdirSync(join(folder, '.cursor'), { recursive: true })
  const long = `${SECRET}PathToken0123456789abcdef`
  writeFileSync(
    join(folder, '.cursor', 'mcp.json'),
    JSON.stringify({
      mcpServers: {
        zap: { url: `https://mcp.example/api/mcp/s/${long}/mcp` },
        db: {
          command: 'node',
          args: [
            'srv.js',
            `Server=db;User=sa;Password=${SECRET}`,
            '-p',
            SECRET,
            `-p${SECRET}`,
            '--pw',
            SECRET,
            `PGPASS=${SECRET}`,
            `DB_PW=${SECRET}`,
            '--dsn',
            `u:${SECRET}@h`,
            `//u:${SECRET}@h/db`,
            `{"a":"${SECRET}"}`,
          ],
        },
      },
    }),
  )
  const gate = join(folder, 'install', 'callgate.yaml')
  for (const json of [[], ['--json']]) {
    const { told } = run(['install', '--host', 'cursor', '--dry-run', '--gate', gate, ...json])
    assert.match(told, /srv\.js/, 'what is no secret is shown')
    assert.match(told, /mcp\.example/)
    assert.doesNotMatch(told, /hunter2/)
  }
})
