import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { formatProblem } from '../config/problem.ts'
import { MAX_THREAT_BYTES, readThreat, readThreats } from './read.ts'

const GOOD = `id: planted
title: Planted
story: Somebody does it. It costs something.
phase: delivery
chain: [catalog.pins, policy.default-deny]
controls: [evidence.log]
detections:
  - code: CG_CATALOG_DRIFTED
    says: a changed tool is called
response:
  - command: callgate servers list
    does: read it
tests: [play8.pins]
standards:
  owasp-api: [API10]
  owasp-mcp: [MCP03]
  owasp-agentic: [ASI04]
  mitre-atlas: [AML.T0109]
  nsa-mcp: [NSA-5]
  safe-t: []
owner: security
accepted: { risk: what is left, by: somebody, until: 2027-01-31 }
`

/** What is said of the good file with one thing changed. */
function told(from: string, to: string, file = 'planted.yaml'): string[] {
  assert.ok(GOOD.includes(from), `not in the good file: ${from}`)
  return problems(GOOD.replace(from, to), file)
}

function problems(text: string, file = 'planted.yaml'): string[] {
  return (readThreat(Buffer.from(text), file).problems ?? []).map(formatProblem)
}

test('a threat is read as it is written, and what may be left out is', () => {
  const { threats: [threat] = [], problems: none } = readThreat(Buffer.from(GOOD), 'planted.yaml')
  assert.equal(none, undefined)
  assert.equal(threat?.id, 'planted')
  assert.deepEqual(threat.chain, ['catalog.pins', 'policy.default-deny'])
  assert.deepEqual(threat.accepted, { risk: 'what is left', by: 'somebody', until: '2027-01-31' })
  assert.deepEqual(told('controls: [evidence.log]\n', ''), [])
  assert.deepEqual(told('accepted: { risk: what is left, by: somebody, until: 2027-01-31 }\n', ''), [])
  assert.deepEqual(told('code: CG_CATALOG_DRIFTED', 'planned: play5.sigma'), [])
  assert.deepEqual(told('command: callgate servers list', 'key: egress.deny'), [])
  assert.deepEqual(told('phase: delivery', 'phase: delivery\nrisk: ssrf'), [])
  const folded = GOOD.replace(
    'Somebody does it. It costs something.',
    '|\n  Somebody does it.\n    It costs\tsomething.\n',
  )
  assert.equal(
    readThreat(Buffer.from(folded), 'planted.yaml').threats?.[0]?.story,
    'Somebody does it. It costs something.',
  )
})

const CASES: readonly (readonly [fault: string, from: string, to: string, message: string])[] = [
  [
    'an unknown key',
    'owner: security',
    'owner: security\nacepted: {}',
    'planted.yaml:22:1 `acepted` is not a known key; did you mean `accepted`',
  ],
  [
    'no owner',
    'owner: security\n',
    '',
    'planted.yaml:1:1 `owner` is missing (expected a text of 1 to 600 characters)',
  ],
  [
    'an unknown phase',
    'phase: delivery',
    'phase: delivry',
    'planted.yaml:4:8 `phase` is `delivry` (expected `recon`, `delivery`, `execution`, `persistence`, `escalation`, `collection`, `exfiltration` or `impact`); did you mean `delivery`',
  ],
  [
    'an unknown control',
    'chain: [catalog.pins,',
    'chain: [catalog.pin,',
    'planted.yaml:5:9 `catalog.pin` is no control that is known; did you mean `catalog.pins`',
  ],
  [
    'a control of no form',
    'chain: [catalog.pins,',
    'chain: [Pins,',
    'planted.yaml:5:9 `chain[0]` is `Pins` (expected the id of a control, such as `catalog.pins`)',
  ],
  [
    'a control that stands twice',
    'controls: [evidence.log]',
    'controls: [catalog.pins]',
    'planted.yaml:6:12 `catalog.pins` stands twice in `chain` and `controls`; name it once',
  ],
  [
    'no control',
    'chain: [catalog.pins, policy.default-deny]',
    'chain: []',
    'planted.yaml:5:8 `chain` is an empty list (expected a list of 1 to 8 entries)',
  ],
  [
    'no detection',
    'detections:\n  - code: CG_CATALOG_DRIFTED\n    says: a changed tool is called',
    'detections: []',
    'planted.yaml:7:13 `detections` is an empty list (expected a list of 1 to 12 entries)',
  ],
  [
    'no response',
    'response:\n  - command: callgate servers list\n    does: read it',
    'response: []',
    'planted.yaml:10:11 `response` is an empty list (expected a list of 1 to 12 entries)',
  ],
  [
    'no test',
    'tests: [play8.pins]',
    'tests: []',
    'planted.yaml:13:8 `tests` is an empty list (expected a list of 1 to 16 entries)',
  ],
  [
    'an unknown code',
    'CG_CATALOG_DRIFTED',
    'CG_CATALOG_DRIFT',
    'planted.yaml:8:11 `CG_CATALOG_DRIFT` is no reason code that is known; did you mean `CG_CATALOG_DRIFTED`',
  ],
  [
    'a detection of two kinds',
    'code: CG_CATALOG_DRIFTED',
    'code: CG_CATALOG_DRIFTED\n    event: catalog.waiting',
    'planted.yaml:8:5 `detections[0]` has 2 of `code`, `event`, `planned` (expected one)',
  ],
  [
    'a step of no kind',
    'command: callgate servers list\n    ',
    '',
    'planted.yaml:11:5 `response[0]` has 0 of `command`, `key`, `planned` (expected one)',
  ],
  [
    'an unknown id of a standard',
    '[MCP03]',
    '[MCP11]',
    'planted.yaml:16:15 `MCP11` is no id of OWASP MCP Top 10, beta that is known; did you mean `MCP01`',
  ],
  [
    'an id of another standard',
    'owasp-api: [API10]',
    'owasp-api: [ASI04]',
    'planted.yaml:15:15 `ASI04` is no id of OWASP API Security Top 10, 2023 that is known; known are `API1`, `API2`, `API3`, `API4`, `API5`, `API6`, `API7`, `API8`, `API9`, `API10`',
  ],
  [
    'a missing standard',
    '  safe-t: []\n',
    '',
    'planted.yaml:14:1 `standards.safe-t` is missing (expected a list of 0 to 12 entries)',
  ],
  [
    'a day that is none',
    '2027-01-31',
    '2027-13-31',
    'planted.yaml:22:54 `accepted.until` is `2027-13-31` (expected a day such as `2027-01-31`)',
  ],
  [
    'a key that stands twice',
    'phase: delivery',
    'phase: delivery\nphase: impact',
    'planted.yaml:5:1 the key stands twice in this map; remove one',
  ],
]

for (const [fault, from, to, message] of CASES) {
  test(`${fault} is told with its place`, () => assert.deepEqual(told(from, to), [message]))
}

test('a file is named after its threat', () => {
  assert.deepEqual(told('id: planted', 'id: planted', 'other.yaml'), [
    'other.yaml:1:5 `id` is `planted` (expected the name of the file, `other.yaml`)',
  ])
})

test('every fault of a file is told at once', () => {
  assert.equal(problems(GOOD.replace('catalog.pins', 'catalog.pinz').replace('MCP03', 'MCP99')).length, 2)
})

test('a file that is too long, no text, empty or too deep is told as a whole', () => {
  const long = readThreat(Buffer.alloc(MAX_THREAT_BYTES + 1, 32), 'planted.yaml').problems ?? []
  assert.deepEqual(long.map(formatProblem), [
    `planted.yaml has ${MAX_THREAT_BYTES + 1} bytes (expected at most ${MAX_THREAT_BYTES})`,
  ])
  assert.deepEqual(problems(GOOD + ' '.repeat(MAX_THREAT_BYTES - GOOD.length)), [])
  const binary = readThreat(Uint8Array.of(0xff, 0xfe), 'planted.yaml').problems ?? []
  assert.deepEqual(binary.map(formatProblem), ['planted.yaml is not valid UTF-8; save it as UTF-8'])
  assert.match(problems('').join('\n'), /`id` is missing/)
  assert.match(
    problems('['.repeat(30_000)).join('\n'),
    /nested too deeply; a threat needs no more than 6 levels/,
  )
})

test('a folder is read whole, by phase and then by id; one that is missing, empty or faulty is told', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'callgate-threats-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const of = (id: string, phase: string): void =>
    writeFileSync(join(folder, `${id}.yaml`), GOOD.replace('planted', id).replace('delivery', phase))
  assert.match(readThreats(folder).problems?.map(formatProblem).join('\n') ?? '', /holds no threat/)
  assert.match(
    readThreats(join(folder, 'none')).problems?.map(formatProblem).join('\n') ?? '',
    /cannot be read \(ENOENT\)/,
  )
  of('b', 'impact')
  of('c', 'delivery')
  of('a', 'impact')
  writeFileSync(join(folder, 'notes.txt'), 'not a threat')
  assert.deepEqual(
    readThreats(folder).threats?.map(({ id }) => id),
    ['c', 'a', 'b'],
  )
  of('d', 'sideways')
  assert.match(
    readThreats(folder).problems?.map(formatProblem).join('\n') ?? '',
    /^d.yaml:4:8 `phase` is `sideways`/,
  )
  rmSync(join(folder, 'd.yaml'))
  mkdirSync(join(folder, 'e.yaml'))
  assert.match(
    readThreats(folder).problems?.map(formatProblem).join('\n') ?? '',
    /^e.yaml cannot be read \(EISDIR\)/,
  )
})

test('whatever a file holds, it is a threat or has problems that name it, in one line each', () => {
  const judge = (text: string): void => {
    const read = readThreat(Buffer.from(text), 'planted.yaml')
    if (read.problems === undefined) return assert.equal(read.threats.length, 1)
    assert.ok(read.problems.length > 0)
    for (const problem of read.problems.map(formatProblem)) {
      assert.ok(problem.startsWith('planted.yaml'))
      assert.doesNotMatch(problem, /[\p{Cc}]/u)
    }
  }
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 300 }), judge), { numRuns: 300 })
  // One cut, and something put in its place: near to what people get wrong.
  const place = fc.nat(GOOD.length)
  const edit = fc.tuple(
    place,
    fc.nat(40),
    fc.oneof(
      fc.string({ maxLength: 12 }),
      fc.constantFrom(': ', '- ', '[', '{', '&a ', '*a', '!!x ', '<<: ', '\n', 'null', '1e9', '__proto__: 1'),
    ),
  )
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 3 }), (edits) =>
      judge(edits.reduce((text, [at, cut, put]) => text.slice(0, at) + put + text.slice(at + cut), GOOD)),
    ),
    { numRuns: 1_000 },
  )
})
