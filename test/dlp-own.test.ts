// What only the operator knows: dictionaries, patterns and canaries, over real sockets.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { Fixture, textTool } from './harness/fixtures.ts'
import { BIN, TestGate } from './harness/gate.ts'

const folder = mkdtempSync(join(tmpdir(), 'callgate-own-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const CANARY = 'canary-7731-ostrich'
const DLP = `
  own:
    project: { words: [Bluebird], file: words.txt, results: placeholder }
    ticket: { pattern: "TICKET-[0-9]{6}", arguments: deny }
  canaries: { file: canaries.txt }`

function start(t: Parameters<typeof TestGate.start>[1], own: string, dlp: string) {
  const fixture = new Fixture([textTool('read'), textTool('slow')])
  writeFileSync(join(own, 'words.txt'), 'Red Kestrel\nDunnock\n')
  writeFileSync(join(own, 'canaries.txt'), `${CANARY}\n`)
  return TestGate.start(
    {
      folder: own,
      servers: fixture.yaml('fix', { more: 'approve: first-use\ntools: { "*": { class: read } }' }),
      more: `listener: { port: 0 }\ndlp:${dlp}`,
    },
    t,
  ).then((gate) => ({
    gate,
    call: async (text: string) => (await gate.call('fix__read', { text })).text.replace(/^\d+ /, ''),
    sent: () => fixture.receivedOf('tools/call').length,
  }))
}

test('words, phrases of a file and patterns get what the operator says, by direction', async (t) => {
  verifies('play3.redaction.own-words')
  const { gate, call, sent } = await start(t, mkdtempSync(join(folder, 'g')), DLP)
  assert.equal(
    await call('the BLUEBIRD, a red kestrel, bluebirds'),
    '{"text":"the [redacted:own.project], a [redacted:own.project], bluebirds"}',
  )
  const before = sent()
  assert.match(await call('see ticket-123456'), /^CG_DLP_ARGUMENT: .*\(own\.ticket\)/)
  assert.equal(sent(), before)
  assert.equal(await call('see ticket-12345'), '{"text":"see ticket-12345"}')
  const first = (await gate.records()).map(({ record }) => record).find(({ kind }) => kind === 'outcome')
  assert.ok(first?.kind === 'outcome')
  assert.deepEqual(
    [first.found?.arguments, first.found?.result],
    [{ 'own.project': 2 }, { 'own.project': 2 }],
  )
})

test('a canary leaves in no form and comes in none; the log tells where, and nothing tells what', async (t) => {
  verifies('play3.redaction.canary')
  const { gate, call, sent } = await start(t, mkdtempSync(join(folder, 'g')), DLP)
  for (const text of [
    CANARY,
    CANARY.toUpperCase().replaceAll('-', ' '),
    Buffer.from(`it is ${CANARY}, really`).toString('base64'),
    Buffer.from(CANARY).toString('hex'),
  ]) {
    const before = sent()
    const told = await call(text)
    assert.match(told, /^CG_DLP_ARGUMENT/)
    assert.doesNotMatch(told, /canary/, 'who sends it is not told what it is')
    assert.equal(sent(), before, text)
  }
  assert.equal(await call('canary 7731 and an ostrich farm'), '{"text":"canary 7731 and an ostrich farm"}')
  await gate.stop()
  const events = (await gate.records()).map(({ record }) => record).filter(({ kind }) => kind === 'gate')
  const canaries = events.filter((event) => event.kind === 'gate' && event.event === 'dlp.canary')
  assert.equal(canaries.length, 4)
  const [first] = canaries
  assert.ok(first?.kind === 'gate')
  assert.deepEqual(first.detail, {
    actor: 'test-agent',
    in: 'arguments',
    server: 'fix',
    tenant: 'default',
    tool: 'read',
  })
  const kept = readdirSync(gate.state, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'))
  assert.ok(!kept.some((text) => text.includes(CANARY)) && !gate.stderr.includes(CANARY))
})

test('what cannot be used is named at the start or by `check`, and never shown', () => {
  verifies('play3.redaction.own-words')
  const own = mkdtempSync(join(folder, 'g'))
  const run = (command: string, dlp: string) => {
    writeFileSync(join(own, 'p.yaml'), '- rule: a\n  when: { tool: "*" }\n  decision: deny\n')
    writeFileSync(
      join(own, 'c.yaml'),
      `identity: { issuers: [{ issuer: "urn:callgate:dev-issuer", dev: true }], replay: session }\nservers: {}\npolicy: { files: [p.yaml] }\nlistener: { port: 0 }\ndlp: ${dlp}\n`,
    )
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [BIN, command, '--config', join(own, 'c.yaml')],
      {
        encoding: 'utf8',
        timeout: 20_000,
        env: { ...process.env, CALLGATE_STATE: join(own, 'state') },
      },
    )
    return { status, told: stdout + stderr }
  }
  for (const [dlp, problem] of [
    ['{ own: { a: {} } }', /`dlp\.own\.a` needs `words`, `file` or `pattern`/],
    ['{ own: { a: { pattern: "(" } } }', /`dlp\.own\.a\.pattern` is no pattern of RE2/],
    ['{ own: { a: { pattern: "x*" } } }', /matches the empty text/],
    ['{ own: { a: { words: ["--"] } } }', /`dlp\.own\.a\.words\[0\]` has no letter and no digit/],
    ['{ own: { A: { words: [ab] } } }', /small letters/],
    ['{ own: { a: { words: [ab], results: reversible } } }', /reversible/],
  ] as const) {
    const { status, told } = run('check', dlp)
    assert.equal(status, 1, dlp)
    assert.match(told, problem)
  }
  writeFileSync(join(own, 'short.txt'), 'long-enough-1\nshort\n')
  for (const [dlp, problem] of [
    ['{ own: { a: { file: gone.txt } } }', /`dlp\.own\.a\.file`: .*gone\.txt cannot be read \(ENOENT\)/],
    [
      '{ canaries: { file: short.txt } }',
      /`dlp\.canaries\.file`: line 2 has fewer than 8 letters and digits/,
    ],
  ] as const) {
    const { status, told } = run('start', dlp)
    assert.notEqual(status, 0)
    assert.match(told, problem)
    assert.doesNotMatch(told, /long-enough-1/)
  }
})

test('`callgate scan --config` looks for the same, and what it cannot use is exit code 2', async (t) => {
  verifies('play3.redaction.own-words')
  const own = mkdtempSync(join(folder, 'g'))
  const { gate } = await start(t, own, DLP)
  const run = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [BIN, 'scan', ...args], {
      encoding: 'utf8',
      input: `of the bluebird, a RED kestrel, TICKET-123456, ${CANARY.toUpperCase()} and blueberries`,
    })
    return { status, stdout, stderr }
  }
  const { status, stdout } = run('--config', gate.config)
  assert.equal(status, 1)
  assert.deepEqual(
    [...stdout.matchAll(/^-:1:\d+ (\S+)/gm)].map(([, found]) => found),
    ['own.project', 'own.project', 'own.ticket', 'canary'],
  )
  assert.deepEqual(run().stdout, 'nothing found\n')
  rmSync(join(own, 'words.txt'))
  const broken = run('-c', gate.config)
  assert.equal(broken.status, 2)
  assert.match(broken.stderr, /`dlp\.own\.project\.file`: .*words\.txt cannot be read \(ENOENT\)/)
  assert.equal(run('-c', join(own, 'none.yaml')).status, 2)
})
