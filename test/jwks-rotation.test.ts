// An issuer's keys change, and it goes away, while hosts go on calling.
import assert from 'node:assert/strict'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { Fixture, textTool } from './harness/fixtures.ts'
import { TestGate } from './harness/gate.ts'
import { IssuerKey, JwksServer } from './harness/issuer.ts'

const ISSUER = 'https://id.example'
const CALLERS = 4

const identity = (jwks: string): string =>
  `issuers: [{ issuer: "${ISSUER}", jwks: "${jwks}" }]\nreplay: session\nmissesPerPeer: { perSecond: 10000, burst: 10000 }`

/** Calls all the time, each with a token of its own by the key of the moment, and counts what failed. */
class Callers {
  key: IssuerKey
  served = 0
  readonly failed: string[] = []
  #stopped = false
  readonly #done: Promise<unknown>

  constructor(gate: TestGate, key: IssuerKey) {
    this.key = key
    this.#done = Promise.all(Array.from({ length: CALLERS }, () => this.#call(gate)))
  }

  async #call(gate: TestGate): Promise<void> {
    while (!this.#stopped) {
      const { kid } = this.key
      const token = this.key.mint(ISSUER, `${gate.url}/mcp`)
      const { answer, isError } = await gate.call('fix__echo', { text: kid }, { token })
      if (answer.status === 200 && !isError) this.served++
      else this.failed.push(`${kid}: ${answer.status} ${answer.body.slice(0, 200)}`)
    }
  }

  /** Lets so many more calls be served. */
  async more(count: number): Promise<void> {
    const until = this.served + count
    while (this.served < until && this.failed.length === 0) await sleep(10)
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#done
  }
}

const status = async (gate: TestGate, key: IssuerKey): Promise<number> =>
  (await gate.rpc('tools/list', {}, { token: key.mint(ISSUER, `${gate.url}/mcp`) })).status

test('keys that are added, used and removed in a file fail no call; a removed key opens nothing', async (t) => {
  verifies('play2.rotation')
  const folder = mkdtempSync(join(tmpdir(), 'callgate-jwks-'))
  const fixture = new Fixture([textTool('echo')])
  t.after(() => {
    rmSync(folder, { recursive: true, force: true })
    rmSync(fixture.folder, { recursive: true, force: true })
  })
  const file = join(folder, 'jwks.json')
  const publish = (...keys: IssuerKey[]): void => {
    writeFileSync(`${file}.new`, JSON.stringify({ keys: keys.map(({ jwk }) => jwk) }))
    renameSync(`${file}.new`, file)
  }
  const [old, next] = [new IssuerKey('old'), new IssuerKey('next')]
  publish(old)
  const gate = await TestGate.start({ servers: fixture.yaml('fix'), identity: identity(file) }, t)
  const callers = new Callers(gate, old)
  await callers.more(20)
  const remembered = old.mint(ISSUER, `${gate.url}/mcp`)
  assert.equal((await gate.rpc('tools/list', {}, { token: remembered })).status, 200)
  publish(old, next)
  // As an issuer does: published first, used when everybody had time to read it.
  await sleep(1_500)
  callers.key = next
  await callers.more(20)
  publish(next)
  await sleep(2_500)
  await callers.more(20)
  await callers.stop()
  assert.deepEqual(callers.failed, [])
  assert.equal(await status(gate, old), 401)
  assert.equal((await gate.rpc('tools/list', {}, { token: remembered })).status, 401)
  assert.equal(await status(gate, next), 200)
})

test('a key that is used the moment it is published is fetched for the first token that names it', async (t) => {
  verifies('play2.rotation')
  const fixture = new Fixture([textTool('echo')])
  t.after(() => rmSync(fixture.folder, { recursive: true, force: true }))
  const [old, next, stranger] = [new IssuerKey('old'), new IssuerKey('next'), new IssuerKey('stranger')]
  const jwks = await JwksServer.start([old])
  t.after(() => jwks.close())
  const gate = await TestGate.start({ servers: fixture.yaml('fix'), identity: identity(jwks.url) }, t)
  const callers = new Callers(gate, old)
  await callers.more(20)
  jwks.keys = [old, next]
  callers.key = next
  await callers.more(20)
  const fetched = jwks.asked
  assert.ok(fetched <= 3, `${fetched} fetches`)
  // Unknown keys are asked for once in a while, not once a token.
  for (let i = 0; i < 20; i++) assert.equal(await status(gate, stranger), 401)
  assert.ok(jwks.asked - fetched <= 1)
  // The issuer falls silent, then goes away: keys that are known serve on, others are 401, nobody waits for it.
  jwks.silent = true
  await callers.more(20)
  assert.deepEqual([await status(gate, old), await status(gate, stranger)], [200, 401])
  jwks.close()
  await callers.more(20)
  assert.deepEqual([await status(gate, old), await status(gate, stranger)], [200, 401])
  await callers.stop()
  assert.deepEqual(callers.failed, [])
})
