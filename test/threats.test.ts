// The threat page says of a gate that runs what it does (playbook Play 1).
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { Fixture, textTool } from './harness/fixtures.ts'
import { BIN, ROOT, TestGate } from './harness/gate.ts'

const folder = mkdtempSync(join(tmpdir(), 'callgate-threats-'))
after(() => rmSync(folder, { recursive: true, force: true }))

function threats(args: readonly string[], state = join(folder, 'no-state')) {
  const ended = spawnSync(process.execPath, [BIN, 'threats', ...args], {
    encoding: 'utf8',
    cwd: folder,
    env: { ...process.env, CALLGATE_STATE: state },
  })
  return { code: ended.status, stdout: ended.stdout, stderr: ended.stderr }
}

interface Page {
  readonly config?: string
  readonly threats: readonly {
    readonly id: string
    readonly breaksOn: number
    readonly flags: readonly string[]
  }[]
  readonly controls: readonly {
    readonly id: string
    readonly state?: { readonly state: string; readonly note?: string }
    readonly counted: boolean
    readonly fired?: { readonly refused: number; readonly changed: number; readonly observed: number }
  }[]
}

function pageOf(args: readonly string[], state?: string): Page {
  const { code, stdout, stderr } = threats([...args, '--json'], state)
  assert.equal(code, 0, stderr)
  return JSON.parse(stdout) as Page
}

const control = (page: Page, id: string) => page.controls.find((each) => each.id === id) ?? assert.fail(id)

const CONFIG = (egress: string) => `identity: { issuers: [{ issuer: urn:callgate:dev-issuer, dev: true }] }
servers: { fix: { command: [node, server.js] } }
policy: { files: [policy.yaml] }
${egress}
`

function config(
  name: string,
  text: string,
  rules = '- rule: all\n  when: { tool: "*" }\n  decision: allow\n',
): string {
  writeFileSync(join(folder, 'policy.yaml'), rules)
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}

test('without a configuration the page tells of threats, and of no control whether it is on', () => {
  const { code, stdout, stderr } = threats([])
  assert.deepEqual([code, stderr], [0, ''])
  assert.match(stdout, /^16 threats, 1 with a flag; no configuration/)
  for (const heading of ['SSRF by fetch tools (ssrf)', 'Rug pull and supply chain (rug-pull)'])
    assert.ok(stdout.includes(heading))
  assert.ok(stdout.includes('! the chain has one break only'))
  assert.match(stdout, /not yet: .* \(play6\.kill\)/)
  assert.equal(
    pageOf([]).controls.some(({ state }) => state !== undefined),
    false,
  )
})

test('the page differs when a control is switched off, put on trial, or a rule is', () => {
  verifies('play1.single-page')
  verifies('play1.live.state')
  const on = pageOf(['--config', config('on.yaml', CONFIG('egress: { allow: [example.com] }'))])
  const trial = pageOf([
    '--config',
    config('trial.yaml', CONFIG('egress: { mode: observe, allow: [example.com] }')),
  ])
  const off = pageOf(['--config', config('off.yaml', CONFIG(''))])
  const states = [on, trial, off].map((page) => control(page, 'egress.lists').state?.state)
  assert.deepEqual(states, ['enforce', 'observe', 'off'])
  const breaks = [on, trial, off].map((page) => page.threats.find(({ id }) => id === 'ssrf')?.breaksOn)
  assert.deepEqual(breaks, [3, 2, 2])

  const rules = (mode: string) =>
    `- rule: all\n  when: { tool: "*" }\n  decision: allow\n- rule: few\n  when: { tool: "*", cond: 'session.count("fix.*", "1h") > 3' }\n  decision: deny\n  mode: ${mode}\n`
  const limits = (mode: string) =>
    control(pageOf(['--config', config('rules.yaml', CONFIG(''), rules(mode))]), 'policy.windows').state
      ?.state
  assert.deepEqual([limits('enforce'), limits('observe')], ['enforce', 'observe'])
  assert.equal(control(off, 'policy.windows').state?.state, 'off')
})

test('rules that read labels or ask for a ticket switch their controls on', () => {
  const tickets = CONFIG('tickets: { type: file, path: tickets.yaml }')
  const rules = `- rule: marked
  when: { tool: "*", cond: "'injection' in session.labels" }
  decision: deny
- rule: ticket
  when: { tool: "*" }
  decision: require_ticket
`
  const page = pageOf(['--config', config('marked.yaml', tickets, rules)])
  assert.deepEqual(control(page, 'policy.injection-label').state, { state: 'enforce', note: '1 rule' })
  assert.deepEqual(control(page, 'policy.tickets').state, { state: 'enforce', note: '1 rule' })
})

test('what a gate refused, changed and would have refused stands beside the control that did it', async (t) => {
  verifies('play1.live.fired')
  const fixture = new Fixture([textTool('note'), textTool('fetch')])
  const gate = await TestGate.start(
    {
      folder: mkdtempSync(join(folder, 'g')),
      servers: fixture.yaml('fix', { more: 'approve: first-use' }),
      more: 'listener: { port: 0 }\negress: { mode: observe, resolve: false, allow: [example.com] }\ndlp: { arguments: { email: mask, credit_card: deny } }',
    },
    t,
  )
  const token = gate.mint({ sid: 's' })
  const call = async (text: string): Promise<string> =>
    (await gate.call('fix__note', { text }, { token })).text
  assert.match(await call('see http://169.254.169.254/latest'), /^CG_EGRESS_PRIVATE/)
  assert.match(await call('see http://127.0.0.1/'), /^CG_EGRESS_PRIVATE/)
  assert.match(await call('pay 4012888888881881'), /^CG_DLP_ARGUMENT/)
  assert.doesNotMatch(await call('write to ada@example.com'), /^CG_/)
  assert.doesNotMatch(await call('see https://other.example/'), /^CG_/)
  assert.doesNotMatch(await call('nothing at all'), /^CG_/)
  await gate.stop()

  const page = pageOf(['--config', gate.config, '--log'], gate.state)
  const fired = (id: string) => {
    const { refused, changed, observed } = control(page, id).fired ?? { refused: 0, changed: 0, observed: 0 }
    return [refused, changed, observed]
  }
  assert.deepEqual(fired('egress.private'), [2, 0, 0])
  assert.deepEqual(fired('dlp.arguments'), [1, 1, 0])
  assert.deepEqual(fired('egress.lists'), [0, 0, 1])
  assert.deepEqual(fired('schema.strict'), [0, 0, 0])
  const { stdout } = threats(['--config', gate.config, '--log', join(gate.state, 'evidence', '0')])
  assert.match(stdout, /^ {2}egress\.private: .*\(refused 2; last 20\d\d-/m)
  assert.match(stdout, /^ {2}schema\.strict: .*\(never fired\)$/m)
  assert.match(stdout, /^ {2}upstream\.argument-list: .*\(not counted apart\)$/m)
})

test('the HTML page is one file that runs nothing', () => {
  const { code, stdout } = threats(['--format', 'html', '--config', config('html.yaml', CONFIG(''))])
  assert.equal(code, 0)
  assert.match(stdout, /^<!doctype html>[\s\S]*<\/html>\n$/)
  assert.doesNotMatch(stdout, /<(script|img|link)\b/)
})

test('each wrong use is told with its fix, and the exit code says whose fault it is', () => {
  const bad = mkdtempSync(join(folder, 'bad'))
  cpSync(join(ROOT, 'rules', 'threats'), bad, { recursive: true })
  assert.equal(threats(['--threats', bad]).code, 0)
  writeFileSync(join(bad, 'ssrf.yaml'), 'id: ssrf\nphse: impact\n')
  const faulty = threats(['--threats', bad])
  assert.equal(faulty.code, 1)
  assert.match(faulty.stderr, /ssrf\.yaml:2:1 `phse` is not a known key; did you mean `phase`/)
  assert.equal(faulty.stdout, '')

  const format = threats(['--format', 'pdf'])
  assert.deepEqual(
    [format.code, format.stderr],
    [2, 'callgate: --format is `pdf` (expected text, html or json)\n'],
  )
  const none = threats(['--config', join(folder, 'none.yaml')])
  assert.equal(none.code, 1)
  assert.match(none.stderr, /none\.yaml cannot be read \(ENOENT\); name the configuration with --config/)
  const log = threats(['--log'])
  assert.equal(log.code, 1)
  assert.match(log.stderr, /no evidence log at .*\nfix: /)
  const policy = threats(['--config', config('broken.yaml', CONFIG(''), '- rule: x\n')])
  assert.equal(policy.code, 1)
  assert.match(policy.stderr, /policy\.yaml:1:\d+ /)
})
