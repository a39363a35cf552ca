import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { verifies } from '../testing/verifies.ts'
import { profileOf, type HostId } from './host-profiles.ts'
import { gateLine, serverId, shownUrl, shownWord, translateEntry } from './install-server.ts'

const translate = (entry: unknown, host: HostId = 'claude-code') =>
  translateEntry(entry, profileOf(host).entry, { folder: '/home/you', ownUrls: ['http://127.0.0.1:8420'] })

test('stdio and HTTP entries become servers of the gate', () => {
  verifies('cli.install')
  assert.deepEqual(
    translate({ command: 'npx', args: ['-y', 'x'], env: { PORT: 3, A: 'b' }, alwaysLoad: true }),
    {
      server: { command: ['npx', '-y', 'x'], env: { PORT: '3', A: 'b' }, cwd: '/home/you' },
      behind: ['alwaysLoad'],
    },
  )
  assert.deepEqual(translate({ type: 'stdio', command: './x', cwd: 'sub' }), {
    server: { command: ['./x'], cwd: '/home/you/sub' },
    behind: [],
  })
  assert.deepEqual(translate({ type: 'http', url: 'https://mcp.example/mcp' }), {
    server: { url: 'https://mcp.example/mcp' },
    behind: [],
  })
  assert.deepEqual(translate({ transport: { type: 'streamableHttp', url: 'https://a.example/' } }, 'cline'), {
    server: { url: 'https://a.example/' },
    behind: [],
  })
})

test('a URL that names a private address brings its range along, and no other does', () => {
  const networkOf = (url: string) => {
    const found = translate({ type: 'http', url })
    return 'server' in found && 'url' in found.server ? found.server.network : 'refused'
  }
  assert.deepEqual(networkOf('http://localhost:3000/mcp'), ['127.0.0.0/8', '::1/128'])
  assert.deepEqual(networkOf('http://127.0.0.1:3000/mcp'), ['127.0.0.0/8'])
  assert.deepEqual(networkOf('http://[::1]:3000/mcp'), ['::1/128'])
  assert.deepEqual(networkOf('https://10.1.2.3/mcp'), ['10.1.2.3/32'])
  assert.equal(networkOf('https://93.184.216.34/mcp'), undefined)
  assert.equal(networkOf('https://169.254.169.254/mcp'), undefined, 'metadata is nobody’s own range')
  assert.equal(networkOf('http://10.1.2.3/mcp'), 'refused')
})

test('what the gate cannot carry stays with its host, and its value is not in the reason', () => {
  verifies('cli.install')
  const rows: readonly [unknown, RegExp, HostId?][] = [
    [{ type: 'http', url: 'https://a.example/', headers: { Authorization: 'Bearer SECRET' } }, /credentials/],
    [{ type: 'http', url: 'https://a.example/', oauth: { clientId: 'SECRET' } }, /`oauth`/],
    [{ url: 'https://a.example/', apiKey: 'SECRET' }, /`apiKey`/, 'continue'],
    [{ type: 'sse', url: 'https://a.example/SECRET' }, /HTTP\+SSE/],
    [{ url: 'https://a.example/SECRET' }, /HTTP\+SSE/, 'cline'],
    [{ url: 'https://a.example/SECRET' }, /does not know/],
    [{ type: 'ws', url: 'https://a.example/SECRET' }, /`ws`/],
    [{ type: 'http', url: 'http://a.example/SECRET' }, /https/],
    [{ type: 'http', url: 'https://u:SECRET@a.example/' }, /without user/],
    [{ command: 'x', args: ['${SECRET}'] }, /does not fill in/],
    [{ command: 'x', env: { A: '${input:SECRET}' } }, /does not fill in/],
    [{ command: 'x', args: ['{state}'] }, /state folder/],
    [{ command: 'x', envFile: '.SECRET' }, /envFile/],
    [{ command: 'x', args: [{ SECRET: 1 }] }, /`args`/],
    [{ command: 'x', env: { A: ['SECRET'] } }, /`env.A`/],
    [{ command: 'x', env: { 'SECRET VALUE': '1' } }, /`env`/],
    [{ command: 'x', disabled: true }, /switched off/],
    [{ name: 'x', uses: 'hub/x' }, /neither/, 'continue'],
    ['SECRET', /not an object/],
    [null, /not an object/],
  ]
  for (const [entry, why, host] of rows) {
    const found = translate(entry, host)
    assert.ok('stays' in found, JSON.stringify(entry))
    assert.match(found.stays, why)
    assert.doesNotMatch(found.stays, /SECRET/)
  }
  assert.ok(
    'server' in translate({ type: 'http', url: 'https://a.example/', headers: {} }),
    'no headers, no secret',
  )
  assert.ok('server' in translate({ command: 'x', disabled: false }))
})

test('the gate is not put behind itself', () => {
  const connect = { command: 'node', args: ['/x/bin/callgate.mjs', 'connect', '--state', 's'] }
  assert.deepEqual(translate(connect), { gate: true })
  assert.deepEqual(translate({ command: 'npx', args: ['callgate', 'wrap', '--', 'x'] }), { gate: true })
  assert.deepEqual(translate({ type: 'http', url: 'http://127.0.0.1:8420/mcp/fs' }), { gate: true })
  assert.ok('server' in translate({ type: 'http', url: 'http://127.0.0.1:8421/mcp' }))
  assert.equal(gateLine({ command: 'callgate', args: ['tail'] }), undefined)
  assert.equal(gateLine({ command: 'not-callgate', args: ['connect'] }), undefined)
})

test('every name becomes an id that callgate.yaml takes, and no two the same', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'grapheme' }), { maxLength: 30 }), (names) => {
      const taken = new Set<string>()
      for (const name of names) {
        const id = serverId(name, taken)
        assert.match(id, /^[a-z][a-z0-9-]{0,15}$/)
        assert.ok(!taken.has(id))
        taken.add(id)
      }
    }),
  )
  assert.equal(serverId('Git Hub (work)', new Set()), 'git-hub-work')
  assert.equal(serverId('github', new Set(['github'])), 'github-2')
  assert.equal(serverId('a-very-long-server-name', new Set(['a-very-long-serv'])), 'a-very-long-se-2')
})

test('words that look like secrets are masked, and words that do not are shown', () => {
  const masked: readonly [string, string?][] = [
    ['abc', '--token'],
    ['abc', '--api-key'],
    ['Authorization: Bearer abc', '--header'],
    ['Authorization: Bearer abc'],
    ['ghp_16C7e42F292c6912E7710c838347Ae178B4a'],
  ]
  for (const [word, before] of masked) assert.equal(shownWord(word, before), '***')
  assert.equal(shownWord('--token=abc', undefined), '--token=***')
  assert.equal(shownWord('API_KEY=abc', '-e'), 'API_KEY=***')
  assert.equal(shownWord('postgres://u:p@db.example/x', undefined), 'postgres://***@db.example/x')
  assert.equal(shownUrl('https://a.example/x?key=abc#f'), 'https://a.example/x?***')
  for (const word of [
    '-y',
    '@modelcontextprotocol/server-filesystem',
    '/home/you/notes',
    'server-sequential-thinking',
    'https://a.example/mcp',
  ])
    assert.equal(shownWord(word, '-y'), word)
})
