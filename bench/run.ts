// What a call through the gate costs beside the same call through a bare pass-through and through nginx, in one run on one
// machine: CPU per request is the judge, because on a shared machine time is not. Method: PERFORMANCE.md sections 1 and 3.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { openDevIssuer } from '../packages/gateway/src/adapters/keys/dev-issuer.ts'
import { type Load, cpuMicros, drive, median, residentMib } from './measure.ts'
import { type Target, startGate, startNginx, startPassThrough, startProgram } from './targets.ts'

/** Most that the gate may cost, in CPU of the pass-through. Source: issue 2, PERFORMANCE.md G1. */
const TARGET = 2.2
/** A pass-through dearer than this, in CPU of nginx, is no yardstick. */
const YARDSTICK = 2.6
const TOKENS = 200
const WARM_UP_S = 10

interface Round extends Load {
  readonly cpuMicros: number
  readonly residentMib: number
}

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    connections: { type: 'string', default: '32' },
    era: { type: 'string', default: 'legacy' },
    json: { type: 'boolean', default: false },
    profile: { type: 'string' },
  },
})
const rounds = Number(values.rounds)
const seconds = Number(values.seconds)
const connections = Number(values.connections)
const era = values.era === 'modern' ? 'modern' : 'legacy'

const folder = mkdtempSync(join(tmpdir(), 'callgate-bench-'))
const stops: (() => Promise<void>)[] = []
try {
  process.exitCode = (await bench()) ? 0 : 1
} finally {
  for (const stop of stops.reverse()) await stop().catch(() => undefined)
  rmSync(folder, { recursive: true, force: true })
}

async function bench(): Promise<boolean> {
  // The target alone on one core, upstream and generator on the other: what they do must not be counted as its cost.
  const cores = availableParallelism()
  const pin = (core: number): string[] =>
    cores < 2 ? [] : ['taskset', '-c', String(Math.min(core, cores - 1))]
  const upstream = await startProgram('upstream.ts', [era], pin(1))
  stops.push(upstream.stop)
  const options = { folder, upstream: upstream.port, pin: pin(0) }
  const profile =
    values.profile === undefined ? {} : { nodeOptions: `--cpu-prof --cpu-prof-dir=${values.profile}` }
  const { target: gateTarget, gate } = await startGate({ ...options, ...profile })
  stops.push(gateTarget.stop)
  const targets: readonly Target[] = [await startNginx(options), await startPassThrough(options), gateTarget]
  for (const target of targets.slice(0, 2)) stops.push(target.stop)

  const tokensFile = join(folder, 'tokens')
  const issuer = openDevIssuer(gate.state)
  const mint = (_: unknown, i: number): string =>
    issuer.mint({ audience: `${gate.url}/mcp`, subject: `user-${i}`, clientId: 'bench' }).token
  writeFileSync(tokensFile, `${Array.from({ length: TOKENS }, mint).join('\n')}\n`)

  const load = { connections, tokensFile, era, pin: pin(2) } as const
  const results = new Map<Target['name'], Round[]>(targets.map(({ name }) => [name, []]))
  // V8 goes on compiling for tens of thousands of calls: what it spends on that is not what a call costs.
  for (const { port } of targets) await drive({ ...load, port, seconds: WARM_UP_S })
  for (let round = 0; round < rounds; round++) {
    for (const { name, port, pid } of targets) {
      const before = cpuMicros(pid)
      const seen = await drive({ ...load, port, seconds })
      const spent = cpuMicros(pid) - before
      results.get(name)?.push({ ...seen, cpuMicros: spent / seen.requests, residentMib: residentMib(pid) })
    }
  }
  return report(results)
}

function report(results: ReadonlyMap<Target['name'], readonly Round[]>): boolean {
  const rows = [...results].map(([name, seen]) => {
    const of = (key: Exclude<keyof Round, 'sample'>): number[] => seen.map((round) => round[key])
    const sum = (key: Exclude<keyof Round, 'sample'>): number =>
      of(key).reduce((total, one) => total + one, 0)
    return {
      target: name,
      cpuMicros: median(of('cpuMicros')),
      cpuMicrosMin: Math.min(...of('cpuMicros')),
      rps: median(seen.map((round) => round.requests / round.seconds)),
      p50Ms: median(of('p50Ms')),
      p99Ms: median(of('p99Ms')),
      residentMib: median(of('residentMib')),
      right: sum('right'),
      wrong: sum('wrong'),
      failed: sum('failed'),
      sample: seen.find((round) => round.sample !== '')?.sample ?? '',
    }
  })
  const cost = (name: Target['name'], key: 'cpuMicros' | 'cpuMicrosMin'): number =>
    rows.find((row) => row.target === name)?.[key] ?? Number.NaN
  const ratio = cost('gate', 'cpuMicros') / cost('pass-through', 'cpuMicros')
  const ratioMin = cost('gate', 'cpuMicrosMin') / cost('pass-through', 'cpuMicrosMin')
  const yardstick = cost('pass-through', 'cpuMicros') / cost('nginx', 'cpuMicros')

  const problems: string[] = []
  for (const row of rows) {
    if (row.wrong + row.failed > 0)
      problems.push(
        `void: ${row.target} gave ${row.wrong} wrong answers and ${row.failed} failures (${row.sample})`,
      )
    if (row.right === 0) problems.push(`void: ${row.target} gave no right answer`)
  }
  if (!(yardstick <= YARDSTICK))
    problems.push(`void: the pass-through costs ${yardstick.toFixed(2)} x nginx (at most ${YARDSTICK})`)
  if (!(ratio <= TARGET))
    problems.push(`missed: the gate costs ${ratio.toFixed(2)} x the pass-through (at most ${TARGET})`)

  const machine = {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    load: loadavg().map((one) => Number(one.toFixed(2))),
    node: process.version,
    at: new Date().toISOString(),
  }
  const summary = {
    era,
    rounds,
    seconds,
    connections,
    ratio,
    ratioMin,
    yardstick,
    target: TARGET,
    problems,
    machine,
    rows,
  }
  if (!values.json) {
    console.log(
      `small call, ${era} host, ${rounds} interleaved rounds of ${seconds} s, ${connections} connections, ${TOKENS} tokens; every answer checked`,
    )
    console.log(
      `${machine.cores} x ${machine.cpu}, node ${machine.node}, load ${machine.load.join(' ')}, ${machine.at}\n`,
    )
    console.log('target         CPU us/call  (min)     rps   p50 ms   p99 ms   MiB     right  wrong')
    for (const row of rows) {
      console.log(
        row.target.padEnd(14) +
          [
            row.cpuMicros.toFixed(1).padStart(12),
            row.cpuMicrosMin.toFixed(1).padStart(7),
            row.rps.toFixed(0).padStart(8),
          ].join('') +
          [
            row.p50Ms.toFixed(2).padStart(9),
            row.p99Ms.toFixed(2).padStart(9),
            row.residentMib.toFixed(0).padStart(6),
          ].join('') +
          [String(row.right).padStart(10), String(row.wrong + row.failed).padStart(7)].join(''),
      )
    }
    console.log(
      `\ngate / pass-through ${ratio.toFixed(2)} (by minima ${ratioMin.toFixed(2)}), at most ${TARGET}; pass-through / nginx ${yardstick.toFixed(2)}, at most ${YARDSTICK}`,
    )
    for (const problem of problems) console.log(problem)
  }
  console.log(JSON.stringify(summary))
  return problems.length === 0
}
