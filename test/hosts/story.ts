import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { OutcomeRecord } from '@callgate/evidence'
import { type FixtureServer, startFixture } from '../harness/fixture-http.ts'
import { TestGate, serverProgram } from '../harness/gate.ts'
import type { Handed } from './host.ts'

/** A gate before a real stdio server and an HTTP server, both with tools that no rule allows. */
export interface Both {
  readonly gate: TestGate
  readonly fixture: FixtureServer
  /** What the stdio server may read. */
  readonly papers: string
}

/** One call of the story: what the tool says, or the rule that denies it. */
export interface Step {
  readonly tool: string
  readonly input: Readonly<Record<string, string>>
  readonly says?: string
  readonly deniedBy?: string
}

/** Both servers answer, both are denied, and both answer again. */
export const story = ({ papers }: Both): Step[] => [
  { tool: 'fs__read_text_file', input: { path: join(papers, 'hello.txt') }, says: 'hello from the disk' },
  { tool: 'fix__look', input: { mark: 'early' }, says: 'done early' },
  { tool: 'fs__read_text_file', input: { path: join(papers, '.secret') }, deniedBy: 'no-dotfiles' },
  { tool: 'fix__look', input: { mark: 'forbidden' }, deniedBy: 'nothing-forbidden' },
  { tool: 'fs__read_text_file', input: { path: join(papers, 'hello.txt') }, says: 'hello from the disk' },
  { tool: 'fix__look', input: { mark: 'late' }, says: 'done late' },
]

/** Starts it; all of it ends with the test. */
export async function gateOfBoth(t: TestContext): Promise<Both> {
  const papers = mkdtempSync(join(tmpdir(), 'callgate-papers-'))
  t.after(() => rmSync(papers, { recursive: true, force: true }))
  writeFileSync(join(papers, 'hello.txt'), 'hello from the disk')
  writeFileSync(join(papers, '.secret'), 'nobody reads this')
  const fixture = await startFixture()
  t.after(() => fixture.close())
  const gate = await TestGate.start(
    {
      servers: [
        `fs:`,
        `  command: [node, ${serverProgram('filesystem')}, ${papers}]`,
        `  approve: first-use`,
        fixture.yaml,
      ].join('\n'),
      policy: [
        `- rule: allow-reading`,
        `  when: { tool: [fs.read_text_file, fix.look] }`,
        `  decision: allow`,
        `- rule: no-dotfiles`,
        `  when: { tool: fs.read_text_file, cond: "args.path.contains('/.')" }`,
        `  decision: deny`,
        `- rule: nothing-forbidden`,
        `  when: { tool: fix.look, cond: "args.mark == 'forbidden'" }`,
        `  decision: deny`,
        '',
      ].join('\n'),
    },
    t,
  )
  return { gate, fixture, papers }
}

/** Every step was recorded as the story says, in one session, and what was denied never reached its server. */
export async function assertRecorded(
  steps: readonly Step[],
  era: string,
  { gate, fixture }: Both,
): Promise<OutcomeRecord[]> {
  const records = (await gate.records()).flatMap(({ record }) =>
    record.kind === 'outcome' && record.call.method === 'tools/call' ? [record] : [],
  )
  assert.deepEqual(
    records.map(({ call, outcome, decision }) => [
      `${call.server}__${call.tool}`,
      call.era,
      outcome,
      decision?.rules.join(),
    ]),
    steps.map(({ tool, deniedBy }) => [
      tool,
      era,
      deniedBy === undefined ? 'answered' : 'refused',
      deniedBy ?? 'allow-reading',
    ]),
  )
  assert.equal(new Set(records.map(({ session }) => session)).size, 1, 'one session')
  assert.deepEqual(
    (await fixture.seen()).map(({ mark }) => mark),
    steps.flatMap(({ input, deniedBy }) =>
      input['mark'] === undefined || deniedBy !== undefined ? [] : [input['mark']],
    ),
  )
  const { ok, problems } = await gate.verify()
  assert.deepEqual({ ok, problems }, { ok: true, problems: [] })
  return records
}

/** A step's answer as its reader got it. `isError` is undefined where the reader is not told. */
export function assertAnswered(
  { says, tool }: Step,
  { text, isError }: Handed,
  record: OutcomeRecord | undefined,
): void {
  if (says !== undefined) {
    assert.ok(text.includes(says), `${tool} gave: ${text}`)
    assert.notEqual(isError, true)
  } else {
    assert.match(text, /^CG_POLICY_DENIED: policy denies this call; do not retry it/)
    assert.ok(text.includes(record?.id ?? 'no record'), 'the refusal names its record')
    assert.notEqual(isError, false)
  }
}
