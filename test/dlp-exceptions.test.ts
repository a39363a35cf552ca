// Exceptions of data loss prevention: as narrow as the place, named by `explain`, and found by `check` when they are over.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { Fixture } from './harness/fixtures.ts'
import { BIN, TestGate } from './harness/gate.ts'

const folder = mkdtempSync(join(tmpdir(), 'callgate-exceptions-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const CARD = '4012888888881881'
const any = { type: 'object', additionalProperties: true }
const tool = (name: string): object => ({ name, description: `The tool ${name}`, inputSchema: any })
const day = (offset: number): string => new Date(Date.now() + offset * 86_400_000).toISOString().slice(0, 10)

async function start(t: Parameters<typeof TestGate.start>[1], exceptions: string, own: string) {
  const fixture = new Fixture([tool('pay'), tool('note')])
  const gate = await TestGate.start(
    {
      folder: own,
      servers: fixture.yaml('fix'),
      more: `listener: { port: 0 }\ndlp:\n  arguments: { credit_card: deny }\n  results: { credit_card: count }\n${exceptions}`,
    },
    t,
  )
  const call = async (name: string, args: object, clientId = 'agent') => {
    const { text } = await gate.call(`fix__${name}`, args, { token: gate.mint({ clientId }) })
    return text
  }
  const run = (...args: string[]) => {
    const { status, stdout } = spawnSync(process.execPath, [BIN, ...args], {
      encoding: 'utf8',
      env: { ...process.env, CALLGATE_STATE: gate.state },
    })
    return { status, stdout }
  }
  return { gate, call, run }
}

test('`explain` of a refused call prints the exception, which lets that call pass and nothing beside it', async (t) => {
  verifies('play3.redaction.exceptions')
  const own = mkdtempSync(join(folder, 'g'))
  const first = await start(t, '', own)
  const refused = await first.call('pay', { to: 'x', from: { card: CARD } })
  assert.match(refused, /^CG_DLP_ARGUMENT/)
  const [, id = ''] = /\[evidence ([0-9A-Z]{26})\]/.exec(refused) ?? []
  const { stdout } = first.run('explain', id)
  assert.match(stdout, /The arguments held: 1 credit_card\./)
  assert.ok(!stdout.includes(CARD))
  const diff = stdout.split('\n').filter((line) => /^(?:\+| {2}dlp:)/.test(line))
  assert.deepEqual(diff.slice(0, 2), ['  dlp:', '+   exceptions:'])
  const proposed = JSON.parse((diff[2] ?? '').replace(/^\+ +- /, '')) as Record<string, string>
  assert.deepEqual(proposed, {
    class: 'credit_card',
    in: 'arguments',
    tool: 'fix.pay',
    path: '/from/card',
    actor: 'agent',
    owner: 'who answers for it',
    until: day(30),
  })
  await first.gate.stop()

  const { gate, call, run } = await start(t, `  exceptions:\n    - ${JSON.stringify(proposed)}`, own)
  const passed = await call('pay', { to: 'x', from: { card: CARD } })
  assert.match(passed, new RegExp(CARD))
  const outcome = (await gate.records())
    .map(({ record }) => record)
    .findLast(({ kind }) => kind === 'outcome')
  assert.ok(outcome?.kind === 'outcome')
  assert.deepEqual(outcome.found?.excepted, { credit_card: 1 })
  for (const [name, args, client] of [
    ['note', { from: { card: CARD } }, 'agent'],
    ['pay', { from: { other: CARD } }, 'agent'],
    ['pay', { card: CARD }, 'agent'],
    ['pay', { from: { card: CARD } }, 'another'],
    ['pay', { from: { card: CARD }, b: CARD }, 'agent'],
  ] as const)
    assert.match(await call(name, args, client), /^CG_DLP_ARGUMENT/, JSON.stringify([name, args, client]))
  assert.equal(run('check', '--config', gate.config).status, 0)
})

test('an exception that is over lets nothing pass; `check` fails for it, and for one that matches no tool', async (t) => {
  verifies('play3.redaction.exceptions')
  const entry = (change: object): string =>
    JSON.stringify({
      class: 'credit_card',
      in: 'arguments',
      tool: 'fix.pay',
      path: '/card',
      owner: 'ann',
      until: day(1),
      ...change,
    })
  const own = mkdtempSync(join(folder, 'g'))
  const { gate, call, run } = await start(t, `  exceptions:\n    - ${entry({ until: day(-1) })}`, own)
  assert.match(await call('pay', { card: CARD }), /^CG_DLP_ARGUMENT/)
  const text = readFileSync(gate.config, 'utf8')
  for (const [change, problem] of [
    [{ until: day(-1) }, /`dlp\.exceptions\[0\]\.until` is `.*`, which is over; remove it/],
    [{ tool: 'fix.gone' }, /`dlp\.exceptions\[0\]\.tool` is `fix\.gone`, which no approved tool of `fix` is/],
    [{ tool: 'nobody.pay' }, /there is no server `nobody`/],
    [{ path: 'card' }, /expected a JSON pointer|a JSON pointer, such as/],
    [{ owner: '' }, /owner/],
    [{ until: 'soon' }, /a day such as/],
    [{ class: 'cards' }, /class/],
  ] as const) {
    const changed = join(own, 'changed.yaml')
    writeFileSync(changed, text.replace(/ {4}- \{.*\}/, `    - ${entry(change)}`))
    const { status, stdout } = run('check', '--config', changed)
    assert.equal(status, 1, stdout)
    assert.match(stdout, problem)
  }
  const good = join(own, 'good.yaml')
  writeFileSync(good, text.replace(/ {4}- \{.*\}/, `    - ${entry({ tool: 'fix.p*' })}`))
  assert.equal(run('check', '--config', good).status, 0)
})
