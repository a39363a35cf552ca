import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import * as fc from 'fast-check'
import type { GatewayConfig } from '../config/declaration.ts'
import { verifies } from '../testing/verifies.ts'
import { differences, foreignMembers } from './hosts-check.ts'
import { type ManagedFile, fileText, managedFiles, managedHosts } from './hosts-files.ts'
import { type ManagedMachines, managedGate, programPath, registryUrl } from './hosts-gate.ts'
import { type Matcher, serverLists } from './hosts-lists.ts'
import { requireConfig } from './locate.ts'

const folder = mkdtempSync(join(tmpdir(), 'callgate-managed-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const LOCAL = 'issuers: [{ issuer: "urn:callgate:dev-issuer", dev: true }], replay: session'
const ENROLLED = 'issuers: [], enrolment: true'

interface Parts {
  readonly servers?: object
  readonly identity?: string
  readonly listener?: object
}

function configOf({ servers = {}, identity = LOCAL, listener = {} }: Parts): GatewayConfig {
  const path = join(folder, 'callgate.yaml')
  writeFileSync(
    path,
    `identity: { ${identity} }\nlistener: ${JSON.stringify(listener)}\nservers: ${JSON.stringify(servers)}\npolicy: { files: [pack:read-only] }\nstate: /var/lib/callgate\n`,
  )
  return requireConfig({}, path)
}

const MACHINES: ManagedMachines = {
  via: 'connect',
  program: undefined,
  here: ['/n/node', '/g/callgate.mjs'],
  ca: undefined,
}

const gateOf = (parts: Parts, machines: Partial<ManagedMachines> = {}) =>
  managedGate(configOf(parts), 'callgate.yaml', { ...MACHINES, ...machines })

function filesOf(parts: Parts, machines: Partial<ManagedMachines> = {}, registry?: string): ManagedFile[] {
  const gate = gateOf(parts, machines)
  return managedHosts.flatMap((host) =>
    managedFiles(host, { gate, lists: serverLists(configOf(parts).servers, gate, host), registry }),
  )
}

const SERVERS = {
  fs: { command: ['npx', '-y', '@modelcontextprotocol/server-filesystem', '/srv/my "files"', "it's"] },
  crm: { url: 'https://crm.example/v1/mcp?key=QUERY-SECRET' },
  notes: { url: 'http://localhost:9000/mcp', network: ['127.0.0.0/8'] },
}
const ELSEWHERE = { publicUrl: 'https://gate.example' }

/** A server as a host has it. */
type Wanted =
  | { readonly name: string; readonly url: string }
  | { readonly name: string; readonly command: readonly string[] }

/** Both hosts' rule as they document it, for the lists that are written: denied beats allowed, and no name allows. */
function mayRun(
  { allowed, denied }: { allowed: readonly Matcher[]; denied: readonly Matcher[] },
  wanted: Wanted,
): boolean {
  const meets = (entry: Matcher): boolean => {
    if ('serverName' in entry) return entry.serverName === wanted.name
    if ('serverUrl' in entry) return 'url' in wanted && fits(entry.serverUrl, new URL(wanted.url).href)
    return 'command' in wanted && JSON.stringify(entry.serverCommand) === JSON.stringify(wanted.command)
  }
  return !denied.some(meets) && allowed.some(meets)
}

function fits(pattern: string, text: string): boolean {
  const source = pattern.split('*').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`))
  return new RegExp(`^${source.join('.*')}$`, 'i').test(text)
}

test('a host may use the gate by its line and its URL, and no server behind it by name, address or command', () => {
  verifies('cli.hosts-export')
  const gate = gateOf(
    { servers: SERVERS, listener: ELSEWHERE, identity: ENROLLED },
    { program: ['/opt/callgate'] },
  )
  const lists = serverLists(configOf({ servers: SERVERS }).servers, gate, 'claude-code')
  assert.deepEqual(lists, {
    allowed: [
      { serverUrl: 'https://gate.example/mcp' },
      { serverUrl: 'https://gate.example/mcp/*' },
      { serverCommand: ['/opt/callgate', 'connect', 'https://gate.example/mcp'] },
    ],
    denied: [
      { serverName: 'crm' },
      { serverUrl: 'https://crm.example/*' },
      { serverName: 'fs' },
      { serverCommand: SERVERS.fs.command },
      { serverName: 'notes' },
      { serverUrl: 'http://localhost:9000/*' },
      { serverUrl: 'http://127.0.0.1:9000/*' },
      { serverUrl: 'http://[::1]:9000/*' },
    ],
    notes: [],
  })
  assert.ok(mayRun(lists, { name: 'callgate', url: 'https://gate.example/mcp' }))
  assert.ok(mayRun(lists, { name: 'only-crm', url: 'https://gate.example/mcp/crm' }))
  assert.ok(mayRun(lists, { name: 'x', command: ['/opt/callgate', 'connect', 'https://gate.example/mcp'] }))
  for (const wanted of [
    { name: 'callgate', url: 'https://crm.example/v2' },
    { name: 'callgate', url: 'http://127.0.0.1:9000/mcp' },
    { name: 'callgate', command: SERVERS.fs.command },
    { name: 'fs', url: 'https://gate.example/mcp' },
    // No list names these: what is not allowed is not to be had.
    { name: 'callgate', url: 'https://gate.example.evil.example/mcp' },
    { name: 'callgate', url: 'https://gate.example/mcpx' },
    { name: 'callgate', command: ['/opt/callgate', 'connect', 'https://other.example/mcp'] },
    { name: 'callgate', command: ['callgate', 'connect', 'https://gate.example/mcp'] },
  ])
    assert.ok(!mayRun(lists, wanted), JSON.stringify(wanted))
})

test('whatever servers stand behind it, the gate is never denied, and none of them is allowed', (t) => {
  verifies('cli.hosts-export')
  const seed = Date.now() % 2 ** 31
  t.diagnostic(`seed ${seed}`)
  const id = fc.stringMatching(/^[a-z][a-z0-9-]{0,15}$/)
  const host = fc.constantFrom(
    'crm.example',
    'gate.example',
    'localhost',
    '127.0.0.1',
    '[::1]',
    'gate.example:8443',
  )
  const url = fc
    .tuple(
      fc.constantFrom('https', 'http'),
      host,
      fc.constantFrom('', '/', '/crm', '/crm/', '/a/b?c=d', '/x*'),
    )
    .filter(([scheme, name]) => scheme === 'https' || /^(localhost|127|\[)/.test(name))
    .map(([scheme, name, path]) => ({ url: `${scheme}://${name}${path}` }))
  const command = fc
    .array(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 4 })
    .map((words) => ({ command: words }))
  const gates = [
    gateOf({}),
    gateOf({ listener: ELSEWHERE, identity: ENROLLED }, { program: ['/opt/callgate'] }),
  ]
  fc.assert(
    fc.property(fc.dictionary(id, fc.oneof(url, command)), fc.constantFrom(...gates), (servers, gate) => {
      const lists = serverLists(serversOf(servers), gate, 'vscode')
      assert.ok(mayRun(lists, { name: 'callgate', url: gate.url }))
      assert.ok(mayRun(lists, { name: 'callgate', command: gate.line('vscode') ?? [] }))
      for (const direct of Object.values(servers)) assert.ok(!mayRun(lists, { name: 'callgate', ...direct }))
      const named = lists.denied.flatMap((entry) => ('serverName' in entry ? [entry.serverName] : []))
      assert.deepEqual(
        named,
        Object.keys(servers)
          .filter((name) => name !== 'callgate')
          .sort(),
      )
    }),
    { seed },
  )
})

/** Servers as a loaded configuration has them; only what the lists read. */
function serversOf(
  servers: Readonly<Record<string, { readonly url: string } | { readonly command: readonly string[] }>>,
): GatewayConfig['servers'] {
  const { fs, crm } = configOf({ servers: SERVERS }).servers
  if (fs?.transport !== 'stdio' || crm?.transport !== 'http')
    return assert.fail('not the servers that were given')
  return Object.fromEntries(
    Object.entries(servers).map(([id, server]) => [
      id,
      'url' in server ? { ...crm, ...server } : { ...fs, command: [...server.command] },
    ]),
  )
}

test('the files of each host, for a gate on this machine', () => {
  verifies('cli.hosts-export')
  const values = Object.fromEntries(
    filesOf({ servers: { fs: SERVERS.fs } }).map(({ name, value }, index) => [`${index} ${name}`, value]),
  )
  const args = (host: string) => [
    '/g/callgate.mjs',
    'connect',
    '--state',
    '/var/lib/callgate',
    '--client',
    host,
  ]
  const allowed = (host: string) => [
    { serverUrl: 'http://127.0.0.1:8420/mcp' },
    { serverUrl: 'http://127.0.0.1:8420/mcp/*' },
    { serverCommand: ['/n/node', ...args(host)] },
  ]
  const denied = [{ serverName: 'fs' }, { serverCommand: SERVERS.fs.command }]
  assert.deepEqual(values, {
    '0 managed-mcp.json': {
      mcpServers: { callgate: { type: 'stdio', command: '/n/node', args: args('claude-code') } },
    },
    '1 managed-settings.json': {
      allowManagedMcpServersOnly: true,
      allowedMcpServers: allowed('claude-code'),
      deniedMcpServers: denied,
    },
    '2 mcp.json': { servers: { callgate: { type: 'stdio', command: '/n/node', args: args('vscode') } } },
    '3 policy.json': {
      ChatAllowManagedMcpServersOnly: true,
      ChatAllowedMcpServers: JSON.stringify(allowed('vscode')),
      ChatDeniedMcpServers: JSON.stringify(denied),
    },
    '4 mcp.json': { mcpServers: { callgate: { command: '/n/node', args: args('cursor') } } },
    '5 mcp-allowlist.txt': [
      'http://127.0.0.1:8420/mcp',
      'http://127.0.0.1:8420/mcp/*',
      `/n/node ${args('cursor').join(' ')}`,
    ],
  })
})

test('by its URL a host gets no line; a registry holds VS Code as well', () => {
  verifies('cli.hosts-export')
  const listener = ELSEWHERE
  const files = filesOf({ listener, identity: ENROLLED }, { via: 'http' }, 'https://registry.example/mcp')
  assert.deepEqual(
    files.map(({ value }) => value),
    [
      { mcpServers: { callgate: { type: 'http', url: 'https://gate.example/mcp' } } },
      {
        allowManagedMcpServersOnly: true,
        allowedMcpServers: [
          { serverUrl: 'https://gate.example/mcp' },
          { serverUrl: 'https://gate.example/mcp/*' },
        ],
        deniedMcpServers: [],
      },
      { servers: { callgate: { type: 'http', url: 'https://gate.example/mcp' } } },
      {
        ChatAllowManagedMcpServersOnly: true,
        ChatAllowedMcpServers:
          '[{"serverUrl":"https://gate.example/mcp"},{"serverUrl":"https://gate.example/mcp/*"}]',
        ChatDeniedMcpServers: '[]',
        ChatMCP: 'registry',
        McpGalleryServiceUrl: 'https://registry.example/mcp',
      },
      { mcpServers: { callgate: { url: 'https://gate.example/mcp' } } },
      ['https://gate.example/mcp', 'https://gate.example/mcp/*'],
    ],
  )
  const withCa = gateOf({ listener, identity: ENROLLED }, { program: ['/opt/callgate'], ca: '/opt/ca.pem' })
  assert.deepEqual(withCa.line('cursor')?.slice(2), ['https://gate.example/mcp', '--ca', '/opt/ca.pem'])
})

test('a server beside the gate on one origin is denied without the gate', () => {
  verifies('cli.hosts-export')
  const parts = (url: string): Parts => ({
    servers: { near: { url } },
    listener: ELSEWHERE,
    identity: ENROLLED,
  })
  const lists = (url: string) =>
    serverLists(configOf(parts(url)).servers, gateOf(parts(url), { via: 'http' }), 'vscode')
  const shared = lists('https://gate.example/crm/')
  assert.deepEqual(shared.denied.slice(1), [
    { serverUrl: 'https://gate.example/crm' },
    { serverUrl: 'https://gate.example/crm/*' },
    { serverUrl: 'https://gate.example/crm?*' },
  ])
  assert.ok(mayRun(shared, { name: 'callgate', url: 'https://gate.example/mcp' }))
  for (const url of ['https://gate.example/mcp', 'https://gate.example/mcp/near'])
    assert.throws(() => lists(url), /`servers\.near\.url` is an address of the gate itself\nfix: /)
  assert.doesNotThrow(() => lists('https://gate.example/mcp2'))
  // Of these no pattern can be written that leaves the gate alone, or none that keeps a secret.
  for (const path of ['', '/', '/*', '/crm?key=QUERY-SECRET']) {
    const { denied, notes } = lists(`https://gate.example${path}`)
    assert.deepEqual(denied, [{ serverName: 'near' }])
    assert.match(notes.join(), /^server `near` shares its origin with the gate and cannot be denied/)
  }
})

test('a server with the name of the gate is denied by what it is alone; one with its line is refused', () => {
  verifies('cli.hosts-export')
  const lists = (command: readonly string[]) =>
    serverLists(serversOf({ callgate: { command } }), gateOf({}), 'claude-code')
  const { denied, notes } = lists(['other'])
  assert.deepEqual(denied, [{ serverCommand: ['other'] }])
  assert.match(notes.join(), /server `callgate` has the name under which hosts know the gate/)
  const line = gateOf({}).line('claude-code') ?? []
  assert.throws(() => lists(line), /`servers\.callgate\.command` is the line by which hosts enter the gate/)
  assert.doesNotThrow(() => lists([...line, '--server', 'fs']))
})

test('no secret of the configuration is in a file or a note: not of a command, a variable, a URL or a credential', () => {
  verifies('cli.hosts-export')
  const secret = 'sk-4f9aQ2xT7LmPz81vKd03'
  const servers = {
    flag: { command: ['tool', '--api-key', secret] },
    word: { command: ['tool', `--token=${secret}`] },
    bare: { command: ['tool', secret] },
    dsn: { command: ['pg', `postgresql://me:${secret}@db.example/x`] },
    env: { command: ['tool', '/srv/Some-Folder-2026/Of-Mine'], env: { API_TOKEN: secret } },
    long: { command: ['tool', '/aB3/4f9aQ2xT7LmPz81vKd03ssssss/Zz'] },
    query: { url: `https://query.example/mcp?key=${secret}` },
    path: { url: `https://path.example/${secret}/mcp` },
    near: { url: `https://gate.example/${secret}-4f9aQ2xT7LmPz81vKd03/mcp` },
    auth: { url: 'https://auth.example/mcp', credentials: { type: 'bearer', secret: 'env:CRM_TOKEN' } },
  }
  const parts: Parts = { servers, listener: ELSEWHERE, identity: ENROLLED }
  const files = filesOf(parts, { program: ['/opt/callgate'] })
  const { notes } = serverLists(
    configOf(parts).servers,
    gateOf(parts, { program: ['/opt/callgate'] }),
    'cursor',
  )
  const all = files.map(fileText).join('') + notes.join('')
  assert.ok(!all.includes(secret.slice(3)), all)
  assert.ok(!all.includes('CRM_TOKEN'))
  assert.deepEqual(
    notes.map((note) => /server `(\w+)`/.exec(note)?.[1]),
    ['bare', 'dsn', 'flag', 'long', 'near', 'word'],
  )
  // What cannot be said without a secret is denied by its name, and a command that holds none is said.
  for (const word of [
    '"/srv/Some-Folder-2026/Of-Mine"',
    'https://query.example/*',
    'https://path.example/*',
    ...Object.keys(servers),
  ])
    assert.ok(all.includes(word), word)
})

test('files are the same however the configuration is ordered, and hold no sign that moves a cursor', () => {
  verifies('cli.hosts-export')
  const odd = { ...SERVERS, odd: { command: ['tool', '\u{9b}2J', '\u{202e}', 'a\nb', '"\\'] } }
  const texts = (servers: object) => filesOf({ servers }).map(fileText)
  assert.deepEqual(texts(Object.fromEntries(Object.entries(odd).reverse())), texts(odd))
  const [, settings = ''] = texts(odd)
  assert.match(settings, /^[\x20-\x7e\n]+$/)
  assert.ok(settings.includes(String.raw`"\u009b2J"`))
  const { deniedMcpServers } = JSON.parse(settings) as { deniedMcpServers: unknown[] }
  assert.deepEqual(deniedMcpServers.at(-1), { serverCommand: odd.odd.command })
})

test('a gate that hosts cannot reach so is refused, with what to change', () => {
  verifies('cli.hosts-export')
  const issuer = 'issuers: [{ issuer: "https://login.example", jwks: "https://login.example/keys" }]'
  const refused: [Parts, Partial<ManagedMachines>, RegExp][] = [
    [{ listener: { port: 0 } }, {}, /`listener\.port` is `0`.*\nfix: set a port/],
    [{ identity: issuer }, {}, /no development issuer.*\nfix: .*`--via http`/],
    [
      { identity: LOCAL.replace('session', 'once') },
      {},
      /`identity\.replay` is `once`.*\nfix: set it to `session`, or/,
    ],
    [
      { listener: ELSEWHERE },
      { program: ['/p'] },
      /`identity\.enrolment` is `false`.*\nfix: set it to `true`, or/,
    ],
    [{ listener: ELSEWHERE, identity: ENROLLED }, {}, /nobody said where.*\nfix: .*--program, or/],
    [{}, { ca: '/ca.pem' }, /--ca is for a gate elsewhere/],
    [{}, { program: ['/opt/${HOME}/callgate'] }, /hosts read `\$\{`.*\nfix: use a path without them/],
    [{}, { program: ['/opt/*/callgate'] }, /hosts read/],
    [{}, { program: ['/opt/a\nb'] }, /`\/opt\/a\\u\{a\}b` would stand/],
  ]
  for (const [parts, machines, message] of refused) assert.throws(() => gateOf(parts, machines), message)
  assert.equal(gateOf({ listener: { host: '::1', port: 81 } }).url, 'http://[::1]:81/mcp')
  assert.equal(gateOf({}, { program: ['/opt/a b/callgate'] }).line('x')?.[0], '/opt/a b/callgate')
  for (const text of ['/opt/callgate', 'C:\\Program Files\\callgate.cmd'])
    assert.equal(programPath(text), text)
  assert.throws(() => programPath('callgate'), /--program is `callgate` \(expected an absolute path\)/)
  assert.equal(registryUrl('https://registry.example'), 'https://registry.example')
  for (const text of ['registry.example', 'http://registry.example', 'https://a:b@registry.example'])
    assert.throws(() => registryUrl(text), /--registry is/)
})

test('by the URL, what keeps hosts from logging in is told', () => {
  verifies('cli.hosts-export')
  const notes = (identity: string) => gateOf({ identity }, { via: 'http' }).notes
  assert.deepEqual(
    notes(
      'issuers: [{ issuer: "https://login.example", jwks: "https://login.example/keys" }], replay: session',
    ),
    [],
  )
  assert.deepEqual(
    notes(`${LOCAL.replace('session', 'proof')}, messageSignatures: required`).map(
      (note) => note.split(' ')[0],
    ),
    ['`identity.replay`', '`identity.messageSignatures`', 'no'],
  )
})

test('a file that was written matches, in any order and beside settings of the administrator; every change of it is named', () => {
  verifies('cli.hosts-check')
  const [mcp, settings, , policy, , list] = filesOf({ servers: SERVERS })
  if (mcp === undefined || settings === undefined || policy === undefined || list === undefined)
    return assert.fail('a file is missing')
  for (const file of [mcp, settings, policy, list]) assert.deepEqual(differences(file, fileText(file)), [])
  assert.deepEqual(differences(mcp, undefined), ['is not there'])
  assert.deepEqual(differences(mcp, 'x'), ['is not an object of JSON'])
  assert.deepEqual(differences(settings, '[]'), ['is not an object of JSON'])

  const changed = (file: ManagedFile, changes: object): string[] =>
    differences(file, JSON.stringify({ ...file.value, ...changes }))
  const { allowedMcpServers: allowed, deniedMcpServers: denied } = listsOf(settings)
  assert.deepEqual(changed(settings, { permissions: { deny: ['Bash'] } }), [])
  assert.deepEqual(changed(settings, { deniedMcpServers: denied.toReversed() }), [])
  assert.deepEqual(changed(policy, { ChatDeniedMcpServers: denied }), [])
  assert.deepEqual(changed(settings, { allowManagedMcpServersOnly: false }), [
    '`allowManagedMcpServersOnly` is not `true`',
  ])
  assert.deepEqual(changed(settings, { allowAllClaudeAiMcps: true }), [
    '`allowAllClaudeAiMcps` lets servers come past the lists; take it out',
  ])
  assert.deepEqual(changed(settings, { deniedMcpServers: denied.slice(1) }), [
    '`deniedMcpServers` lacks {"serverName":"crm"}',
  ])
  assert.deepEqual(changed(settings, { allowedMcpServers: undefined }), ['`allowedMcpServers` is not there'])
  assert.deepEqual(changed(settings, { allowedMcpServers: {} }), ['`allowedMcpServers` is not a list'])
  const added = [
    { serverUrl: 'https://x.example/*' },
    { serverUrl: 'https://x.example/?key=SECRET' },
    { serverCommand: ['tool', '--token', 'SECRET'] },
    { serverName: 'x', env: 'SECRET' },
    { serverName: 7 },
    'tool --token SECRET',
  ]
  const told = changed(settings, { allowedMcpServers: [...allowed, ...added] })
  assert.deepEqual(
    told.map(
      (text) => /^`allowedMcpServers` has (.*), which the configuration does not give$/.exec(text)?.[1],
    ),
    [
      '{"serverUrl":"https://x.example/*"}',
      '{"serverUrl":"https://x.example/?***"}',
      '{"serverCommand":["tool","--token","***"]}',
      'an entry of no known form',
      'an entry of no known form',
      '`tool --token ***`',
    ],
  )
  assert.deepEqual(changed(mcp, { mcpServers: { callgate: { command: 'x' } } }), [
    '`mcpServers.callgate` is another server',
  ])
  const own = (JSON.parse(fileText(mcp)) as { mcpServers: object }).mcpServers
  assert.deepEqual(changed(mcp, { mcpServers: { ...own, other: { env: { TOKEN: 'SECRET' } } } }), [
    '`mcpServers.other` is a server beside the gate',
  ])
  assert.deepEqual(changed(mcp, { mcpServers: [] }), ['`mcpServers.callgate` is not there'])
  assert.deepEqual(changed(policy, { ChatMCP: 'all' }), [
    '`ChatMCP` is set, which these options do not write',
  ])
  assert.deepEqual(changed(policy, { ChatAllowedMcpServers: '[' }), ['`ChatAllowedMcpServers` is not a list'])
  assert.deepEqual(differences(list, fileText(list).replaceAll('\n', '\r\n')), [])
  assert.deepEqual(differences(list, `${fileText(list)}*\n`), [
    'the list has `*`, which the configuration does not give',
  ])
})

function listsOf(file: ManagedFile): { allowedMcpServers: unknown[]; deniedMcpServers: unknown[] } {
  return JSON.parse(fileText(file)) as { allowedMcpServers: unknown[]; deniedMcpServers: unknown[] }
}

test('a file is written over only where it holds nothing of somebody else', () => {
  verifies('cli.hosts-export')
  const [mcp, settings, , policy, , list] = filesOf({})
  if (mcp === undefined || settings === undefined || policy === undefined || list === undefined)
    return assert.fail('a file is missing')
  for (const file of [mcp, settings, policy, list]) assert.deepEqual(foreignMembers(file, fileText(file)), [])
  assert.deepEqual(foreignMembers(settings, ''), [])
  assert.deepEqual(foreignMembers(settings, '{"deniedMcpServers":[{"serverName":"old"}]}'), [])
  assert.deepEqual(foreignMembers(policy, '{"ChatMCP":"registry"}'), [])
  assert.deepEqual(foreignMembers(settings, '{"permissions":{}}'), ['permissions'])
  assert.deepEqual(foreignMembers(mcp, '{"mcpServers":{"callgate":{},"mine":{}}}'), ['mcpServers.mine'])
  assert.equal(foreignMembers(mcp, '// mine'), undefined)
})
