import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { ROOT, TestGate } from './harness/gate.ts'

const run = promisify(execFile)
const folder = mkdtempSync(join(tmpdir(), 'callgate-cli-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const LAUNCHER = join(ROOT, 'packages', 'gateway', 'bin', 'callgate.mjs')

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs `callgate` and never throws for its exit code. */
async function callgate(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  const options = { cwd: folder, env: { ...process.env, CALLGATE_STATE: join(folder, 'state'), ...env } }
  try {
    return { code: 0, ...(await run(process.execPath, [LAUNCHER, ...args], options)) }
  } catch (error) {
    if (
      error instanceof Error &&
      'code' in error &&
      typeof error.code === 'number' &&
      'stdout' in error &&
      'stderr' in error
    ) {
      return { code: error.code, stdout: String(error.stdout), stderr: String(error.stderr) }
    }
    throw error
  }
}

function file(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

const PLAYBOOK = `- rule: deny-bulk-without-ticket
  when: { tool: "crm.bulk_update", cond: "args.count > 1000 && !ctx.ticket" }
  decision: deny

- rule: block-ssrf
  when: { tool: "web.fetch", cond: "url.is_link_local || url.hostname in ['169.254.169.254']" }
  decision: deny
`

test('policy eval judges a call file by the playbook and exits 0 whatever the effect', async () => {
  verifies('cli.policy')
  verifies('play3.rules')
  const policy = file('playbook.yaml', PLAYBOOK)
  const rows: readonly [object, string[]][] = [
    [{ server: 'crm', tool: 'bulk_update', arguments: { count: 1001 } }, ['deny-bulk-without-ticket']],
    [{ server: 'crm', tool: 'bulk_update', arguments: { count: 1000 } }, []],
    [{ server: 'crm', tool: 'bulk_update', arguments: { count: 1001 }, ctx: { ticket: 'CHG-1' } }, []],
    [{ server: 'web', tool: 'fetch', arguments: { url: 'http://169.254.169.254/latest' } }, ['block-ssrf']],
    [{ server: 'web', tool: 'fetch', arguments: { url: 'https://example.com/' } }, []],
    [{ server: 'web', tool: 'fetch', arguments: {} }, []],
    [
      {
        server: 'web',
        tool: 'fetch',
        arguments: { urls: ['https://example.com/', 'http://169.254.169.254/'] },
      },
      ['block-ssrf'],
    ],
  ]
  for (const [call, rules] of rows) {
    const { code, stdout } = await callgate([
      'policy',
      'eval',
      '--policy',
      policy,
      '--call',
      file('call.json', JSON.stringify(call)),
      '--json',
    ])
    assert.equal(code, 0)
    const answer = JSON.parse(stdout) as { effect: string; rules: string[] }
    assert.deepEqual(answer.rules, rules, JSON.stringify(call))
    assert.equal(answer.effect, 'deny', 'the default is to deny')
  }
})

test('policy eval exits 1 and says what is wrong when it cannot evaluate', async () => {
  const good = file('good.json', '{"server":"crm","tool":"get"}')
  const policy = file('p.yaml', PLAYBOOK)
  const rows: readonly [string[], RegExp][] = [
    [['--policy', join(folder, 'absent.yaml'), '--call', good], /absent\.yaml file cannot be read/],
    [
      ['--policy', file('bad.yaml', '- rule: x\n  whenn: {}\n  decision: deny\n'), '--call', good],
      /bad\.yaml:2:\d+ .*`whenn`.*did you mean `when`/,
    ],
    [['--policy', policy, '--call', join(folder, 'absent.json')], /absent\.json: cannot be read/],
    [['--policy', policy, '--call', file('half.json', '{"server":')], /half\.json: is not JSON/],
    [['--policy', policy, '--call', file('none.json', '{}')], /none\.json: call file names no target/],
  ]
  for (const [args, message] of rows) {
    const { code, stderr } = await callgate(['policy', 'eval', ...args])
    assert.equal(code, 1)
    assert.match(stderr, message)
  }
})

test('policy check names file, line, column and the nearest name; policy test runs golden cases', async () => {
  const bad = file('cond.yaml', '- rule: x\n  when: { cond: "ctx.tickt == null" }\n  decision: deny\n')
  const checked = await callgate(['policy', 'check', bad])
  assert.equal(checked.code, 1)
  assert.match(checked.stdout, /cond\.yaml:2:\d+ .*tickt.*did you mean `(ctx\.)?ticket`/)
  assert.equal((await callgate(['policy', 'check', file('ok.yaml', PLAYBOOK)])).code, 0)
  const golden = (expected: string) =>
    `${PLAYBOOK}---\ntitle: too many\ncall: { server: crm, tool: bulk_update, arguments: { count: 1001 } }\nexpect: { effect: deny, rules: [${expected}] }\n`
  const passed = await callgate(['policy', 'test', file('golden.yaml', golden('deny-bulk-without-ticket'))])
  assert.deepEqual(
    { code: passed.code, last: passed.stdout.trim().split('\n').at(-1) },
    { code: 0, last: '1 passed, 0 failed' },
  )
  const failed = await callgate(['policy', 'test', file('golden2.yaml', golden('block-ssrf'))])
  assert.equal(failed.code, 1)
  assert.match(failed.stdout, /FAILED .*golden2\.yaml:\d+ too many: got .*deny-bulk-without-ticket/)
})

test('eval, check and test take a pack by its name, and tell which packs there are of another', async () => {
  verifies('play3.packs')
  const call = (url: string): string =>
    file('fetch.json', JSON.stringify({ server: 'web', tool: 'fetch', class: 'egress', arguments: { url } }))
  const judged = async (url: string): Promise<string> =>
    (await callgate(['policy', 'eval', '--policy', 'pack:egress', '--call', call(url)])).stdout.split(
      '\n',
    )[0] ?? ''
  assert.equal(await judged('http://example.com/'), 'deny (rule) by egress/https-only')
  assert.equal(await judged('https://example.com/'), 'deny (no_rule_allows)')
  assert.equal((await callgate(['policy', 'check', 'pack:egress', 'pack:memory'])).code, 0)
  const wrong = await callgate(['policy', 'check', 'pack:egres'])
  assert.equal(wrong.code, 1)
  assert.match(wrong.stderr, /`pack:egres` names a pack that there is not .*did you mean `pack:egress`/)
})

test('policy test tells what no case shows, and --require-coverage makes it fail', async () => {
  const text = (cases: string[]): string =>
    ['- rule: r\n  when: { tool: "a.*", cond: "args.n > 1" }\n  decision: allow\n', ...cases].join('---\n')
  const one = (n: number, effect: string): string =>
    `title: n ${n}\ncall: { server: a, tool: b, arguments: { n: ${n} } }\nexpect: { effect: ${effect} }\n`
  const half = file('half-covered.yaml', text([one(2, 'allow')]))
  const whole = file('covered.yaml', text([one(2, 'allow'), one(1, 'deny')]))
  const told = await callgate(['policy', 'test', half])
  assert.equal(told.code, 0)
  assert.match(
    told.stdout,
    /not covered: .*half-covered\.yaml:2:\d+ rule `r`: `args\.n > 1` is never false\ncoverage: 1 of 1 rules, 1 of 2 branches\n1 passed, 0 failed\n$/,
  )
  assert.equal((await callgate(['policy', 'test', half, '--require-coverage'])).code, 1)
  const passed = await callgate(['policy', 'test', whole, '--require-coverage'])
  assert.equal(passed.code, 0)
  assert.match(passed.stdout, /\ncoverage: 1 of 1 rules, 2 of 2 branches\n2 passed, 0 failed\n$/)
})

test('check names every problem of a configuration with its place, and passes a sound one', async () => {
  verifies('cli.check')
  file('policy.yaml', PLAYBOOK)
  const bad = file(
    'bad-config.yaml',
    'identity: { issuers: [{ issuer: x, jwks: keys.json }] }\npolicy: { files: [policy.yaml] }\nserver: {}\n',
  )
  const refused = await callgate(['check', '--config', bad])
  assert.equal(refused.code, 1)
  assert.match(refused.stdout, /bad-config\.yaml:3:1 .*`server`.*did you mean `servers`/)
  const asJson = await callgate(['check', '--config', bad, '--json'])
  assert.equal((JSON.parse(asJson.stdout) as { ok: boolean }).ok, false)
  const good = file(
    'good-config.yaml',
    'identity: { issuers: [{ issuer: x, jwks: keys.json }] }\npolicy: { files: [policy.yaml] }\n',
  )
  assert.equal((await callgate(['check', '--config', good])).code, 0)
})

test('a wrong command line exits 2 with help; an unknown evidence id says where to look', async () => {
  assert.equal((await callgate(['polcy'])).code, 2)
  assert.equal(
    (
      await callgate([
        'token',
        'mint',
        '--lifetime',
        'long',
        '--config',
        file(
          'c.yaml',
          'identity: { issuers: [{ issuer: "urn:callgate:dev-issuer", dev: true }] }\npolicy: { files: [policy.yaml] }\n',
        ),
      ])
    ).code,
    2,
  )
  const unknown = await callgate(['explain', 'nonsense'])
  assert.equal(unknown.code, 2)
  assert.match(unknown.stderr, /no evidence id/)
  assert.equal((await callgate(['--help'])).code, 0)
})

test('a taken port is named with its fix, and a gate that runs on the same state too', async (t) => {
  verifies('spine.prerequisites')
  const squatter = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => squatter.once('listening', resolve))
  const address = squatter.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const config = file(
    'start.yaml',
    'identity: { issuers: [{ issuer: "urn:callgate:dev-issuer", dev: true }] }\npolicy: { files: [policy.yaml] }\n',
  )
  const taken = await callgate(['start', '--config', config], { CALLGATE_PORT: String(port) })
  squatter.close()
  assert.equal(taken.code, 1)
  assert.match(
    taken.stderr,
    new RegExp(`port \`${port}\` on \`127\\.0\\.0\\.1\` is taken[\\s\\S]*fix: .*CALLGATE_PORT`),
  )

  const gate = await TestGate.start({ servers: '{}' }, t)
  const second = await callgate(['start', '--config', gate.config], {
    CALLGATE_STATE: gate.state,
    CALLGATE_PORT: '0',
  })
  assert.equal(second.code, 1)
  assert.match(second.stderr, new RegExp(`${gate.process.pid}`))
  assert.doesNotMatch(second.stderr, /\n {4}at /, 'a stack is no message')
})

test('a gate without a policy refuses to start', async () => {
  const config = file(
    'nopolicy.yaml',
    'identity: { issuers: [{ issuer: "urn:callgate:dev-issuer", dev: true }] }\npolicy: { files: [absent.yaml] }\n',
  )
  const refused = await callgate(['start', '--config', config], {
    CALLGATE_PORT: '0',
    CALLGATE_STATE: join(folder, 'state2'),
  })
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /absent\.yaml/)
  assert.doesNotMatch(refused.stderr, /\n {4}at /)
})

test('the process runs with code generation from strings switched off', async () => {
  verifies('spine.no-code-generation')
  const probe = file(
    'probe.mjs',
    'try { new Function("return 1")(); process.stderr.write("GENERATED") } catch { process.stderr.write("REFUSED") }',
  )
  const { stderr } = await callgate(['--version'], { NODE_OPTIONS: `--import ${probe}` })
  assert.match(stderr, /REFUSED$/)
})

test('policy is read again when its file changes, and the last good one is kept when it is broken', async (t) => {
  const echo = join(ROOT, 'node_modules', '@modelcontextprotocol', 'server-everything', 'dist', 'index.js')
  const gate = await TestGate.start(
    {
      servers: `every:\n  command: [node, ${echo}, stdio]\n  approve: first-use\n  tools: { echo: { class: read } }`,
      policy: '- rule: allow-echo\n  when: { tool: every.echo }\n  decision: allow\n',
    },
    t,
  )
  const call = () => gate.call('every__echo', { message: 'hi' })
  const until = async (event: string) => {
    for (;;) {
      const seen = (await gate.records()).filter(
        ({ record }) => record.kind === 'gate' && record.event === event,
      )
      if (seen.length > 0) return
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
  assert.equal((await call()).isError, false)
  writeFileSync(
    join(gate.folder, 'policy.yaml'),
    '- rule: broken\n  when: { tool: every.echo, cond: "args.mesage == 1" }\n  decision: deny\n',
  )
  await until('policy.refused')
  assert.equal((await call()).isError, false, 'the last good policy goes on')
  writeFileSync(
    join(gate.folder, 'policy.yaml'),
    '- rule: deny-echo\n  when: { tool: every.echo }\n  decision: deny\n',
  )
  await until('policy.loaded')
  const denied = await call()
  assert.match(denied.text, /^CG_POLICY_DENIED/)
})

test('demo plays every act against real servers, and its log verifies', async () => {
  verifies('cli.demo')
  const { code, stdout } = await callgate(['demo'])
  assert.equal(code, 0)
  for (const part of [
    'CG_POLICY_DENIED',
    'block-ssrf',
    'deny-bulk-without-ticket',
    '"updated":1000',
    'CG_CATALOG_DRIFTED',
    'verified: ',
  ]) {
    assert.ok(stdout.includes(part), `${part} in ${stdout}`)
  }
})

test('every command has help with a summary, and --json where it prints data', async () => {
  verifies('cli.json')
  const commands = [
    'start',
    'demo',
    'tail',
    'explain',
    'check',
    'policy check',
    'policy test',
    'policy eval',
    'token mint',
    'servers list',
    'servers approve',
    'evidence verify',
    'evidence show',
  ]
  for (const command of commands) {
    const { code, stdout } = await callgate([...command.split(' '), '--help'])
    assert.equal(code, 0, command)
    assert.match(stdout, /--json/, command)
    assert.match(stdout, /\nExample: callgate /, command)
  }
  assert.equal((await callgate(['connect', '--help'])).code, 0)
})

test('a child that is asked to relay ends when its host closes the line', async (t) => {
  const gate = await TestGate.start({ servers: '{}' }, t)
  mkdirSync(folder, { recursive: true })
  const child = spawn(process.execPath, [LAUNCHER, 'connect', '--state', gate.state], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let out = ''
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  child.stdin.write(
    `${JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} })}\nnot json\n`,
  )
  child.stdin.end()
  const code = await new Promise((resolve) => child.once('exit', resolve))
  assert.equal(code, 0)
  const answers = out
    .trim()
    .split('\n')
    .map(
      (line) => JSON.parse(line) as { id: number | null; result?: { tools: [] }; error?: { code: number } },
    )
  assert.deepEqual(answers.find((answer) => answer.id === 1)?.result, { tools: [] })
  assert.equal(answers.find((answer) => answer.id === null)?.error?.code, -32700)
  assert.ok(readFileSync(join(gate.state, 'run.json'), 'utf8').includes(gate.url))
})

test('--strict refuses what is meant for development, each with its fix, and takes the same configuration without it', async () => {
  verifies('play2.strict')
  const issuer = '{ issuer: "https://id.example", jwks: keys.json }'
  file('strict.yaml', '- { rule: allow-reading, when: { class: read }, decision: allow }\n')
  file('open.yaml', '- { rule: allow-everything, when: { tool: "*" }, decision: allow }\n')
  const told = async (name: string, config: string, policy = 'strict.yaml'): Promise<string> => {
    const path = file(
      `${name}.yaml`,
      `identity: { issuers: [${name === 'dev' ? '{ issuer: "urn:callgate:dev-issuer", dev: true }' : issuer}] }\npolicy: { files: [${policy}] }\n${config}`,
    )
    const { code, stderr } = await callgate(['start', '--strict', '--config', path], {
      CALLGATE_PORT: '0',
      CALLGATE_STATE: join(folder, 'strict-state'),
    })
    assert.equal(code, 1, stderr)
    const loose = await callgate(['check', '--config', path])
    assert.equal(loose.code, 0, loose.stdout)
    assert.equal((await callgate(['check', '--strict', '--config', path])).code, 1)
    return stderr
  }
  const server = (text: string): string => `servers: { crm: { url: "https://crm.example/mcp", ${text} } }\n`
  assert.match(await told('dev', ''), /`identity\.issuers\[0\]\.dev` .*--strict refuses; name the issuer/)
  assert.match(await told('first', server('approve: first-use')), /approve.*--strict refuses; use `manual`/)
  assert.match(
    await told('env', server('credentials: { type: bearer, secret: "env:CRM_KEY" }')),
    /credentials\.secret` `env:` is refused/,
  )
  assert.match(
    await told('open-policy', '', 'open.yaml'),
    /open\.yaml:1:\d+ .*rule `allow-everything` allows every tool to everyone, which --strict refuses; name what is allowed/,
  )
  const fine = file('fine.yaml', `identity: { issuers: [${issuer}] }\npolicy: { files: [strict.yaml] }\n`)
  assert.equal((await callgate(['check', '--strict', '--config', fine])).code, 0)
})
