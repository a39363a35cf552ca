import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { openDevIssuer } from '../packages/gateway/src/adapters/keys/dev-issuer.ts'
import { readRecords } from '@callgate/evidence'
import { type FixtureServer, startFixture } from './harness/fixture-http.ts'
import { TestGate } from './harness/gate.ts'
import { type HostCall, seededRandom, startLoad } from './harness/load.ts'

const KILLS = Number(process.env['CALLGATE_PROOF_KILLS'] ?? 20)
const SEED = Number(process.env['CALLGATE_SEED'] ?? randomInt(2 ** 31))
/** Kills of one state folder; then a new one, so that many kills do not mean an ever longer log to verify. */
const KILLS_PER_LOG = 20
const HOSTS = 12
/** Most calls that end before a gate dies. Lives are measured in calls: a slow machine makes as many as a fast one. */
const LONGEST_LIFE = 100
/** Longest time from the last of them to the death, in milliseconds, so that deaths fall anywhere in a call. */
const LONGEST_PAUSE_MS = 20

const POLICY = `
- { rule: allow-all, when: { server: fix }, decision: allow }
- { rule: deny-some, when: { cond: "actor.subject.endsWith('.denied')" }, decision: deny }
`

/** What a run of kills saw, and what is wrong with it. */
interface Tally {
  kills: number
  answered: number
  denied: number
  lost: number
  /** Writes that reached the server and whose outcome nobody knows: the gate died over them. */
  intentOnly: number
  records: number
  readonly problems: string[]
}

interface Life {
  readonly server: FixtureServer
  readonly folder: string | undefined
  readonly env: Record<string, string>
}

/** Starts a gate, loads it, kills it at a random moment. */
async function liveAndDie(gate: TestGate, name: string, random: () => number): Promise<readonly HostCall[]> {
  const load = startLoad({ url: gate.url, issuer: openDevIssuer(gate.state), name, hosts: HOSTS, random })
  await load.ended(Math.floor(random() * LONGEST_LIFE))
  await pause(random() * LONGEST_PAUSE_MS)
  await gate.stop('SIGKILL')
  await load.stop()
  return load.calls
}

const startGate = ({ server, folder, env }: Life): Promise<TestGate> =>
  TestGate.start({ servers: server.yaml, policy: POLICY, env, ...(folder === undefined ? {} : { folder }) })

/** Kills gates over one log until there were enough kills or `until` says so, and judges each death after the restart. */
async function killOver(
  server: FixtureServer,
  kills: number,
  env: Record<string, string>,
  tally: Tally,
  random: () => number,
): Promise<void> {
  // The first gate owns the folder and removes it in the end; the others live in it.
  const first = await startGate({ server, folder: undefined, env })
  let gate = first
  let from = 0
  const run = `k${Math.floor(random() * 2 ** 31).toString(36)}`
  try {
    for (let kill = 0; kill < kills && tally.problems.length === 0; kill++) {
      const calls = await liveAndDie(gate, `${run}.${kill}`, random)
      gate = await startGate({ server, folder: first.folder, env })
      tally.kills++
      from = await judge(
        gate,
        calls,
        (await server.seen()).filter(({ mark }) => mark.startsWith(`${run}.${kill}.`)),
        from,
        tally,
      )
    }
  } finally {
    await gate.stop()
    await first.close()
  }
}

/**
 * Holds the log against what hosts were told and what the server saw.
 * @param from index of the first record of this life @returns that of the next one
 */
async function judge(
  gate: TestGate,
  calls: readonly HostCall[],
  seen: readonly { readonly tool: string; readonly mark: string }[],
  from: number,
  tally: Tally,
): Promise<number> {
  const wrong = (problem: string): unknown => tally.problems.push(`kill ${tally.kills}: ${problem}`)
  const verification = await gate.verify()
  if (!verification.ok) wrong(`the log does not verify: ${JSON.stringify(verification.problems)}`)

  const intents = new Map<string, number>()
  const outcomes = new Map<string, { id: string; outcome: string; code: string | undefined }>()
  let next = from
  for await (const { index, record } of readRecords(gate.log, from)) {
    next = index + 1
    if (record.kind !== 'intent' && record.kind !== 'outcome') continue
    const mark = (record.subject ?? '').replace(/\.denied$/, '')
    if (record.kind === 'intent') {
      intents.set(mark, index)
    } else {
      if (outcomes.has(mark)) wrong(`two outcome records of ${mark}`)
      if (record.outcome === 'answered' && record.call.class === 'write' && !intents.has(mark)) {
        wrong(`the outcome of the write ${mark} stands before its intent`)
      }
      outcomes.set(mark, { id: record.id, outcome: record.outcome, code: record.code })
    }
  }
  tally.records += next - from

  for (const { mark, end, code, evidence } of calls) {
    const outcome = outcomes.get(mark)
    if (end === 'lost') tally.lost++
    else if (end === 'answered') {
      tally.answered++
      if (outcome?.outcome !== 'answered')
        wrong(`the answered call ${mark} has the outcome ${outcome?.outcome}`)
    } else {
      if (code === 'CG_POLICY_DENIED') tally.denied++
      if (outcome?.code !== code || outcome?.id !== evidence) {
        wrong(
          `the refused call ${mark} named evidence ${evidence}, the log has ${outcome?.id} with ${outcome?.code}`,
        )
      }
    }
  }
  const denied = new Set(calls.filter(({ code }) => code === 'CG_POLICY_DENIED').map(({ mark }) => mark))
  for (const { tool, mark } of seen) {
    if (denied.has(mark)) wrong(`the denied call ${mark} reached the server`)
    if (tool !== 'note') continue
    if (!intents.has(mark)) wrong(`the write ${mark} reached the server without a record of the intent`)
    else if (!outcomes.has(mark)) tally.intentOnly++
  }
  return next
}

async function killMany(kills: number, env: Record<string, string>): Promise<Tally> {
  const tally: Tally = { kills: 0, answered: 0, denied: 0, lost: 0, intentOnly: 0, records: 0, problems: [] }
  const random = seededRandom(SEED)
  const server = await startFixture(3)
  try {
    while (tally.kills < kills && tally.problems.length === 0) {
      await killOver(server, Math.min(KILLS_PER_LOG, kills - tally.kills), env, tally, random)
    }
  } finally {
    await server.close()
  }
  return tally
}

test(
  `no answered call is without its record and no write without its intent over ${KILLS} kill -9 under load`,
  { timeout: 30_000 + KILLS * 5_000 },
  async (t) => {
    verifies('spine.kill-9')
    const tally = await killMany(KILLS, {})
    t.diagnostic(`seed ${SEED} (CALLGATE_SEED): ${JSON.stringify(tally)}`)
    assert.deepEqual(tally.problems, [])
    // A run without load, denials or deaths in the middle of a call would prove nothing.
    assert.equal(tally.kills, KILLS)
    assert.ok(tally.answered > KILLS * 5, 'too few calls were answered')
    assert.ok(tally.denied > 0, 'no call was denied')
    assert.ok(tally.lost > KILLS, 'no call was in flight when the gate died')
    assert.ok(tally.intentOnly > 0, 'no write was at the server when the gate died')
  },
)

const CONTROL = new URL('harness/without-waiting.ts', import.meta.url).href

for (const [broken, sign] of [
  ['outcome', /the answered call .* has the outcome undefined|the refused call .* the log has undefined/],
  ['intent', /without a record of the intent|answered without an intent record/],
] as const) {
  test(
    `the same kills find a gate that does not wait for the record of the ${broken}`,
    { timeout: 120_000 },
    async (t) => {
      const tally = await killMany(10, { CALLGATE_TEST_BREAK: broken, NODE_OPTIONS: `--import=${CONTROL}` })
      t.diagnostic(`seed ${SEED} (CALLGATE_SEED): found after ${tally.kills} kills: ${tally.problems[0]}`)
      assert.match(tally.problems.join('\n'), sign)
    },
  )
}
