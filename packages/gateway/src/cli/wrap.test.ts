import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verifies } from '../testing/verifies.ts'
import { wrappedName } from './wrap.ts'

const nameOf = (...command: string[]): string => wrappedName(command, '/home', undefined).name

test('a wrapped server is called by the most telling word of its command', () => {
  verifies('cli.wrap')
  assert.equal(nameOf('npx', '-y', '@modelcontextprotocol/server-everything@1.2.3', 'stdio'), 'everything')
  assert.equal(nameOf('node', '/opt/server-everything/dist/index.js'), 'everything')
  assert.equal(nameOf('uvx', 'mcp-server-git', '--repository', '.'), 'git')
  assert.equal(nameOf('/usr/local/bin/github_mcp'), 'github-mcp')
  assert.equal(nameOf('C:\\tools\\Notes.exe'), 'notes')
  assert.equal(nameOf('a-server-with-a-name-that-is-long'), 'a-server-with-a')
})

test('a command without a telling word is called wrapped', () => {
  verifies('cli.wrap')
  assert.equal(nameOf('node', 'dist/index.js'), 'wrapped')
  assert.equal(nameOf('./2048'), 'wrapped')
})

test('two commands, and one command in two places, have a folder each; a name of its own is the folder', () => {
  verifies('cli.wrap')
  const folder = (command: string[], cwd: string): string => wrappedName(command, cwd, undefined).folder
  const first = folder(['node', 'dist/index.js'], '/a')
  assert.match(first, /^wrapped-[0-9a-f]{8}$/)
  assert.equal(folder(['node', 'dist/index.js'], '/a'), first)
  assert.notEqual(folder(['node', 'dist/index.js'], '/b'), first)
  assert.notEqual(folder(['node', 'dist/index.js', '--all'], '/a'), first)
  assert.deepEqual(wrappedName(['node', 'x.js'], '/a', 'crm'), { name: 'crm', folder: 'crm' })
})

test('a name that is no server id is refused, also one that would leave the state folder', () => {
  verifies('cli.wrap')
  for (const name of ['../x', 'Crm', '', 'a-name-of-17-char', '1a'])
    assert.throws(() => wrappedName(['node'], '/a', name), /--name is `/)
  assert.equal(wrappedName(['node'], '/a', 'a-name-of-16-cha').name, 'a-name-of-16-cha')
})
