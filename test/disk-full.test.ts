import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { Agent } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { type EvidenceRecord, readRecords, verifyLog } from '@callgate/evidence'
import { openDevIssuer } from '../packages/gateway/src/adapters/keys/dev-issuer.ts'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { type FixtureServer, startFixture } from './harness/fixture-http.ts'
import { TestGate } from './harness/gate.ts'
import { type HostCall, callTool, claimToken } from './harness/load.ts'

/** Size of the disk, in MiB: the log's reserve, its key files and room for a few hundred records. */
const DISK_MIB = 2
const PAGE = 4096
const TOKENS = 240

/** A mount namespace of its own: the disk is seen by the gate alone and goes when the gate goes, however it ends. */
const NAMESPACE = process.getuid?.() === 0 ? ['unshare', '-m'] : ['unshare', '-Urm']

/** Program and arguments that put a small disk under a folder and run what follows. */
const onSmallDisk = (folder: string): string[] => [
  ...NAMESPACE,
  'sh',
  '-c',
  `mount -t tmpfs -o size=${DISK_MIB}m,mode=700 callgate '${folder}' && exec "$@"`,
  'sh',
]

/** Skips with the one reason that there is; as root under CI there is none. */
function canMount(t: TestContext, folder: string): boolean {
  const [command = '', ...args] = [...onSmallDisk(folder), 'true']
  if (spawnSync(command, args).status === 0) return true
  if (process.env['CI'] === 'true' && process.getuid?.() === 0)
    assert.fail('root under CI cannot mount a tmpfs in a mount namespace')
  t.skip('this machine lets nobody mount a tmpfs in a mount namespace (`unshare -Urm`)')
  return false
}

/** The gate on its small disk, and the hands that fill it. */
class Scene {
  readonly gate: TestGate
  readonly server: FixtureServer
  readonly calls: HostCall[] = []
  readonly #agent = new Agent({ keepAlive: true })
  readonly #tokens: string[] = []
  #made = 0

  constructor(gate: TestGate, server: FixtureServer) {
    this.gate = gate
    this.server = server
  }

  /** The state folder as the gate sees it. */
  get state(): string {
    return `/proc/${this.gate.process.pid}/root${this.gate.state}`
  }

  get log(): string {
    return join(this.state, 'evidence', '0')
  }

  /** The log gives its reserve up at the first write that finds the disk full. */
  get reserveHeld(): boolean {
    return existsSync(join(this.log, 'reserve'))
  }

  /** Tokens that are known before the disk is full: what a full disk does to unknown ones is another test. */
  async claimTokens(): Promise<void> {
    const issuer = openDevIssuer(this.state)
    const audience = `${this.gate.url}/mcp/fix`
    for (let i = 0; i < TOKENS; i++)
      this.#tokens.push(issuer.mint({ audience, subject: `c${i}`, clientId: 'load' }).token)
    const waiting = [...this.#tokens]
    const claim = async (): Promise<void> => {
      for (let token = waiting.pop(); token !== undefined; token = waiting.pop())
        await claimToken(this.#host, token)
    }
    await Promise.all(Array.from({ length: 8 }, claim))
  }

  get #host() {
    return { url: this.gate.url, agent: this.#agent }
  }

  async call(tool: 'look' | 'note'): Promise<HostCall> {
    for (;;) {
      const i = this.#made++
      const call = await callTool(this.#host, tool, `c${i}`, this.#tokens[i] ?? '')
      this.calls.push(call)
      // A machine that stops the gate for a while makes it refuse that one call; it says nothing of the disk.
      if (call.code !== 'CG_STAGE_BUDGET') return call
    }
  }

  /** Takes all room that is left, to the last page. */
  fill(): void {
    const file = openSync(join(this.state, 'filler'), 'a')
    const page = Buffer.alloc(PAGE, 1)
    try {
      for (;;) writeSync(file, page)
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC')
    } finally {
      closeSync(file)
    }
  }

  free(): void {
    rmSync(join(this.state, 'filler'))
  }

  /** Marks that the server saw, with the time. */
  async seen(): Promise<ReadonlyMap<string, number>> {
    return new Map((await this.server.seen()).map(({ mark, at }) => [mark, at]))
  }

  async close(): Promise<void> {
    this.#agent.destroy()
    await this.gate.stop()
    await this.server.close()
  }
}

async function openScene(folder: string): Promise<Scene> {
  const server = await startFixture()
  mkdirSync(join(folder, 'state'), { recursive: true })
  const gate = await TestGate.start({
    folder,
    servers: server.yaml,
    wrap: onSmallDisk(join(folder, 'state')),
  })
  return new Scene(gate, server)
}

test(
  'on a full disk no write goes upstream, then no call at all, nothing unrecorded is answered, and freed room ends it',
  { timeout: 60_000 },
  async (t) => {
    verifies('spine.disk-full')
    const folder = mkdtempSync(join(tmpdir(), 'callgate-full-'))
    mkdirSync(join(folder, 'state'))
    if (!canMount(t, join(folder, 'state'))) return rmSync(folder, { recursive: true })
    const scene = await openScene(folder)
    try {
      await scene.claimTokens()
      await t.test('with room both classes are answered', async () => {
        assert.equal((await scene.call('look')).end, 'answered')
        assert.equal((await scene.call('note')).end, 'answered')
      })
      await t.test(
        'from the first full write on no write goes upstream, while reads are answered from the reserve',
        () => firstFullWrite(scene),
      )
      await t.test(
        'after the first failed append no call of any class goes upstream until an append works',
        () => firstFailedAppend(scene),
      )
      await t.test(
        'the gate recovers without a restart once there is room, and its log holds all that was told',
        () => recovery(scene),
      )
    } finally {
      await scene.close()
      rmSync(folder, { recursive: true })
    }
    return undefined
  },
)

async function firstFullWrite(scene: Scene): Promise<void> {
  scene.fill()
  // Reads go on until one of their records meets the full disk, which costs the log its reserve.
  while (scene.reserveHeld) assert.notEqual((await scene.call('look')).end, 'lost')
  const answered: HostCall[] = []
  for (let i = 0; i < 5; i++) {
    const write = await scene.call('note')
    assert.equal(write.end, 'refused', 'a write was answered on a full disk')
    assert.equal(write.code, 'CG_EVIDENCE_UNAVAILABLE')
    assert.ok(write.ms <= 2_000, `the refusal took ${write.ms} ms`)
    assert.equal((await scene.seen()).has(write.mark), false, `the write ${write.mark} reached the server`)
    const read = await scene.call('look')
    if (read.end === 'answered') answered.push(read)
  }
  assert.ok(answered.length > 0, 'no read was answered from the reserve')
}

async function firstFailedAppend(scene: Scene): Promise<void> {
  const readUntilRefused = async (): Promise<HostCall> => {
    for (;;) {
      // What the log gave up is taken at once, so that the next records find nothing.
      scene.fill()
      const call = await scene.call('look')
      if (call.end !== 'answered') return call
    }
  }
  const met = await readUntilRefused()
  const downSince = Date.now()
  assert.equal(met.code, 'CG_EVIDENCE_UNAVAILABLE')
  assert.ok(met.ms <= 2_000, `the refusal took ${met.ms} ms`)
  assert.ok(
    (await scene.seen()).has(met.mark),
    'the read that met the failed append had its answer, and it was withheld',
  )
  const after: HostCall[] = []
  for (const tool of ['look', 'note', 'look', 'note', 'look', 'note'] as const)
    after.push(await scene.call(tool))
  for (const call of after) {
    assert.equal(call.end, 'refused')
    assert.ok(call.ms <= 2_000, `the refusal took ${call.ms} ms`)
  }
  // The log's own clock says when an append worked again: before that nothing may have gone upstream.
  const seen = await scene.seen()
  const back = (await records(scene)).find(
    (record) => record.kind === 'gate' && record.event === 'recovered' && Date.parse(record.time) > downSince,
  )
  const backAt = back === undefined ? Number.POSITIVE_INFINITY : Date.parse(back.time)
  const passed = after.filter(({ mark }) => (seen.get(mark) ?? Number.POSITIVE_INFINITY) < backAt)
  assert.deepEqual(passed, [])
  assert.ok(
    after.some(({ mark }) => !seen.has(mark)),
    'no call was kept from the server',
  )
}

async function recovery(scene: Scene): Promise<void> {
  scene.free()
  let write = await scene.call('note')
  for (let tries = 0; write.end !== 'answered' && tries < 50; tries++) {
    await pause(100)
    write = await scene.call('note')
  }
  assert.equal(write.end, 'answered', 'the gate did not come back')
  assert.equal((await scene.call('look')).end, 'answered')

  const verifierKey = readFileSync(join(scene.log, 'vkey'), 'utf8').trim()
  const verification = await verifyLog(scene.log, { verifierKey })
  assert.ok(verification.ok, JSON.stringify(verification.problems))
  const told = await records(scene)
  const outcomes = new Map(
    told.filter((record) => record.kind === 'outcome').map((record) => [record.subject, record.outcome]),
  )
  const intents = new Set(told.filter((record) => record.kind === 'intent').map((record) => record.subject))
  const seen = await scene.seen()
  for (const { mark, end, tool } of scene.calls) {
    if (end === 'answered')
      assert.equal(outcomes.get(mark), 'answered', `the answered call ${mark} has no record`)
    if (tool === 'note' && seen.has(mark)) assert.ok(intents.has(mark), `the write ${mark} has no intent`)
    if (tool === 'note' && end !== 'answered')
      assert.equal(seen.has(mark), false, `the refused write ${mark} reached the server`)
  }
  const gap = told.find((record) => record.kind === 'gate' && record.event === 'recovered')
  assert.ok(gap, 'no record tells of the gap')
}

async function records(scene: Scene): Promise<EvidenceRecord[]> {
  const all: EvidenceRecord[] = []
  for await (const { record } of readRecords(scene.log)) all.push(record)
  return all
}
