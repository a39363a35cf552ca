import { parseArgs } from 'node:util'
import type { Verdict } from './judge.ts'
import { PAIRINGS, nameOf, yardstickOf } from './pairings.ts'
import { requiredOf } from './suite.ts'
import { ConformanceRig } from './through-gate.ts'

const HELP = `npm run conformance -- [--pairing NAME] [--scenario NAME] [--verbose]

Runs the official MCP conformance suite against our fixture server, directly and through the gate.
  --pairing   one of ${PAIRINGS.map(nameOf).join(', ')}; may be given several times; default all
  --scenario  one server scenario of the suite; default all that the revision of the host names
  --verbose   every scenario, also those that passed and those that are not scored`

const { values } = parseArgs({
  options: {
    pairing: { type: 'string', multiple: true },
    scenario: { type: 'string' },
    verbose: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) {
  console.log(HELP)
  process.exit(0)
}
const wanted = PAIRINGS.filter((pairing) => values.pairing?.includes(nameOf(pairing)) ?? true)
const pairings = wanted.filter(({ host }) => {
  const { scored, notScored } = requiredOf(host)
  return values.scenario === undefined || [...scored, ...notScored].includes(values.scenario)
})
const unknown = values.pairing?.find((name) => !PAIRINGS.some((pairing) => nameOf(pairing) === name))
if (unknown !== undefined || pairings.length === 0) {
  const what =
    unknown === undefined ? `\`--scenario\` is \`${values.scenario}\`` : `\`--pairing\` is \`${unknown}\``
  console.error(`conformance: ${what}, which is none that would run\n\n${HELP}`)
  process.exit(2)
}

let passed = 0
let failed = 0
const rig = await ConformanceRig.start(pairings)
try {
  console.log('without the gate')
  const yardsticks = new Map(
    pairings.map(yardstickOf).map((yardstick) => [Object.values(yardstick).join(), yardstick]),
  )
  for (const yardstick of yardsticks.values()) {
    const { host, server } = yardstick
    show(`a ${host} host before a server that speaks ${server}`, await rig.direct(yardstick, values.scenario))
  }
  console.log('\nthrough the gate')
  for (const pairing of pairings) show(nameOf(pairing), await rig.through(pairing, values.scenario))
} finally {
  await rig.close()
}
// A run that passed nothing has shown nothing.
process.exitCode = failed === 0 && passed > 0 ? 0 : 1
console.log(`\n${passed} passed, ${failed} failed`)

function show(title: string, verdicts: readonly Verdict[]): void {
  const scored = verdicts.filter((verdict) => verdict.scored)
  const good = scored.filter((verdict) => verdict.passed).length
  const others = verdicts.filter((verdict) => !verdict.scored)
  passed += good
  failed += scored.length - good
  const also = `${others.filter((verdict) => verdict.passed).length} of ${others.length} that are not scored`
  console.log(`  ${title}: ${good} of ${scored.length} scored scenarios, ${also}`)
  for (const verdict of verdicts) {
    if (verdict.passed ? !values.verbose : !verdict.scored && !values.verbose) continue
    const mark = verdict.passed ? 'ok    ' : verdict.scored ? 'FAILED' : 'not ok'
    console.log(`    ${mark}  ${verdict.scenario}${verdict.scored ? '' : ' (not scored)'}`)
    for (const problem of verdict.problems) console.log(`              ${clip(problem)}`)
    for (const reason of values.verbose ? verdict.excepted : [])
      console.log(`              excepted: ${reason}`)
  }
}

function clip(line: string): string {
  const flat = line.replaceAll('\n', ' ')
  return flat.length <= 300 || values.verbose ? flat : `${flat.slice(0, 300)} ...`
}
