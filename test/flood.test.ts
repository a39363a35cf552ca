import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { after, before, test } from 'node:test'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { Fixture } from './harness/fixtures.ts'
import { TestGate } from './harness/gate.ts'

/** Rounds of each kind, interleaved, and how long each lasts. CALLGATE_PROOF_ROUNDS sets more. */
const ROUNDS = Number(process.env['CALLGATE_PROOF_ROUNDS'] ?? 4)
const ROUND_MS = 700
/** What valid callers keep of their goodput, and the slack for a machine that does other things. */
const KEPT = process.env['CALLGATE_PROOF_ROUNDS'] === undefined ? 0.8 * 0.75 : 0.8

/** Connections that flood, beside two of valid callers. */
const FLOODING = 16

const LIST = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}'
const fixture = new Fixture([{ name: 'echo', description: 'Echoes', inputSchema: { type: 'object' } }])
const agent = new Agent({ keepAlive: true, maxSockets: 2 + FLOODING })
let gate: TestGate

before(async () => {
  gate = await TestGate.start({ servers: fixture.yaml('fix') })
})
after(async () => {
  agent.destroy()
  await gate.close()
  rmSync(fixture.folder, { recursive: true, force: true })
})

function post(authorization: string | undefined): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = {
      'content-type': 'application/json',
      ...(authorization === undefined ? {} : { authorization }),
    }
    const sent = request(`${gate.url}/mcp`, { method: 'POST', agent, headers }, (response) => {
      response.resume()
      response.on('end', () => resolve(response.statusCode ?? 0))
    })
    // A refusal before the body was read closes its connection, which a pooled socket may meet late.
    sent.on('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ECONNRESET' || error.code === 'EPIPE' ? resolve(0) : reject(error),
    )
    sent.end(LIST)
  })
}

/** A token of the gate's own issuer whose signature is somebody else's: each is new, and each costs its check. */
function freshBad(good: string): string {
  const [head, payload] = good.split('.')
  return `Bearer ${head}.${payload}.${randomBytes(64).toString('base64url')}`
}

/** Requests of valid callers that were answered while others flood the gate. */
async function goodput(valid: string, flood: () => string | undefined): Promise<number> {
  const end = performance.now() + ROUND_MS
  let answered = 0
  const good = async (): Promise<void> => {
    while (performance.now() < end) if ((await post(`Bearer ${valid}`)) === 200) answered++
  }
  const bad = async (): Promise<void> => {
    while (performance.now() < end) assert.notEqual(await post(flood()), 200)
  }
  await Promise.all([good(), good(), ...Array.from({ length: FLOODING }, bad)])
  return answered
}

test('valid callers keep their goodput beside a wave of fresh bad tokens, as beside as many requests without one', async (t) => {
  verifies('play2.bad-token-wave')
  const valid = gate.mint()
  const none = (): undefined => undefined
  const bad = (): string => freshBad(valid)
  await goodput(valid, none)
  await goodput(valid, bad)
  let [beside, without] = [0, 0]
  for (let round = 0; round < ROUNDS; round++) {
    without += await goodput(valid, none)
    beside += await goodput(valid, bad)
  }
  t.diagnostic(`${beside} beside bad tokens, ${without} beside none: ${(beside / without).toFixed(2)}`)
  assert.ok(without > 100, String(without))
  assert.ok(beside / without >= KEPT, `${beside} of ${without}`)
})
