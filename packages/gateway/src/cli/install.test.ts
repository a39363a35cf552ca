import assert from 'node:assert/strict'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { parse } from 'yaml'
import { loadConfig } from '../config/load.ts'
import { checkPolicyFiles } from './policy.ts'
import { verifies } from '../testing/verifies.ts'
import { hostIds, profileOf, type HostId } from './host-profiles.ts'
import { readGate } from './install-gate.ts'
import { filesOf, planInstall, type InstallPlan, type Machine } from './install-plan.ts'
import { gateChanges, hostDiff } from './install-show.ts'
import { planUndo, undo } from './install-undo.ts'
import { writePlan } from './install.ts'

const root = mkdtempSync(join(tmpdir(), 'callgate-install-'))
after(() => rmSync(root, { recursive: true, force: true }))
let folders = 0

/** A machine of its own, with a host that has nothing yet. */
function machineOf(): { machine: Machine; gate: string } {
  const home = join(root, `machine-${++folders}`)
  const machine: Machine = {
    platform: 'linux',
    home,
    appData: join(home, 'AppData'),
    cwd: join(home, 'work'),
    env: {},
  }
  mkdirSync(machine.cwd, { recursive: true })
  return { machine, gate: join(home, 'gate', 'callgate.yaml') }
}

function plan(machine: Machine, gate: string, hosts: readonly HostId[], observe = false): InstallPlan {
  return planInstall(machine, readGate(gate, machine.env), hosts, {
    observe,
    node: '/n/node',
    launcher: '/g/callgate.mjs',
  })
}

function userFile(host: HostId, machine: Machine): string {
  const [path = ''] = filesOf(profileOf(host), machine).user
  return path
}

function put(path: string, text: string): string {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
  return path
}

/** A file as people have it: comments where the host takes them, settings of its own, one server of each kind. */
function usual(host: HostId): string {
  const { format, entry, places } = profileOf(host)
  if (format === 'yaml')
    return `name: mine
version: 1.0.0
schema: v1
# my models
models:
  - name: big
    apiKey: SECRET-model
mcpServers:
  # files
  - name: My Files
    type: stdio
    command: npx
    args: [ "-y", "server-files" ] # all of them
    env: { TOKEN: SECRET-env }
  - name: docs
    type: streamable-http
    url: https://docs.example/mcp
  - name: private
    type: streamable-http
    url: https://private.example/mcp
    requestOptions: { headers: { Authorization: SECRET-header } }
rules:
  - be brief
`
  const http = entry.http[0] === undefined ? undefined : { type: entry.http[0] }
  return `{
\t// my settings
\t"theme": "dark", "secret": "SECRET-foreign",
\t"${places[0]?.[0]}": {
\t\t/* files */
\t\t"My Files": { "command": "npx", "args": ["-y", "server-files"], "env": { "TOKEN": "SECRET-env" } }, // all of them
\t\t"docs": ${JSON.stringify({ ...http, url: 'https://docs.example/mcp' })},
\t\t"private": ${JSON.stringify({ ...http, url: 'https://private.example/mcp', headers: { Authorization: 'SECRET-header' } })},
\t},
\t"last": [1, 2,],
}
`
}

for (const host of hostIds)
  test(`${host}: servers go behind the gate, the rest stays, and undo brings every byte back`, async () => {
    verifies('cli.install')
    verifies('cli.install-undo')
    verifies('hosts.profiles')
    const { machine, gate } = machineOf()
    const path = put(userFile(host, machine), usual(host))
    chmodSync(path, 0o640)
    const planned = plan(machine, gate, [host])
    const http = profileOf(host).entry.http.length > 0
    assert.deepEqual(
      planned.files[0]?.moved.map(({ name, id }) => [name, id]),
      http
        ? [
            ['My Files', 'my-files'],
            ['docs', 'docs'],
          ]
        : [['My Files', 'my-files']],
    )
    assert.deepEqual(
      planned.files[0]?.stays.map(({ name }) => name),
      http ? ['private'] : ['docs', 'private'],
    )

    const changes = planned.files.flatMap(({ change }) =>
      change === undefined ? [] : [hostDiff(profileOf(host), change)],
    )
    const shown = JSON.stringify([...changes, ...gateChanges(planned)])
    assert.doesNotMatch(shown, /SECRET/, 'no secret is shown')
    assert.match(shown, /server-files/, 'what is moved is shown')

    writePlan(planned, 0)
    const after = readFileSync(path, 'utf8')
    assert.match(after, /\/g\/callgate\.mjs/)
    assert.doesNotMatch(after, /server-files/)
    for (const kept of [
      'SECRET-header',
      'all of them',
      ...(profileOf(host).format === 'json'
        ? ['"last": [1, 2,],', 'SECRET-foreign', '/* files */']
        : ['# my models', 'SECRET-model', '- be brief']),
    ])
      if (kept !== 'all of them' || profileOf(host).format === 'json') assert.ok(after.includes(kept), kept)
    assert.equal(statSync(path).mode & 0o777, 0o640)

    const loaded = loadConfig(gate, { env: {} })
    assert.deepEqual(loaded.problems, undefined)
    const { servers = {}, policy, state } = loaded.config ?? {}
    assert.equal(state, join(dirname(gate), 'state'))
    assert.deepEqual(Object.keys(servers), http ? ['my-files', 'docs'] : ['my-files'])
    const files = servers['my-files']
    assert.ok(files?.transport === 'stdio')
    assert.deepEqual(
      [files.command, files.env, files.cwd],
      [['npx', '-y', 'server-files'], { TOKEN: 'SECRET-env' }, machine.home],
    )
    assert.equal(statSync(gate).mode & 0o077, 0, 'what was secret in the host is private here')
    assert.deepEqual((await checkPolicyFiles(policy?.files ?? [], undefined)).problems, [])

    const again = plan(machine, gate, [host])
    assert.deepEqual(
      [again.files[0]?.change, again.gate, again.policies],
      [undefined, undefined, []],
      'a second run has nothing to do',
    )

    const back = planUndo(host, path)
    assert.equal(back?.exact, true)
    if (back !== undefined) undo(back)
    assert.equal(readFileSync(path, 'utf8'), usual(host))
    assert.equal(statSync(path).mode & 0o777, 0o640)
    assert.deepEqual(
      readdirSync(dirname(path)).filter((name) => name.includes('backup')),
      [],
    )
    assert.equal(planUndo(host, path), undefined, 'there is nothing to undo twice')
  })

for (const host of hostIds)
  test(`${host}: a file that is not there is made, and undo takes it away`, () => {
    verifies('cli.install-undo')
    const { machine, gate } = machineOf()
    const path = userFile(host, machine)
    writePlan(plan(machine, gate, [host]), 0)
    assert.match(readFileSync(path, 'utf8'), /"?connect"?/)
    assert.equal(statSync(path).mode & 0o777, 0o600)
    const back = planUndo(host, path)
    if (back !== undefined) undo(back)
    assert.ok(!existsSync(path))
  })

for (const host of hostIds)
  test(`${host}: a broken file is told with its place, and nothing is written`, () => {
    const { machine, gate } = machineOf()
    const broken = profileOf(host).format === 'json' ? '{\n  "a": 1\n  "b": 2\n}' : 'a: 1\nb: "x\n'
    const path = put(userFile(host, machine), broken)
    assert.throws(
      () => plan(machine, gate, [host]),
      new RegExp(`${path.replaceAll('.', '\\.')}:\\d+:\\d+ .*\nfix: `),
    )
    assert.equal(readFileSync(path, 'utf8'), broken)
    assert.ok(!existsSync(dirname(gate)))
  })

test('servers of one folder alone, and those of the project, go behind the gate and run in their folder', () => {
  const { machine, gate } = machineOf()
  const server = (name: string) => ({ [name]: { type: 'stdio', command: `./${name}` } })
  const user = put(
    userFile('claude-code', machine),
    JSON.stringify(
      {
        mcpServers: server('mine'),
        projects: { '/p/one': { mcpServers: server('one'), history: [1] }, '/p/two': {} },
      },
      null,
      2,
    ),
  )
  const project = put(
    join(machine.cwd, '.mcp.json'),
    JSON.stringify({ mcpServers: server('shared') }, null, 2),
  )
  const before = [readFileSync(user, 'utf8'), readFileSync(project, 'utf8')]
  writePlan(plan(machine, gate, ['claude-code']), 0)
  const { servers = {} } = loadConfig(gate, { env: {} }).config ?? {}
  assert.deepEqual(
    Object.entries(servers).map(([id, known]) => [id, known.transport === 'stdio' ? known.cwd : '']),
    [
      ['mine', machine.home],
      ['one', '/p/one'],
      ['shared', machine.cwd],
    ],
  )
  const written = JSON.parse(readFileSync(user, 'utf8')) as { mcpServers: object; projects: object }
  assert.deepEqual(Object.keys(written.mcpServers), ['callgate'])
  assert.deepEqual(written.projects, { '/p/one': { mcpServers: {}, history: [1] }, '/p/two': {} })
  assert.deepEqual(
    JSON.parse(readFileSync(project, 'utf8')),
    { mcpServers: {} },
    'no path of this machine in a shared file',
  )
  for (const path of [user, project]) {
    const back = planUndo('claude-code', path)
    if (back !== undefined) undo(back)
  }
  assert.deepEqual([readFileSync(user, 'utf8'), readFileSync(project, 'utf8')], before)
})

test('a file that its host wrote to since keeps what was written, and gets its servers back', () => {
  verifies('cli.install-undo')
  const { machine, gate } = machineOf()
  const path = put(
    userFile('claude-code', machine),
    JSON.stringify(
      { starts: 1, mcpServers: { a: { command: 'a' }, b: { command: 'b' } }, projects: {} },
      null,
      2,
    ),
  )
  writePlan(plan(machine, gate, ['claude-code']), 0)
  const host = JSON.parse(readFileSync(path, 'utf8')) as {
    starts: number
    mcpServers: Record<string, unknown>
  }
  put(
    path,
    JSON.stringify({ ...host, starts: 2, mcpServers: { ...host.mcpServers, c: { command: 'c' } } }, null, 2),
  )
  const back = planUndo('claude-code', path)
  assert.equal(back?.exact, false)
  if (back !== undefined) undo(back)
  assert.deepEqual(JSON.parse(readFileSync(path, 'utf8')), {
    starts: 2,
    mcpServers: { a: { command: 'a' }, b: { command: 'b' }, c: { command: 'c' } },
    projects: {},
  })
})

test('a file that is gone or broken since is not undone, and its backup is named', () => {
  verifies('cli.install-undo')
  for (const spoil of [(path: string) => rmSync(path), (path: string) => writeFileSync(path, '{ half')]) {
    const { machine, gate } = machineOf()
    const path = put(userFile('cursor', machine), usual('cursor'))
    writePlan(plan(machine, gate, ['cursor']), 0)
    spoil(path)
    assert.throws(() => planUndo('cursor', path), /mcp\.json(: is gone|:1:\d+ )/)
    assert.equal(
      readdirSync(dirname(path)).filter((name) => name.includes('backup')).length,
      1,
      'the backup stays',
    )
  }
})

test('a file that changes between the question and the answer is left alone, without a backup', () => {
  const { machine, gate } = machineOf()
  const path = put(userFile('cursor', machine), usual('cursor'))
  const planned = plan(machine, gate, ['cursor'])
  writeFileSync(path, '{}')
  assert.throws(() => writePlan(planned, 0), /changed by someone else meanwhile/)
  assert.equal(readFileSync(path, 'utf8'), '{}')
  assert.deepEqual(readdirSync(dirname(path)), ['mcp.json'])
})

test('a link stays a link, and a link to nowhere is refused', () => {
  const { machine, gate } = machineOf()
  const real = put(join(machine.home, 'dotfiles', 'cursor.json'), usual('cursor'))
  const path = userFile('cursor', machine)
  mkdirSync(dirname(path), { recursive: true })
  symlinkSync(real, path)
  writePlan(plan(machine, gate, ['cursor']), 0)
  assert.ok(lstatSync(path).isSymbolicLink())
  assert.match(readFileSync(real, 'utf8'), /connect/)
  const back = planUndo('cursor', path)
  if (back !== undefined) undo(back)
  assert.ok(lstatSync(path).isSymbolicLink())
  assert.equal(readFileSync(real, 'utf8'), usual('cursor'))
  rmSync(real)
  assert.throws(() => plan(machine, gate, ['cursor']), /a link to nowhere/)
})

test('a byte order mark and line ends of Windows stay', () => {
  const { machine, gate } = machineOf()
  const text = `\uFEFF${usual('vscode').replaceAll('\n', '\r\n')}`
  const path = put(userFile('vscode', machine), text)
  writePlan(plan(machine, gate, ['vscode']), 0)
  const after = readFileSync(path, 'utf8')
  assert.ok(after.startsWith('\uFEFF{\r\n'))
  assert.doesNotMatch(after, /[^\r]\n/)
  assert.match(after, /connect/)
  writeFileSync(path, Buffer.from([0xff, 0x7b, 0x7d]))
  assert.throws(() => plan(machine, gate, ['vscode']), /not UTF-8/)
})

test('hosts with the same server share it, and a name that is taken gets a number', () => {
  verifies('cli.install-policy')
  const { machine, gate } = machineOf()
  const same = { command: 'npx', args: ['same'] }
  put(userFile('cursor', machine), JSON.stringify({ mcpServers: { one: same, two: { command: 'x' } } }))
  put(userFile('cline', machine), JSON.stringify({ mcpServers: { other: same, two: { command: 'y' } } }))
  writePlan(plan(machine, gate, ['cursor', 'cline']), 0)
  assert.deepEqual(Object.keys(loadConfig(gate, { env: {} }).config?.servers ?? {}), ['one', 'two', 'two-2'])
  const rules = (host: string): unknown =>
    parse(readFileSync(join(dirname(gate), 'policies', `${host}.yaml`), 'utf8'))
  const rule = (host: string, server: string[], title: string) => [
    {
      rule: `${host}-reads`,
      when: { server, actor: host, class: 'read' },
      decision: 'allow',
      why: `${title} may read; allow more by rules of your own`,
    },
  ]
  assert.deepEqual(rules('cursor'), rule('cursor', ['one', 'two'], 'Cursor'))
  assert.deepEqual(rules('cline'), rule('cline', ['one', 'two-2'], 'Cline'))
})

test('a callgate.yaml that is there keeps its lines and its rules; observing widens only what is new', async () => {
  verifies('cli.install-policy')
  const { machine, gate } = machineOf()
  const text = `# ours
identity:
  issuers: [{ issuer: "urn:callgate:dev-issuer", dev: true }]
  replay: session
servers:
  fs: # files
    command: [npx, files]
    cwd: ${machine.home}
policy: { files: [policy.yaml] } # all of it
`
  put(gate, text)
  put(join(dirname(gate), 'policy.yaml'), '- rule: none\n  when: { tool: "*" }\n  decision: deny\n')
  put(
    userFile('cursor', machine),
    JSON.stringify({ mcpServers: { files: { command: 'npx', args: ['files'] }, web: { command: 'web' } } }),
  )
  const planned = plan(machine, gate, ['cursor'], true)
  writePlan(planned, 0)
  assert.deepEqual(planned.fresh, ['web'])
  const written = readFileSync(gate, 'utf8').split('\n')
  for (const line of text.split('\n'))
    if (!line.startsWith('policy:')) assert.ok(written.includes(line), line)
  assert.ok(written.includes('policy: { files: [policy.yaml, "policies/cursor.yaml"] } # all of it'))
  assert.equal(readFileSync(join(dirname(gate), 'policy.yaml'), 'utf8').includes('none'), true)
  const rules = parse(readFileSync(join(dirname(gate), 'policies', 'cursor.yaml'), 'utf8')) as Record<
    string,
    unknown
  >[]
  assert.deepEqual(
    rules.map(({ rule, when, decision, mode }) => ({ rule, when, decision, mode })),
    [
      {
        rule: 'cursor-reads',
        when: { server: ['fs'], actor: 'cursor', class: 'read' },
        decision: 'allow',
        mode: undefined,
      },
      {
        rule: 'cursor-observed',
        when: { server: ['web'], actor: 'cursor' },
        decision: 'allow',
        mode: undefined,
      },
      {
        rule: 'cursor-would-deny',
        when: {
          server: ['web'],
          actor: 'cursor',
          class: ['write', 'destructive', 'egress', 'memory', 'poll'],
        },
        decision: 'deny',
        mode: 'observe',
      },
    ],
  )
  const { config } = loadConfig(gate, { env: {} })
  assert.equal(config?.servers['fs']?.approve, 'manual')
  assert.equal(config?.servers['web']?.approve, 'first-use')
  assert.deepEqual((await checkPolicyFiles(config?.policy.files ?? [], undefined)).problems, [])
})

test('a second install of a host writes a second policy file beside the first', async () => {
  verifies('cli.install-policy')
  const { machine, gate } = machineOf()
  const path = put(userFile('cursor', machine), JSON.stringify({ mcpServers: { a: { command: 'a' } } }))
  writePlan(plan(machine, gate, ['cursor']), 0)
  const first = readFileSync(join(dirname(gate), 'policies', 'cursor.yaml'), 'utf8')
  const now = JSON.parse(readFileSync(path, 'utf8')) as { mcpServers: object }
  writeFileSync(path, JSON.stringify({ mcpServers: { ...now.mcpServers, b: { command: 'b' } } }))
  writePlan(plan(machine, gate, ['cursor']), 1)
  assert.equal(readFileSync(join(dirname(gate), 'policies', 'cursor.yaml'), 'utf8'), first)
  const { config } = loadConfig(gate, { env: {} })
  assert.deepEqual(Object.keys(config?.servers ?? {}), ['a', 'b'])
  assert.deepEqual(
    config?.policy.files.map((file) => file.slice(dirname(gate).length)),
    ['/policies/cursor.yaml', '/policies/cursor-2.yaml'],
  )
  assert.deepEqual((await checkPolicyFiles(config?.policy.files ?? [], undefined)).problems, [])
})

test('a gate that `connect` cannot reach is refused, with what to change', () => {
  const { machine, gate } = machineOf()
  const yaml = (identity: string) => `identity: ${identity}\npolicy: { files: [policy.yaml] }\n`
  put(
    gate,
    yaml('{ issuers: [{ issuer: "https://id.example", jwks: "https://id.example/k" }], replay: session }'),
  )
  assert.throws(() => plan(machine, gate, ['cursor']), /no development issuer.*\nfix: /)
  put(gate, yaml('{ issuers: [{ issuer: "urn:callgate:dev-issuer", dev: true }] }'))
  assert.throws(() => plan(machine, gate, ['cursor']), /`identity.replay` is `proof`.*\nfix: /)
  put(gate, yaml('{ issuers: [{ issuer: "urn:callgate:dev-issuer", dev: true }], replay: session }'))
  assert.equal(plan(machine, gate, ['cursor']).files.length, 1)
  put(gate, 'identity: 1\n')
  assert.throws(() => plan(machine, gate, ['cursor']), /callgate\.yaml:1:/)
})

test('a server named `callgate` is moved like any other, and refused when it cannot be', () => {
  const { machine, gate } = machineOf()
  const path = put(
    userFile('cursor', machine),
    JSON.stringify({ mcpServers: { callgate: { command: 'x' } } }),
  )
  assert.deepEqual(plan(machine, gate, ['cursor']).fresh, ['callgate'])
  put(path, JSON.stringify({ mcpServers: { callgate: { url: 'https://a.example/', headers: { a: 'b' } } } }))
  assert.throws(() => plan(machine, gate, ['cursor']), /that is not the gate and cannot be moved/)
})

test('an entry of the gate that leads elsewhere is mended, and what a person added to a right one stays', () => {
  const { machine, gate } = machineOf()
  const path = put(userFile('cursor', machine), '{}')
  writePlan(plan(machine, gate, ['cursor']), 0)
  const text = readFileSync(path, 'utf8')
  put(path, text.replace('"command"', '"note": "mine",\n      "command"'))
  assert.equal(plan(machine, gate, ['cursor']).files[0]?.change, undefined)
  put(path, text.replace('/g/callgate.mjs', '/old/callgate.mjs'))
  assert.match(plan(machine, gate, ['cursor']).files[0]?.change?.text ?? '', /"\/g\/callgate\.mjs"/)
})

test('every system has its own places', () => {
  const machine = {
    ...machineOf().machine,
    home: 'C:\\Users\\you',
    appData: 'C:\\Users\\you\\AppData\\Roaming',
    cwd: 'D:\\work',
  }
  const on = (platform: Machine['platform'], host: HostId) =>
    filesOf(profileOf(host), { ...machine, platform })
  assert.deepEqual(on('win32', 'claude-desktop').user, [
    'C:\\Users\\you\\AppData\\Roaming\\Claude\\claude_desktop_config.json',
  ])
  assert.deepEqual(on('win32', 'vscode').project, ['D:\\work\\.vscode\\mcp.json'])
  const mac = filesOf(profileOf('vscode'), { ...machine, platform: 'darwin', home: '/Users/you' })
  assert.deepEqual(mac.user, ['/Users/you/Library/Application Support/Code/User/mcp.json'])
  const elsewhere = {
    ...machine,
    platform: 'linux' as const,
    home: '/home/you',
    env: { CLAUDE_CONFIG_DIR: '/other' },
  }
  assert.deepEqual(filesOf(profileOf('claude-code'), elsewhere).user, ['/other/.claude.json'])
  assert.deepEqual(filesOf(profileOf('cursor'), elsewhere).user, ['/home/you/.cursor/mcp.json'])
})
