import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import type { Declared } from './dependency-rule.ts'
import { habits, importsOf, isTestCode, readSourceFile, violations } from './dependency-rule.ts'

const ROOT = new URL('../', import.meta.url).href
const packages = readdirSync(new URL('packages', ROOT))

interface Manifest {
  readonly name?: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

function manifest(folder: string): Manifest {
  return JSON.parse(readFileSync(new URL(`${folder}package.json`, ROOT), 'utf8')) as Manifest
}

const declared: Declared = Object.fromEntries(
  packages.map((name) => [name, new Set(Object.keys(manifest(`packages/${name}/`).dependencies ?? {}))]),
)

const sources = packages
  .flatMap((name) =>
    readdirSync(new URL(`packages/${name}/src`, ROOT), { recursive: true, encoding: 'utf8' }).map(
      (path) => `packages/${name}/src/${path}`,
    ),
  )
  .filter((path) => path.endsWith('.ts'))
  .map((file) => readSourceFile(ROOT, file))

test('rooms import only what the dependency rule lets them', () => {
  verifies('spine.dependency-rule')
  assert.ok(sources.length > 50, `only ${sources.length} files were found`)
  const found = sources.flatMap((source) => violations(source, declared))
  assert.deepEqual(found, [], found.join('\n'))
})

test('no file has a default export or imports a computed name', () => {
  const found = sources
    .filter(({ file }) => !isTestCode(file))
    .flatMap(({ file, text }) => habits(text).map((habit) => `${file} ${habit}`))
  assert.deepEqual(found, [], found.join('\n'))
})

test('the MCP SDK is imported by tests alone', () => {
  verifies('wire.rule-7')
  const users = sources.filter(({ imports }) =>
    imports.some((name) => name.startsWith('@modelcontextprotocol/')),
  )
  assert.deepEqual(
    users.filter(({ file }) => !isTestCode(file)).map(({ file }) => file),
    [],
  )
  for (const name of packages) {
    const names = Object.keys(manifest(`packages/${name}/`).dependencies ?? {})
    assert.deepEqual(
      names.filter((dependency) => dependency.startsWith('@modelcontextprotocol/')),
      [],
    )
  }
})

test('every dependency is one exact version, and the lock file holds its hash', () => {
  verifies('play8.pins')
  for (const folder of ['', ...packages.map((name) => `packages/${name}/`)]) {
    const { dependencies, devDependencies, optionalDependencies } = manifest(folder)
    const all = Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies })
    for (const [name, version] of all)
      assert.match(version, /^\d+\.\d+\.\d+(-[\w.]+)?$/, `${folder}: ${name}@${version}`)
  }
  const lock = JSON.parse(readFileSync(new URL('package-lock.json', ROOT), 'utf8')) as {
    packages: Record<string, { link?: boolean; integrity?: string }>
  }
  const unhashed = Object.entries(lock.packages).filter(
    ([path, entry]) => path.includes('node_modules/') && entry.link !== true && entry.integrity === undefined,
  )
  assert.deepEqual(
    unhashed.map(([path]) => path),
    [],
  )
})

/** file, what it imports, what is wrong with that; undefined: nothing. */
const PLANTED: readonly (readonly [file: string, specifier: string, why: RegExp | undefined])[] = [
  ['stages/policy/policy.ts', '../schema/schema.ts', /a stage never imports another stage/],
  ['stages/policy/policy.ts', './engine.ts', undefined],
  ['stages/policy/policy.ts', '../../mcp/naming.ts', undefined],
  ['stages/policy/policy.ts', '../../ports/catalog.ts', undefined],
  ['stages/policy/policy.ts', '../../pipeline/runner.ts', /stages\/policy may not import pipeline/],
  ['stages/policy/policy.ts', '../../adapters/file/log.ts', /no room imports adapters except main/],
  ['stages/policy/policy.ts', '../../config/load.ts', /may not import config/],
  ['pipeline/runner.ts', '../stages/policy/policy.ts', undefined],
  ['pipeline/runner.ts', '../call/call.ts', undefined],
  ['pipeline/runner.ts', '../wire/listener.ts', /pipeline may not import wire/],
  ['pipeline/runner.ts', '../mcp/era.ts', /pipeline may not import mcp/],
  ['wire/listener.ts', '../mcp/era.ts', undefined],
  ['wire/listener.ts', '../adapters/memory/sessions.ts', /no room imports adapters/],
  ['ports/catalog.ts', '../text/nearest.ts', undefined],
  ['ports/catalog.ts', '../stages/policy/policy.ts', /ports may not import stages\/policy/],
  ['net/url.ts', '../text/nearest.ts', /net may not import text/],
  ['text/nearest.ts', '../call/call.ts', undefined],
  ['errors/registry.ts', '../call/reason-code.ts', undefined],
  ['errors/registry.ts', '../text/nearest.ts', /errors may not import text/],
  ['call/call.ts', '../errors/registry.ts', /call may not import errors/],
  ['call/call.ts', 'zod', /call imports nothing/],
  ['call/id.ts', 'node:crypto', undefined],
  ['mcp/era.ts', '../errors/registry.ts', undefined],
  ['mcp/era.ts', '../ports/catalog.ts', /mcp may not import ports/],
  ['mcp/era.ts', 'node:fs', /mcp is pure/],
  ['mcp/era.ts', 'node:http', /mcp is pure/],
  ['mcp/era.ts', 'undici', /mcp is pure/],
  ['mcp/era.ts', 'node:buffer', undefined],
  ['json-schema/compile.ts', 'node:fs/promises', /json-schema is pure/],
  ['adapters/upstream/http.ts', '../../mcp/sse.ts', undefined],
  ['adapters/upstream/http.ts', 'undici', undefined],
  ['adapters/file/log.ts', '../../mcp/sse.ts', /adapters may not import mcp/],
  ['adapters/file/log.ts', '../memory/sessions.ts', undefined],
  ['adapters/file/log.ts', '@callgate/evidence', undefined],
  ['adapters/file/log.ts', '../../wire/listener.ts', /adapters may not import wire/],
  ['config/load.ts', '../text/nearest.ts', undefined],
  ['config/load.ts', '../mcp/naming.ts', /config may not import mcp/],
  ['telemetry/spans.ts', '../detections/sigma.ts', /telemetry may not import detections/],
  ['cli/tail.ts', '../stages/policy/policy.ts', undefined],
  ['cli/tail.ts', '../adapters/file/log.ts', /no room imports adapters/],
  ['cli/tail.ts', '../wire/listener.ts', /cli may not import wire/],
  ['cli/tail.ts', '../main.ts', /nothing imports main/],
  ['cli/tail.ts', '../testing/corpora.ts', /only tests import test code/],
  ['cli/tail.ts', '../ports/replay-guard.contract.ts', /only tests import test code/],
  ['cli/tail.test.ts', '../testing/corpora.ts', undefined],
  ['cli/tail.test.ts', '../adapters/file/log.ts', undefined],
  ['control/api.ts', '../response/kill.ts', undefined],
  ['main.ts', './adapters/file/log.ts', undefined],
  ['main.ts', './wire/listener.ts', undefined],
  ['main.ts', '@modelcontextprotocol/sdk/client', /not in the data path/],
  ['main.ts', 'left-pad', /not in the dependencies/],
  ['main.ts', '../../evidence/src/index.ts', /packages import each other by name/],
  ['main.ts', '@callgate/redteam', /gateway may not import @callgate\/redteam/],
  ['docs.ts', '../../../requirements/index.ts', undefined],
  ['main.ts', '../../../requirements/index.ts', /only tests and docs\.ts/],
  ['newroom/x.ts', '../call/call.ts', /newroom may not import call/],
]

test('every planted violation is found, and every near miss passes', () => {
  for (const [file, specifier, why] of PLANTED) {
    const found = violations({ file: `packages/gateway/src/${file}`, imports: [specifier] }, declared)
    if (why === undefined) assert.deepEqual(found, [])
    else assert.match(found.join('\n'), why, `${file} imports ${specifier}`)
  }
})

function judge(specifier: string): string[] {
  return violations(
    { file: 'packages/evidence/src/verify.ts', imports: [specifier] },
    { evidence: new Set(['jose']) },
  )
}

test('what an auditor runs imports nothing but node: and itself', () => {
  assert.deepEqual(judge('node:crypto'), [])
  assert.deepEqual(judge('./tree.ts'), [])
  assert.match(judge('jose').join(), /nothing but node:/)
  assert.match(judge('../../gateway/src/call/call.ts').join(), /by name/)
})

test('imports are read in every form that they have', () => {
  const text = [
    "import { a,\n  type B } from './a.ts'",
    "import type { C } from './c.ts'",
    "export { d } from './d.ts'",
    "export * from './e.ts'",
    "import './f.ts'",
    "const g = await import('./g.ts')",
    "type H = import('./h.ts').H",
    "new Worker(new URL('i.ts', import.meta.url))",
    "// import { x } from './comment.ts'",
    "/* import { x } from './block.ts' */",
    "const text = Array.from('not an import')",
  ].join('\n')
  const read = importsOf(text).sort()
  assert.deepEqual(read, ['./a.ts', './c.ts', './d.ts', './e.ts', './f.ts', './g.ts', './h.ts', './i.ts'])
})

test('default exports and computed imports are found in every form that they have', () => {
  assert.deepEqual(habits('export default 1'), ['has a default export'])
  assert.deepEqual(habits('export { a as default }'), ['has a default export'])
  assert.deepEqual(habits("import { default as a } from './a.ts'\nexport { a }"), [])
  assert.deepEqual(habits('await import(name)'), ['imports a computed name'])
  assert.deepEqual(habits("await import('./a.ts')"), [])
})
