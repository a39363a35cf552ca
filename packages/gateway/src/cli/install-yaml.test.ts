import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { parse, stringify } from 'yaml'
import { verifies } from '../testing/verifies.ts'
import { Unusable } from './install-document.ts'
import { addItems, addMembers, listItems, maskYaml } from './install-yaml.ts'
import { readYamlDocument } from './install-yaml-document.ts'

const SERVER = { fs: { command: ['node', 'x y'], env: { A: 'b: c' } } }

test('servers are entered in every form that callgate.yaml may have, and the other lines stay', () => {
  verifies('cli.install')
  const rows = [
    '',
    'a: 1',
    'a: 1\nservers:\npolicy: { files: [p.yaml] }\n',
    'servers: {}\nb: 2\n',
    'servers: {} # none\n',
    'servers: { x: { url: "u" } } # c\n',
    'servers: {\n  x: { url: u },\n}\nb: 1\n',
    'servers:\n    x:\n        command: [a] # foo\n    # tail\n\nb: 3\n',
    'servers:\n  x:\n    command:\n      - a\n      - |\n        text\n        more\nb: 3',
    'servers:\n  x:\n    command:\n      - >-\n        text\n        more\n\n\nb: 3',
    'servers:\n  # only a comment\nb: 1\n',
    'servers:\n  x: { url: u }\n  y:\n',
    'servers:\r\n  x: { url: u }\r\nb: 1\r\n',
    '# head\n---\nservers:\n  "x": { url: u }\n',
  ]
  for (const text of rows) {
    const result = addMembers(text, 'servers', SERVER)
    const before: unknown = parse(text)
    const old = typeof before === 'object' && before !== null ? { ...before } : {}
    const servers: unknown = 'servers' in old ? old.servers : {}
    assert.deepEqual(parse(result), { ...old, servers: { ...(servers as object), ...SERVER } }, text)
    const lines = new Set(result.split(/\r?\n/))
    const lost = text.split(/\r?\n/).filter((line) => line !== '' && !lines.has(line))
    assert.ok(
      lost.every((line) => /^servers: |url: u \},$/.test(line)),
      `${text} lost ${lost.join()}`,
    )
    assert.equal(result.includes('\r\n'), text.includes('\r\n'))
  }
})

test('policy files are listed in every form that the list may have', () => {
  for (const text of [
    'policy: { files: [p.yaml] }\n',
    'policy:\n  files:\n  - p.yaml # first\n# end\n',
    'policy:\n  files:\n      - p.yaml\nb: 1\n',
    'policy:\n  files: [\n    p.yaml,\n  ]\n',
  ]) {
    const parsed: unknown = parse(addItems(text, ['policy', 'files'], ['n.yaml']))
    assert.deepEqual((parsed as { policy: unknown }).policy, { files: ['p.yaml', 'n.yaml'] }, text)
  }
  assert.throws(() => addItems('policy: x\n', ['policy', 'files'], ['n.yaml']), Unusable)
})

test('arbitrary settings around a list of servers survive line by line', (t) => {
  verifies('cli.install')
  const seed = Date.now() % 2 ** 31
  t.diagnostic(`seed ${seed}`)
  const name = fc.stringMatching(/^[a-z]{1,8}$/)
  const member = fc.tuple(name, fc.jsonValue({ maxDepth: 3 }))
  fc.assert(
    fc.property(
      fc.array(member, { maxLength: 3 }),
      fc.uniqueArray(fc.tuple(name, fc.boolean(), fc.jsonValue({ maxDepth: 2 })), {
        selector: ([id]) => id,
        maxLength: 5,
      }),
      fc.array(member, { maxLength: 3 }),
      (before, servers, after) => {
        const own = (members: readonly (readonly [string, unknown])[]) =>
          JSON.parse(JSON.stringify(Object.fromEntries(members))) as Record<string, unknown>
        const head = stringify({ head: own(before) }, { lineWidth: 0 })
        const tail = stringify({ tail: own(after) }, { lineWidth: 0 })
        const items = servers.map(([id, , value]) => ({
          name: id,
          value: JSON.parse(JSON.stringify(value)) as unknown,
        }))
        const text = `${head}# before\n${stringify({ mcpServers: items }, { lineWidth: 0 })}# behind\n${tail}`
        const remove = new Set(servers.filter(([, gone]) => gone).map(([id]) => id))
        const document = readYamlDocument(text, 'mcpServers')
        assert.deepEqual(
          document.places[0]?.entries.map(({ name: id }) => id),
          items.map(({ name: id }) => id),
        )
        const entry = { name: 'callgate', value: { command: 'node', args: ['a b', '-c'] } }
        const result = document.rewrite([{ path: ['mcpServers'], remove, write: [entry] }])
        const parsed = parse(result) as Record<string, unknown[]>
        assert.deepEqual(
          new Set(parsed['mcpServers']?.map((item) => JSON.stringify(item))),
          new Set(
            [...items.filter((item) => !remove.has(item.name)), { name: 'callgate', ...entry.value }].map(
              (item) => JSON.stringify(item),
            ),
          ),
        )
        assert.ok(result.startsWith(`${head}# before\nmcpServers:`))
        assert.ok(result.endsWith(`# behind\n${tail}`))
      },
    ),
    { seed, numRuns: 200 },
  )
})

test('a list in brackets or a broken file is refused by its place, and lines are read', () => {
  const offsetOf = (text: string) => {
    try {
      listItems(text, 'mcpServers')
      return 'read'
    } catch (error) {
      assert.ok(error instanceof Unusable, String(error))
      return error.offset
    }
  }
  assert.equal(offsetOf('mcpServers: [{ name: a }]\n'), 12)
  assert.equal(offsetOf('mcpServers: { a: 1 }\n'), 12)
  assert.equal(offsetOf('- a\n'), 0)
  assert.equal(offsetOf('a: "x\n'), 6)
  assert.equal(offsetOf('mcpServers:\n  - name: a\n'), 'read')
  assert.equal(offsetOf('mcpServers: []\n'), 'read')
})

test('a masked text has the same lines and none of the values', () => {
  const text =
    'a: SECRET # SECRET\nb:\n  - "SECRET"\n  - |\n    SECRET\n    SECRET\n  - {c: \'SECRET\', d: 12345}\ne: SECRET\n  SECRET\n# SECRET\nf: "sh#own"\n'
  const masked = maskYaml(text, (path, value) => (path[0] === 'f' ? value : undefined))
  assert.doesNotMatch(masked, /SECRET|12345/)
  assert.match(masked, /f: "sh#own"/)
  assert.equal(masked.split('\n').length, text.split('\n').length)
})
