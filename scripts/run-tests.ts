// Types, lint, format, then every test with coverage; ends with one line `N passed, N failed, N skipped`.
import { spawnSync } from 'node:child_process'
import { globSync } from 'node:fs'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'

const only = process.argv.slice(2)
const failures: string[] = []

/** Runs one checker of the whole tree. */
function check(name: string, command: string, args: readonly string[]): void {
  const { status } = spawnSync(command, args, { stdio: 'inherit' })
  console.log(`${status === 0 ? 'ok' : 'FAILED'}: ${name}`)
  if (status !== 0) failures.push(name)
}

if (only.length === 0) {
  check('types', 'tsc', ['-p', '.'])
  check('lint', 'oxlint', ['--deny-warnings'])
  check('format', 'prettier', [
    '--check',
    '--log-level',
    'warn',
    'packages',
    'bench',
    'requirements',
    'examples',
    'test',
    'scripts',
  ])
}

const everywhere = ['packages/*/src/**/*.test.ts', 'test/*.test.ts', 'examples/**/*.test.ts']
const files = globSync(everywhere, { exclude: ['**/node_modules/**'] }).filter(
  (file) => only.length === 0 || only.some((name) => file.includes(name)),
)
if (files.length === 0) failures.push('no test file matches')

/** Longest silence of a run, in milliseconds: nothing passed, failed or began. Each test ends within 180 s. */
const SILENCE_MS = 300_000
// A file whose tests are over but whose process lives on is held by no time-out of a test.
const silent = new AbortController()
const silence = setTimeout(() => {
  failures.push(
    `nothing happened for ${SILENCE_MS / 1_000} s: something that a test started holds its process`,
  )
  silent.abort()
}, SILENCE_MS)

let passed = 0
let failed = 0
let skipped = 0
const stream = run({
  files: files.sort(),
  concurrency: 2,
  // A test that hangs must end as a failure, not as a lost run.
  timeout: 180_000,
  signal: silent.signal,
  coverage: only.length === 0,
  coverageExcludeGlobs: ['**/*.test.ts', '**/testing/**', 'test/**', 'examples/**', 'scripts/**'],
})
stream.on('data', () => silence.refresh())
stream.on('test:pass', ({ details, skip }) => {
  if (details.type === 'suite') return
  if (skip === undefined) passed++
  else skipped++
})
stream.on('test:fail', ({ details }) => {
  if (details.type !== 'suite') failed++
})
stream.compose(spec).pipe(process.stdout)
stream.on('end', () => {
  clearTimeout(silence)
  // A run that tested nothing has shown nothing.
  if (passed === 0) failures.push('no test passed')
  for (const failure of failures) console.log(`FAILED: ${failure}`)
  process.exitCode = failed + failures.length === 0 ? 0 : 1
  setImmediate(() => console.log(`${passed} passed, ${failed + failures.length} failed, ${skipped} skipped`))
})
