import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { TreeEdge, leafHash, parseCheckpoint, readRecords, verifyLog, encodeRecord } from '@callgate/evidence'
import type { EvidenceRecord, LogReader } from '@callgate/evidence'
import { parseNoteText, testRecord } from './evidence-testing.ts'
import { createEvidenceLog } from './evidence-log.ts'
import type { EvidenceLog } from '../../ports/evidence-log.ts'
import { SimulatedDisk, seededRandom } from './simulated-disk.ts'
import { localSigner } from './signing-key.ts'
import { verifies } from '../../testing/verifies.ts'

const DIRECTORY = '/state/evidence/0'
const key = { ...localSigner(generateKeyPairSync('ed25519').privateKey), kid: 'testtest' }
const SEED = Number(process.env['CALLGATE_SEED'] ?? 20_261_122)
const POINTS = Number(process.env['CALLGATE_CRASH_POINTS'] ?? 1000)

function open(disk: SimulatedDisk): EvidenceLog {
  const owner = { release: () => Promise.resolve() }
  const own = (): Promise<typeof owner> => Promise.resolve(owner)
  // Small figures, so that one run holds many checkpoints and rotations.
  const small = { checkpointRecords: 4, reserveBytes: 64, rotateBytes: 1000 }
  return createEvidenceLog({ directory: DIRECTORY, key, disk, own, ...small })
}

function readerOf(disk: SimulatedDisk): LogReader {
  return {
    read: (path) => disk.read(`${DIRECTORY}/${path}`),
    list: (path) => disk.list(`${DIRECTORY}/${path}`),
  }
}

/** Three writers append until the power goes. */
async function work(disk: SimulatedDisk, round: number, acknowledged: Set<string>): Promise<void> {
  const random = disk.options.random ?? seededRandom(SEED)
  const log = open(disk)
  await log.start()
  const writer = async (name: string): Promise<void> => {
    for (let i = 0; i < 5; i++) {
      const id = `r${round}.${name}.${i}`
      await log.append(testRecord(id, 'x'.repeat(i * 170)))
      acknowledged.add(id)
      // Now and then the writers pause, so that checkpoints and rotations fall behind, between and before appends.
      if (random() < 0.4) await setImmediate()
    }
  }
  await Promise.all(['a', 'b', 'c'].map(writer))
  await log.close()
}

async function records(disk: SimulatedDisk): Promise<EvidenceRecord[]> {
  const found: EvidenceRecord[] = []
  for await (const { record } of readRecords(readerOf(disk))) found.push(record)
  return found
}

/** Runs one seeded crash, often two in a row. @returns what is wrong, undefined when nothing is */
async function crashOnce(seed: number, operations: number, syncs: boolean): Promise<string | undefined> {
  const random = seededRandom(seed)
  const acknowledged = new Set<string>()
  const checkpoints: Buffer[] = []
  let disk = new SimulatedDisk({ random, syncs, crashAt: 1 + Math.floor(random() * operations) })
  const rounds = random() < 0.4 ? 2 : 1
  for (let round = 0; round < rounds; round++) {
    await Promise.race([work(disk, round, acknowledged), disk.crashed])
    checkpoints.push(...disk.checkpoints)
    const crashAt = round + 1 < rounds ? 1 + Math.floor(random() * 60) : Infinity
    disk = disk.restart({ random, syncs, crashAt }, random() < 0.9)
  }
  const log = open(disk)
  await log.start()
  await log.append(testRecord('after', ''))
  await log.close()
  checkpoints.push(...disk.checkpoints)
  const { verifierKey } = parseNoteText(disk.files().get(`${DIRECTORY}/vkey`))
  const verification = await verifyLog(readerOf(disk), { verifierKey })
  if (!verification.ok) return `seed ${seed}: ${JSON.stringify(verification.problems)}`
  const found = await records(disk)
  const ids = new Set(found.map((record) => record.id))
  for (const id of acknowledged) if (!ids.has(id)) return `seed ${seed}: acknowledged record ${id} is lost`
  if (ids.size !== found.length) return `seed ${seed}: a record stands twice`
  return contradiction(found, checkpoints, seed)
}

/** Every checkpoint that was ever visible must be a prefix of what the log holds in the end. */
function contradiction(
  found: readonly EvidenceRecord[],
  notes: readonly Buffer[],
  seed: number,
): string | undefined {
  const roots = [TreeEdge.empty().root()]
  const edge = TreeEdge.empty()
  for (const record of found) {
    edge.append(leafHash(encodeRecord(record)))
    roots.push(edge.root())
  }
  for (const note of notes) {
    const { size, root } = parseCheckpoint(parseNoteText(note).text)
    if (roots[size]?.equals(root) !== true)
      return `seed ${seed}: the signed checkpoint of size ${size} no longer holds`
  }
  return undefined
}

async function failures(points: number, syncs: boolean, enough: number): Promise<string[]> {
  const whole = new SimulatedDisk({ syncs })
  await work(whole, 0, new Set())
  const found: string[] = []
  for (let i = 0; i < points && found.length < enough; i++) {
    let failure: string | undefined
    try {
      failure = await crashOnce(SEED + i, whole.operations, syncs)
    } catch (error) {
      failure = `seed ${SEED + i}: ${error instanceof Error ? error.message : String(error)}`
    }
    if (failure !== undefined) found.push(failure)
  }
  return found
}

test(`no acknowledged record is lost and no checkpoint contradicted over ${POINTS} crash points`, async (t) => {
  verifies('spine.power-loss')
  t.diagnostic(`seed ${SEED}; CALLGATE_SEED and CALLGATE_CRASH_POINTS change them`)
  assert.deepEqual(await failures(POINTS, true, 1), [])
})

test('the same crash points find lost records when fdatasync does nothing', async () => {
  verifies('spine.power-loss')
  const found = await failures(POINTS, false, 5)
  assert.equal(found.length, 5)
  assert.ok(
    found.some((failure) => failure.includes('is lost')),
    found.join('\n'),
  )
})
