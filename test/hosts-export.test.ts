import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { BIN } from './harness/gate.ts'

const folder = mkdtempSync(join(tmpdir(), 'callgate-hosts-export-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const CONFIG = join(folder, 'callgate.yaml')
const OUT = join(folder, 'managed')
const NAMES = [
  'claude-code/managed-mcp.json',
  'claude-code/managed-settings.json',
  'cursor/mcp-allowlist.txt',
  'cursor/mcp.json',
  'vscode/mcp.json',
  'vscode/policy.json',
]

/** A gate elsewhere, with one server by command and one by address. */
function configure(crm: string): void {
  writeFileSync(
    CONFIG,
    `listener: { publicUrl: "https://gate.example" }
identity: { issuers: [], enrolment: true }
servers:
  fs: { command: [npx, -y, "@modelcontextprotocol/server-filesystem", /srv/files] }
  crm: { url: "${crm}" }
policy: { files: [pack:read-only] }
`,
  )
}
configure('https://crm.example/mcp')

function hostsExport(...args: string[]): { code: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [BIN, 'hosts', 'export', '--config', CONFIG, ...args],
    { cwd: folder, encoding: 'utf8', env: { ...process.env, CALLGATE_STATE: join(folder, 'state') } },
  )
  return { code: status, stdout, stderr }
}

const PROGRAM = ['--program', '/opt/callgate/bin/callgate']
const written = (name: string): string => readFileSync(join(OUT, name), 'utf8')

test('the files are printed or written, the same each time, for all to read, and nothing beside them', () => {
  verifies('cli.hosts-export')
  const printed = hostsExport(...PROGRAM)
  assert.equal(printed.code, 0, printed.stderr)
  assert.deepEqual(readdirSync(folder), ['callgate.yaml'], 'printing writes nothing')
  const first = hostsExport(...PROGRAM, '--out', OUT)
  assert.equal(first.code, 0, first.stderr)
  assert.deepEqual(
    readdirSync(OUT, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(OUT.length + 1))
      .sort(),
    NAMES,
  )
  const texts = NAMES.map(written)
  for (const [index, name] of NAMES.entries()) {
    assert.ok(printed.stdout.includes(`--- ${name}\n${texts[index]}`), name)
    assert.equal(statSync(join(OUT, name)).mode & 0o777, 0o644, name)
  }
  assert.equal(hostsExport(...PROGRAM, '--out', OUT).code, 0)
  assert.deepEqual(NAMES.map(written), texts)

  const json = JSON.parse(hostsExport(...PROGRAM, '--json', '--host', 'vscode').stdout) as {
    files: { host: string; path: string; text: string }[]
    notes: string[]
  }
  assert.deepEqual(
    json.files.map(({ path, text }) => [path, text]),
    ['mcp.json', 'policy.json'].map((name) => [name, written(`vscode/${name}`)]),
  )
  assert.deepEqual(json.notes, [])
})

test('--check exits 1 with what differs after a change of the configuration, of a file or of the options, else 0', () => {
  verifies('cli.hosts-check')
  assert.equal(hostsExport(...PROGRAM, '--out', OUT).code, 0)
  const check = (...args: string[]) => hostsExport(...PROGRAM, '--out', OUT, '--check', ...args)
  const same = check()
  assert.deepEqual([same.code, same.stdout], [0, '6 files match the configuration\n'])

  configure('https://crm2.example/mcp')
  const changed = check('--json')
  assert.equal(changed.code, 1)
  const lacking = (list: string) => [
    `\`${list}\` lacks {"serverUrl":"https://crm2.example/*"}`,
    `\`${list}\` has {"serverUrl":"https://crm.example/*"}, which the configuration does not give`,
  ]
  assert.deepEqual(JSON.parse(changed.stdout), {
    ok: false,
    differences: [
      ...lacking('deniedMcpServers').map((difference) => ({
        file: join(OUT, 'claude-code/managed-settings.json'),
        difference,
      })),
      ...lacking('ChatDeniedMcpServers').map((difference) => ({
        file: join(OUT, 'vscode/policy.json'),
        difference,
      })),
    ],
  })
  assert.match(written('vscode/policy.json'), /crm\.example/, 'a check writes nothing')
  configure('https://crm.example/mcp')
  assert.equal(check().code, 0)

  const other = check('--registry', 'https://registry.example')
  assert.equal(other.code, 1)
  assert.match(other.stdout, /policy\.json: `ChatMCP` is not `registry`\n.*\nfix: export again/)

  rmSync(join(OUT, 'cursor/mcp.json'))
  const gone = check()
  assert.equal(gone.code, 1)
  assert.match(gone.stdout, /cursor\/mcp\.json: is not there\n/)
  assert.equal(hostsExport(...PROGRAM, '--out', OUT).code, 0)
  assert.equal(check().code, 0)
})

test('the folder of one host can be checked where the host reads it, beside settings of the administrator', () => {
  verifies('cli.hosts-check')
  const etc = join(folder, 'etc')
  const claude = (...args: string[]) =>
    hostsExport(...PROGRAM, '--host', 'claude-code', '--out', etc, ...args)
  assert.equal(claude().code, 0)
  const path = join(etc, 'managed-settings.json')
  const settings = JSON.parse(readFileSync(path, 'utf8')) as object
  const merged = JSON.stringify({ permissions: { deny: ['WebFetch'] }, ...settings })
  writeFileSync(path, merged)
  assert.equal(claude('--check').code, 0)
  const again = claude()
  assert.equal(again.code, 1)
  assert.equal(
    again.stderr,
    `callgate: ${path}: holds \`permissions\`, which this command did not write; nothing was written\nfix: export into another folder, and bring the two together by hand\n`,
  )
  assert.equal(readFileSync(path, 'utf8'), merged)
})

test('a wrong command line exits 2 and a gate that cannot be reached so 1, with what to do, and nothing is written', () => {
  verifies('cli.hosts-export')
  const out = join(folder, 'none')
  const refused: [string[], number, RegExp][] = [
    [['--host', 'emacs'], 2, /--host is `emacs` \(expected claude-code, vscode, cursor;/],
    [['--via', 'smoke'], 2, /--via is `smoke` \(expected connect or http\)/],
    [['--program', 'callgate'], 2, /--program is `callgate` \(expected an absolute path\).*\nfix: /],
    [['--via', 'http', '--registry', 'nowhere'], 2, /--registry is `nowhere`/],
    [
      [],
      1,
      /callgate\.yaml: the gate is elsewhere, and nobody said where.*\nfix: .*--program, or .*`--via http`/,
    ],
  ]
  for (const [args, code, message] of refused) {
    const ended = hostsExport('--out', out, ...args)
    assert.equal(ended.code, code, args.join(' '))
    assert.match(ended.stderr, message)
  }
  const check = hostsExport('--check')
  assert.equal(check.code, 2)
  assert.match(check.stderr, /--check compares the files of a folder\nfix: name the folder with --out/)
  assert.ok(!existsSync(out))

  mkdirSync(join(folder, 'taken', 'cursor'), { recursive: true })
  writeFileSync(join(folder, 'taken', 'cursor', 'mcp.json'), '{"mcpServers":{"mine":{}}}')
  const taken = hostsExport(...PROGRAM, '--out', join(folder, 'taken'))
  assert.equal(taken.code, 1)
  assert.match(taken.stderr, /holds `mcpServers\.mine`/)
  assert.deepEqual(readdirSync(join(folder, 'taken')), ['cursor'], 'no file before it was written either')
})
