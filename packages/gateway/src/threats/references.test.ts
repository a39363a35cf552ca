// Nothing on the threat page leads nowhere (playbook Play 1): what it names exists, and what it calls planned is.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { requirements } from '../../../../requirements/index.ts'
import { createProgram } from '../cli/program.ts'
import type { World } from '../cli/world.ts'
import { configPage } from '../config/page.ts'
import { verifies } from '../testing/verifies.ts'
import { CONTROLS } from './controls.ts'
import { readThreats } from './read.ts'
import { deadReferences, type Known } from './references.ts'
import { FRAMEWORK_IDS } from './standards.ts'
import { type Threat, TOP_RISKS } from './threat.ts'

const SRC = fileURLToPath(new URL('..', import.meta.url))
const { threats = [], problems = [] } = readThreats(join(SRC, '../../../rules/threats'))

/** Commands with their subcommands, as people type them. */
function commandsOf(command: Command, path: string): string[] {
  const own = command.commands.flatMap((each) => commandsOf(each, `${path} ${each.name()}`))
  return [path, ...own]
}

/** What stands in single quotes in the code that writes events; this room only reads. */
function eventsWritten(): Set<string> {
  const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter(
    (file) => file.endsWith('.ts') && !file.endsWith('.test.ts') && !/^(threats|cli|testing)\//.test(file),
  )
  const texts = files.map((file) => readFileSync(join(SRC, file), 'utf8'))
  return new Set(
    texts.flatMap((text) => [...text.matchAll(/'([a-z]+\.[a-z-]+)'/g)].map(([, name]) => name ?? '')),
  )
}

const known: Known = {
  promises: requirements,
  // The program is only looked at: no command runs, so none asks the world.
  commands: new Set(commandsOf(createProgram({} as World, '0'), 'callgate')),
  keys: new Set([...configPage().matchAll(/^\| `([^`]+)` \|/gm)].map(([, key]) => key ?? '')),
  events: eventsWritten(),
}

test('every threat has a control, a detection, a response and a test, and no reference is dead', () => {
  verifies('play1.single-page')
  assert.deepEqual(problems, [])
  assert.ok(threats.length >= 10)
  assert.deepEqual(deadReferences(threats, known), [])
})

test('every top risk of the playbook is a row with ids in all six standards', () => {
  verifies('play1.top-risks')
  for (const risk of Object.keys(TOP_RISKS)) {
    const rows = threats.filter((threat) => threat.risk === risk)
    assert.ok(rows.length > 0, `no threat is \`risk: ${risk}\``)
    for (const row of rows)
      for (const framework of FRAMEWORK_IDS)
        assert.ok(row.standards[framework].length > 0, `${row.id}: no id of ${framework}`)
  }
})

test('stories are two sentences, and an accepted risk has a day to come back to', () => {
  for (const { id, story, accepted } of threats) {
    assert.equal(story.match(/\.(?=\s|$)/g)?.length, 2, id)
    if (accepted !== undefined) assert.match(accepted.risk, /\w/, id)
  }
})

test('each control names keys that exist, and no code of a refusal belongs to two', () => {
  const owners = new Map<string, string>()
  for (const [id, { codes, keys }] of Object.entries(CONTROLS)) {
    for (const key of keys) assert.ok(known.keys.has(key), `${id} names the key \`${key}\``)
    for (const code of codes) {
      assert.equal(owners.get(code), undefined, `${code} belongs to ${owners.get(code)} and ${id}`)
      owners.set(code, id)
    }
  }
})

test('every control is named by a threat', () => {
  const named = new Set(threats.flatMap(({ chain, controls }) => [...chain, ...controls]))
  assert.deepEqual(
    Object.keys(CONTROLS).filter((id) => !named.has(id)),
    [],
  )
})

test('a planted dead reference of each kind is found, and its near miss is not', () => {
  verifies('play1.single-page')
  const [sound] = threats
  assert.ok(sound !== undefined)
  const promises = {
    'a.built': {},
    'a.later': { deferred: 'waits' },
  }
  const planted: Known = {
    promises,
    commands: new Set(['callgate tail']),
    keys: new Set(['egress.deny']),
    events: new Set(['a.done']),
  }
  const dead = (change: Partial<Threat>): string[] => {
    const none = { tests: [], detections: [], response: [] }
    return deadReferences([{ ...sound, id: 'x', ...none, ...change }], planted)
  }
  const says = 'it shows'
  const does = 'do it'
  const at = 'rules/threats/x.yaml:'
  assert.deepEqual(dead({ tests: ['a.built'] }), [])
  assert.deepEqual(dead({ tests: ['a.bilt'] }), [
    `${at} \`tests\` names \`a.bilt\`, which is no promise of requirements/`,
  ])
  assert.deepEqual(dead({ tests: ['toString'] }).length, 1)
  assert.deepEqual(dead({ tests: ['a.later'] }), [
    `${at} \`tests\` names \`a.later\`, which no test proves yet; name one that is not deferred`,
  ])
  assert.deepEqual(dead({ detections: [{ planned: 'a.later', says }] }), [])
  assert.deepEqual(dead({ detections: [{ planned: 'a.built', says }] }), [
    `${at} \`a.built\` is planned here and built by now; name what there is in its place`,
  ])
  assert.deepEqual(dead({ response: [{ planned: 'a.never', does }] }), [
    `${at} \`planned\` names \`a.never\`, which is no promise of requirements/`,
  ])
  assert.deepEqual(dead({ detections: [{ event: 'a.done', says }] }), [])
  assert.deepEqual(dead({ detections: [{ event: 'a.gone', says }] }), [
    `${at} nothing writes the event \`a.gone\``,
  ])
  assert.deepEqual(dead({ response: [{ command: 'callgate tail', does }] }), [])
  assert.deepEqual(dead({ response: [{ command: 'callgate kill', does }] }), [
    `${at} there is no command \`callgate kill\``,
  ])
  assert.deepEqual(dead({ response: [{ key: 'egress.deny', does }] }), [])
  assert.deepEqual(dead({ response: [{ key: 'egress.block', does }] }), [
    `${at} callgate.yaml has no key \`egress.block\``,
  ])
})
