import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { MAX_WIRE_NAME, wireName } from '../mcp/naming.ts'
import { verifies } from '../testing/verifies.ts'
import { GATE_ENTRY, hostIds, hostProfiles, osGaps, profileOf, shownToolName } from './host-profiles.ts'
import { hostsPage } from './install-page.ts'

test('every tool name of the gate fits every host together with the entry of the gate', () => {
  verifies('hosts.names-fit')
  const names = [
    wireName('a', 'b'),
    wireName('server-of-16-chr', 'x'.repeat(200)),
    wireName('fs', 'read.text/file with spaces and ümlauts'),
  ]
  assert.equal(Math.max(...names.map((name) => name.length)), MAX_WIRE_NAME, 'the longest name is among them')
  for (const id of hostIds) {
    const { toolNames } = profileOf(id)
    assert.notEqual(toolNames.from, 'not found')
    if (toolNames.from === 'not found') continue
    const { most, letters } = toolNames.is
    for (const name of names) {
      const shown = shownToolName(profileOf(id), GATE_ENTRY, name) ?? ''
      assert.ok(shown.length <= (most ?? Infinity), `${id}: ${shown} has ${shown.length} characters`)
      assert.match(name, new RegExp(`^${letters}+$`), `${id}: ${name} would be renamed`)
    }
  }
})

test('a name that is longer by what the longest prefix leaves does not fit', () => {
  const over = 'x'.repeat(MAX_WIRE_NAME + 10)
  assert.ok((shownToolName(profileOf('cursor'), GATE_ENTRY, over) ?? '').length > 60)
  assert.ok((shownToolName(profileOf('cline'), GATE_ENTRY, over) ?? '').length > 64)
})

test('every host is a word of --host, and has a file on every system', () => {
  verifies('hosts.profiles')
  assert.deepEqual(hostIds.toSorted(), Object.keys(hostProfiles).toSorted())
  for (const id of hostIds) {
    const { files, places, entry, elsewhere } = profileOf(id)
    for (const system of ['linux', 'darwin', 'win32'] as const) {
      assert.ok(files.user[system].length > 0, `${id} on ${system}`)
      for (const path of files.user[system]) assert.match(path, /^\{(home|appData)\}\//)
      assert.ok(osGaps[system].length > 0)
    }
    for (const path of files.project) assert.match(path, /^\{project\}\//)
    assert.equal(places[0]?.length, 1, `${id}: the main place is a member of the root`)
    const words = [...entry.http, ...entry.sse, ...(entry.stdio === undefined ? [] : [entry.stdio])]
    assert.equal(new Set(words).size, words.length, `${id}: a type word means one thing`)
    assert.ok(elsewhere.length > 0, `${id}: no host reads servers from one place alone`)
  }
})

test('docs/hosts.md is what the profiles say', () => {
  verifies('hosts.profiles')
  const page = readFileSync(new URL('../../../../docs/hosts.md', import.meta.url), 'utf8')
  assert.equal(page, hostsPage())
})
