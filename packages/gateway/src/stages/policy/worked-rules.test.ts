import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import test from 'node:test'
import type { JsonObject } from '../../call/json.ts'
import { verifies } from '../../testing/verifies.ts'
import { evaluateCall, readCall } from './call-file.ts'
import { readPolicy } from './document.ts'
import { compilePolicy } from './policy-set.ts'
import { formatProblem } from './problem.ts'
import { NOW } from './testing/fixtures.ts'

const page = readFileSync(new URL('../../../../../docs/policy.md', import.meta.url), 'utf8')
const blocks = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, yaml = '']) => yaml)

test('the worked rules of docs/policy.md load together and decide what the page says, each beside its near miss', () => {
  verifies('play3.rules')
  const compiled = compilePolicy(blocks.map((yaml, i) => readPolicy(`block-${i}.yaml`, yaml)))
  if ('problems' in compiled) assert.fail(compiled.problems.map(formatProblem).join('\n'))
  const { set } = compiled
  assert.equal(set.rules.length, 11)
  const decided = (name: string, args: JsonObject = {}, more: JsonObject = {}): string => {
    const [server = '', tool = ''] = name.split('.')
    const read = readCall({ server, tool, arguments: args, ...more }, [], set.windowed)
    if ('message' in read) assert.fail(read.message)
    const { effect, rules, observed } = evaluateCall(set, read.call, NOW)
    return [effect, ...rules, ...observed].join(' ')
  }
  const read = { class: 'read' }
  const rows = (total: number) => ({
    ...read,
    windows: { 'session.sum("crm.bulk_update", "args.count", "1h")': total },
  })
  const mails = (total: number) => ({ ...read, windows: { 'actor.count("mail.send", "1h")': total } })
  const sales = { ...read, actor: { id: 'sales-1' } }
  const labelled = (purpose: string) => ({ ...read, labels: ['pii'], ctx: { purpose } })
  const ours = { url: 'https://docs.example.com/' }
  const contractor = { actor: { id: 'contractor-7' } }
  const cases = [
    ['crm.read_one', {}, sales, 'allow agents-read-the-crm reading-is-free'],
    ['crm.read_one', {}, read, 'allow reading-is-free'],
    ['crm.write_one', {}, { actor: { id: 'sales-1' } }, 'deny'],
    ['crm.admin_users', {}, read, 'deny no-administration'],
    ['crm.bulk_update', { count: 1001 }, read, 'deny bulk-needs-a-ticket'],
    ['crm.bulk_update', { count: 1000 }, read, 'allow reading-is-free'],
    ['crm.bulk_update', { count: 1 }, rows(1000), 'step_up a-thousand-rows-an-hour'],
    ['crm.bulk_update', { count: 1 }, { ...rows(1000), ctx: { ticket: 'CHG-1' } }, 'allow reading-is-free'],
    ['crm.bulk_update', { count: 1 }, rows(999), 'allow reading-is-free'],
    ['crm.purge', {}, { class: 'destructive' }, 'deny'],
    ['web.fetch', ours, { class: 'destructive' }, 'step_up destruction-needs-a-ticket'],
    ['web.fetch', ours, { class: 'destructive', ctx: { ticket: 'CHG-1' } }, 'allow our-part-of-the-web'],
    ['web.fetch', ours, { class: 'egress' }, 'allow our-part-of-the-web'],
    ['crm.admin', {}, read, 'allow reading-is-free'],
    ['web.fetch', ours, {}, 'allow our-part-of-the-web'],
    ['web.fetch', { url: 'https://example.net/' }, {}, 'deny'],
    ['web.fetch', { url: 'http://example.com/' }, {}, 'deny'],
    [
      'web.fetch',
      { url: 'https://example.com/' },
      { class: 'egress', session: { labels: ['injection'] } },
      'deny nothing-leaves-after-an-injection',
    ],
    ['mail.send', {}, mails(20), 'deny twenty-mails-an-hour'],
    ['mail.send', {}, mails(19), 'allow reading-is-free'],
    ['crm.find', {}, labelled('sales'), 'deny personal-data-for-support'],
    ['crm.find', {}, labelled('support'), 'allow reading-is-free'],
    ['files.write', { path: 'drafts/a' }, contractor, 'deny the-contractor'],
    ['files.write', { path: 'final/a' }, contractor, 'deny'],
  ] as const
  for (const [name, args, more, expected] of cases)
    assert.equal(decided(name, args, more), expected, JSON.stringify([name, args, more]))
  const decisive = new Set(cases.flatMap(([, , , expected]) => expected.split(' ').slice(1)))
  for (const { source } of set.rules) assert.ok(decisive.has(source.id), `no case shows \`${source.id}\``)
})
