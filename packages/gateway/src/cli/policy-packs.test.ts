import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { loadConfig } from '../config/load.ts'
import { isPack, isPackFile, packFile, POLICY_PACKS, policyPaths } from '../config/policy-packs.ts'
import { formatProblem as formatConfigProblem } from '../config/problem.ts'
import { PolicyCoverage } from '../stages/policy/coverage.ts'
import { runGolden } from '../stages/policy/golden.ts'
import { checkPolicy, loadPolicyFiles, readPolicyFiles } from '../stages/policy/load.ts'
import { formatProblem } from '../stages/policy/problem.ts'
import { verifies } from '../testing/verifies.ts'
import { policyArguments } from './policy-files.ts'

const folder = mkdtempSync(join(tmpdir(), 'callgate-packs-'))
after(() => rmSync(folder, { recursive: true }))
const rules = new URL('../../../../rules/policies/', import.meta.url)
const all = POLICY_PACKS.map((name) => `pack:${name}`)

function written(name: string, text: string): string {
  const file = join(folder, name)
  writeFileSync(file, text)
  return file
}

function config(files: string): ReturnType<typeof loadConfig> {
  const yaml = `identity: { issuers: [{ issuer: https://id.example, jwks: keys.json }] }\npolicy: { files: ${files} }\n`
  return loadConfig(written('callgate.yaml', yaml), { env: {} })
}

const pack = (name: string) => ({
  file: `${name}.yaml`,
  text: readFileSync(new URL(`${name}.yaml`, rules), 'utf8'),
})

test('the packs that can be named are those in the folder, each beside its cases', () => {
  const expected = POLICY_PACKS.flatMap((name) => [`${name}.golden.yaml`, `${name}.yaml`])
  assert.deepEqual(readdirSync(rules).toSorted(), expected.toSorted())
})

for (const name of POLICY_PACKS) {
  test(`pack ${name} comes to what its cases say, and every rule of it decides one and stays out of another`, () => {
    verifies('play3.packs')
    verifies('play3.policy-coverage')
    const golden = pack(`${name}.golden`)
    const coverage = new PolicyCoverage()
    const { cases, problems } = runGolden(golden, [pack(name)], undefined, coverage)
    assert.deepEqual(problems.map(formatProblem), [])
    for (const { title, passed, got } of cases)
      assert.ok(passed, `${title}: ${got.effect} ${got.rules.join(' ')}`)
    const { rules: shown, branches, missing } = coverage.report()
    assert.deepEqual(missing.map(formatProblem), [])
    assert.equal(shown.covered, shown.total)
    assert.equal(branches.covered, branches.total)
    const read = checkPolicy([pack(name)], undefined)
    assert.deepEqual([read.problems, read.warnings], [[], []])
    const ids = [...pack(name).text.matchAll(/^- rule: (\S+)/gm)].map(([, id = '']) => id)
    assert.ok(ids.length >= 2)
    assert.equal(ids.length, shown.total)
    for (const id of ids) {
      assert.ok(id.startsWith(`${name}/`), id)
      assert.ok(
        cases.some(({ got }) => got.rules.includes(id)),
        `${id} decides no case`,
      )
      assert.ok(
        cases.some(({ got }) => !got.rules.includes(id)),
        `${id} decides every case`,
      )
    }
  })
}

test('every rule of a pack says why and who owns it', async () => {
  const loaded = await loadPolicyFiles(policyArguments(all))
  if ('problems' in loaded) assert.fail(loaded.problems.map(formatProblem).join('\n'))
  assert.ok(loaded.set.rules.length >= 15)
  for (const { source } of loaded.set.rules)
    assert.ok(source.why !== undefined && source.owner !== undefined, source.id)
})

test('a configuration includes packs by name beside files of its own', () => {
  verifies('play3.packs')
  const { config: read } = config('[pack:read-only, pack:egress, own.yaml]')
  const packs = policyArguments(['pack:read-only', 'pack:egress'])
  assert.deepEqual(read?.policy.files, [...packs, join(folder, 'own.yaml')])
})

test('a pack that there is not is refused with the nearest one, and a file of such a name is a file', () => {
  verifies('play3.packs')
  const { problems = [] } = config('[pack:reed-only]')
  assert.deepEqual(problems.map(formatConfigProblem), [
    'callgate.yaml:2:19 `policy.files[0]` is `pack:reed-only`, which names a pack that there is not (expected `pack:read-only`, `pack:bulk-and-destructive`, `pack:egress`, `pack:memory`, `pack:admin`); did you mean `pack:read-only`',
  ])
  assert.deepEqual(config('["./pack:reed-only"]').config?.policy.files, [join(folder, 'pack:reed-only')])
  assert.throws(() => policyArguments(['pack:xyzzy']), /`pack:xyzzy` names a pack that there is not/)
  assert.throws(() => policyPaths(['pack:xyzzy'], (file) => file), TypeError)
})

test('a pack that stands twice is refused, two packs are not', () => {
  const { problems = [] } = config('[pack:egress, pack:egress]')
  assert.match(
    problems.map(formatConfigProblem).join('\n'),
    /`policy.files\[1\]` is `pack:egress`, which entry 1 includes already/,
  )
  assert.ok(config('[pack:egress, pack:memory]').config)
})

test('a rule id that a pack has is refused with both places; the same word without the pack passes', async () => {
  verifies('play3.packs')
  const rule = (id: string) => `- rule: ${id}\n  when: { class: read }\n  decision: allow\n`
  const own = written('own.yaml', rule('read-only/reads'))
  const clash = await loadPolicyFiles(policyArguments(['pack:read-only', own]))
  assert.ok('problems' in clash)
  const { file } = packFile('pack:read-only') as { file: string }
  assert.deepEqual(clash.problems.map(formatProblem), [
    `${own}:1:3 rule id \`read-only/reads\` is taken by ${file}:5 (expected another id)`,
  ])
  const other = written('other.yaml', rule('reads'))
  assert.ok('set' in (await loadPolicyFiles(policyArguments(['pack:read-only', other]))))
})

test('packs are known by their paths, so that nobody writes into one', () => {
  for (const file of policyArguments(all)) assert.ok(isPackFile(file), file)
  assert.ok(!isPackFile(join(folder, 'read-only.yaml')))
  assert.ok(isPack('pack:x') && !isPack('packs/x.yaml') && !isPack('./pack:x'))
})

test('packs load for tools whose arguments they know nothing of; a server of one name is held to its schema', async () => {
  verifies('play3.packs')
  const tool = (server: string) => ({
    server,
    name: 'bulk_rename',
    class: 'write' as const,
    labels: [],
    definition: {
      name: 'bulk_rename',
      inputSchema: { type: 'object', properties: { from: { type: 'string' } }, additionalProperties: false },
    },
  })
  const read = await readPolicyFiles(policyArguments(all))
  if ('problems' in read) assert.fail('packs cannot be read')
  const { problems, warnings } = checkPolicy(read.files, [tool('files')])
  assert.deepEqual(problems, [])
  assert.match(
    warnings.map(formatProblem).join('\n'),
    /for tool `files.bulk_rename`: `session.sum\("\*bulk\*", "args.count", "1h"\)`/,
  )
  const cond = 'session.sum("files.*", "args.count", "1h") > 9'
  const own = {
    file: 'own.yaml',
    text: `- rule: r\n  when: { tool: "*", cond: '${cond}' }\n  decision: deny\n`,
  }
  assert.match(checkPolicy([own], [tool('files')]).problems[0]?.message ?? '', /unknown member `args.count`/)
})
