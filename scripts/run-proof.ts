// Runs the long proofs of an issue one after the other, each with its figure; ends with one line `N passed, N failed`.
import { spawn } from 'node:child_process'
import { availableParallelism, cpus } from 'node:os'

/** One proof: a command, and how its figure is read from what it prints. */
interface Proof {
  readonly name: string
  readonly command: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Longest run in minutes; a proof that hangs has failed. */
  readonly minutes: number
  /** Undefined: the output shows nothing, and the proof has failed whatever its exit code. */
  readonly figure: (output: string) => string | undefined
}

const NODE = process.execPath
const test = (...files: readonly string[]): string[] => [NODE, '--test', '--test-reporter=spec', ...files]

/** What the test runner tells of itself, and not the tests. */
const OF_RUNNER = /^ℹ (tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) /

/** Passed tests, with what they told of themselves; a skipped test has shown nothing. */
function tests(output: string): string | undefined {
  const count = (word: string): number =>
    Number(new RegExp(`^ℹ ${word} (\\d+)$`, 'm').exec(output)?.[1] ?? Number.NaN)
  if (!(count('pass') > 0) || count('fail') !== 0 || count('skipped') !== 0) return undefined
  const told = output.split('\n').filter((line) => line.startsWith('ℹ ') && !OF_RUNNER.test(line))
  return [`${count('pass')} tests passed`, ...told].join('\n  ')
}

/** How long real hosts called on, and by how many tokens. */
function hostsFigure(output: string): string | undefined {
  return tests(output) === undefined ? undefined : /^ℹ (\d+ calls in .*)$/m.exec(output)?.[1]
}

function benchFigure(output: string): string | undefined {
  const found = /^gate \/ pass-through .*$/m.exec(output)
  return found?.[0]
}

const SPINE: readonly Proof[] = [
  {
    name: 'kills',
    command: test('test/crash.test.ts'),
    env: { CALLGATE_PROOF_KILLS: '200' },
    minutes: 16,
    figure: tests,
  },
  {
    name: 'crash-points',
    command: test('packages/gateway/src/adapters/file/evidence-log.crash.test.ts'),
    env: { CALLGATE_CRASH_POINTS: '1000' },
    minutes: 5,
    figure: tests,
  },
  {
    name: 'disk-full',
    command: test('test/disk-full.test.ts'),
    env: { CI: 'true' },
    minutes: 2,
    figure: tests,
  },
  { name: 'bench', command: [NODE, 'scripts/bench.mjs'], minutes: 5, figure: benchFigure },
  {
    name: 'hosts',
    command: [NODE, 'scripts/hosts.mjs', '--minutes', '11'],
    minutes: 15,
    figure: hostsFigure,
  },
]

/** The figure of the conformance suite: its last line, when nothing failed. */
function conformanceFigure(output: string): string | undefined {
  return /^[1-9]\d* passed, 0 failed$/m.exec(output)?.[0]
}

const HOSTS_AND_SERVERS: readonly Proof[] = [
  {
    name: 'conformance',
    command: [NODE, 'scripts/conformance.mjs'],
    minutes: 10,
    figure: conformanceFigure,
  },
  { name: 'hosts', command: [NODE, 'scripts/hosts.mjs'], minutes: 10, figure: tests },
  {
    name: 'isolation',
    command: test('test/isolation.test.ts'),
    env: { CALLGATE_PROOF_CALLS: '100000' },
    minutes: 12,
    figure: tests,
  },
  {
    name: 'cancel-everywhere',
    command: test('test/cancel-everywhere.test.ts'),
    env: { CALLGATE_PROOF_CYCLES: '10000' },
    minutes: 5,
    figure: tests,
  },
  {
    name: 'many-tools',
    command: test('test/many-tools.test.ts'),
    env: { CALLGATE_PROOF_MANY_TOOLS: '1' },
    minutes: 5,
    figure: tests,
  },
]

const WHO_IS_CALLING: readonly Proof[] = [
  {
    name: 'bound-tokens',
    command: test('test/bound-tokens.test.ts'),
    env: { CALLGATE_PROOF_REPLAYS: '100000' },
    minutes: 10,
    figure: tests,
  },
  {
    name: 'bad-token-wave',
    command: test('test/flood.test.ts'),
    env: { CALLGATE_PROOF_ROUNDS: '20' },
    minutes: 3,
    figure: tests,
  },
]

const WHAT_PASSES: readonly Proof[] = [
  {
    name: 'scan-cost',
    command: test('packages/gateway/src/text/cost.test.ts'),
    env: { CALLGATE_PROOF_COST: '1' },
    minutes: 2,
    figure: tests,
  },
  {
    name: 'scan-rows',
    command: test('test/scan.test.ts'),
    env: { CALLGATE_PROOF_ROWS: '50000' },
    minutes: 3,
    figure: tests,
  },
  {
    name: 'seeded-data',
    command: test('test/seeded-data.test.ts'),
    env: { CALLGATE_PROOF_SEEDED: '10000' },
    minutes: 10,
    figure: tests,
  },
  {
    name: 'injection',
    command: test('packages/gateway/src/text/injection/injection.test.ts'),
    env: { CALLGATE_PROOF_COST: '1' },
    minutes: 3,
    figure: tests,
  },
]

const TO_LIVE_WITH: readonly Proof[] = [
  {
    name: 'trial',
    command: test('test/rollout.test.ts'),
    env: { CALLGATE_PROOF_MIXED_CALLS: '10000' },
    minutes: 20,
    figure: tests,
  },
]

/** Proofs by issue number and by name. */
const ISSUES: Readonly<Record<string, readonly Proof[]>> = {
  '2': SPINE,
  spine: SPINE,
  '3': HOSTS_AND_SERVERS,
  'hosts-and-servers': HOSTS_AND_SERVERS,
  '4': WHO_IS_CALLING,
  'who-is-calling': WHO_IS_CALLING,
  '5': WHAT_PASSES,
  'what-passes': WHAT_PASSES,
  '6': TO_LIVE_WITH,
  'to-live-with': TO_LIVE_WITH,
}

/** Runs a command, shows what it prints, and returns all of it. */
function run({ command, env, minutes }: Proof): Promise<{ code: number; output: string }> {
  const [program = '', ...args] = command
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    let output = ''
    const hear = (chunk: Buffer): void => {
      output += chunk.toString()
      process.stdout.write(chunk)
    }
    child.stdout.on('data', hear)
    child.stderr.on('data', hear)
    const stop = (): void => {
      // With what it started: it leads a process group of its own.
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    }
    const limit = setTimeout(() => {
      console.log(`took longer than ${minutes} minutes`)
      stop()
    }, minutes * 60_000)
    process.once('SIGINT', stop)
    const end = (code: number): void => {
      clearTimeout(limit)
      process.removeListener('SIGINT', stop)
      resolve({ code, output })
    }
    child.on('error', (error) => {
      console.log(error.message)
      end(1)
    })
    child.on('close', (code) => end(code ?? 1))
  })
}

const [issue = '', ...only] = process.argv.slice(2)
const proofs = ISSUES[issue]?.filter(({ name }) => only.length === 0 || only.includes(name)) ?? []
if (ISSUES[issue] === undefined) {
  console.error(
    `proof: no issue \`${issue}\` (expected one of ${Object.keys(ISSUES).join(', ')}), such as \`npm run proof -- 2\``,
  )
}
const unknown = only.filter((name) => !proofs.some((proof) => proof.name === name))
if (unknown.length > 0)
  console.error(
    `proof: no proof \`${unknown.join(' ')}\` (expected some of ${(ISSUES[issue] ?? []).map(({ name }) => name).join(', ')})`,
  )

const machine = `${availableParallelism()} x ${cpus()[0]?.model ?? 'unknown'}, node ${process.version}`
const summary: string[] = []
let passed = 0
let failed = unknown.length
for (const proof of proofs) {
  console.log(`\n== ${proof.name}: ${proof.command.slice(1).join(' ')}`)
  const startedAt = performance.now()
  const { code, output } = await run(proof)
  const figure = proof.figure(output)
  const holds = code === 0 && figure !== undefined
  if (holds) passed++
  else failed++
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(0)
  summary.push(
    `${holds ? 'ok' : 'FAILED'}: ${proof.name} (${seconds} s; ${machine}; ${new Date().toISOString()})\n  ${figure ?? 'no figure'}`,
  )
}
console.log(`\n${summary.join('\n')}`)
console.log(`${passed} passed, ${failed} failed`)
// A run that proved nothing has failed.
process.exitCode = passed > 0 && failed === 0 ? 0 : 1
