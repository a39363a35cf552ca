import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { chmod, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { readRecords, verifyLog } from '@callgate/evidence'
import type { EvidenceRecord } from '@callgate/evidence'
import type { EvidenceLog } from '../../ports/evidence-log.ts'
import { realDisk } from './disk.ts'
import type { Disk } from './disk.ts'
import { EvidenceBusy, EvidenceCorrupt, EvidenceUnavailable } from './evidence-errors.ts'
import { loadSigningKey, localSigner } from './signing-key.ts'
import { createEvidenceLog } from './evidence-log.ts'
import type { EvidenceLogOptions } from './evidence-log.ts'
import { testIntent, testRecord } from './evidence-testing.ts'
import { SimulatedDisk, systemError } from './simulated-disk.ts'
import type { Fault } from './simulated-disk.ts'

const key = { ...localSigner(generateKeyPairSync('ed25519').privateKey), kid: 'testtest' }

async function temporary(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'callgate-evidence-'))
  t.after(() => rm(folder, { recursive: true }))
  return join(folder, 'state', 'evidence', '0')
}

async function idsIn(directory: string): Promise<string[]> {
  const ids: string[] = []
  for await (const { record } of readRecords(directory)) ids.push(record.id)
  return ids
}

/** Pass or fail of an append, in one word. */
async function fate(appended: Promise<void>): Promise<string> {
  try {
    await appended
    return 'durable'
  } catch (error) {
    return error instanceof Error ? error.name : 'unknown'
  }
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 400 && !condition(); i++) await sleep(5)
  assert.ok(condition(), 'waited 2 s in vain')
}

test('records stand in the log in the order of their appends, across a restart', async (t) => {
  const directory = await temporary(t)
  const expected: string[] = []
  for (let round = 0; round < 3; round++) {
    const log = createEvidenceLog({ directory, key })
    await log.start()
    const ids = Array.from({ length: 300 }, (_, i) => `r${round}.${i}`)
    await Promise.all(ids.map((id) => log.append(testRecord(id))))
    expected.push(...ids)
    await log.close()
  }
  assert.deepEqual(await idsIn(directory), expected)
  const verifierKey = await readFile(join(directory, 'vkey'), 'utf8')
  const verification = await verifyLog(directory, { verifierKey })
  assert.deepEqual([verification.ok, verification.size, verification.problems], [true, 900, []])
  // Partial tiles that a wider one replaced are gone, and so are their empty folders.
  assert.deepEqual((await readdir(join(directory, 'tile', 'entries'))).sort(), ['000', '001', '002', '003.p'])
  assert.deepEqual(await readdir(join(directory, 'tile', '0', '003.p')), ['132'])
})

test('1,000 concurrent appends share less than 40 fsyncs', async (t) => {
  const directory = await temporary(t)
  let syncs = 0
  const disk: Disk = {
    ...realDisk,
    open: async (path, mode) => {
      const file = await realDisk.open(path, mode)
      return {
        ...file,
        // A write to a file opened `durable` is its own sync.
        write: (bytes, position) => {
          if (mode === 'durable') syncs++
          return file.write(bytes, position)
        },
        datasync: () => {
          syncs++
          return file.datasync()
        },
      }
    },
  }
  const log = createEvidenceLog({ directory, key, disk, checkpointMs: 60_000 })
  await log.start()
  const writer = async (name: number): Promise<void> => {
    for (let i = 0; i < 10; i++) await log.append(testRecord(`${name}.${i}`))
  }
  await Promise.all(Array.from({ length: 100 }, (_, i) => writer(i)))
  assert.ok(syncs < 40, `${syncs} fsyncs`)
  await log.close()
})

test('a record is unsigned for at most a second, then under a checkpoint', async (t) => {
  const directory = await temporary(t)
  const log = createEvidenceLog({ directory, key, checkpointMs: 50 })
  await log.start()
  await log.append(testRecord('a'))
  const verifierKey = await readFile(join(directory, 'vkey'), 'utf8')
  const before = await verifyLog(directory, { verifierKey })
  assert.deepEqual([before.ok, before.size, before.unsignedTail], [true, 0, { records: 1, tornBytes: 0 }])
  for (let i = 0; i < 200 && (await verifyLog(directory, { verifierKey })).size < 1; i++) await sleep(5)
  const after = await verifyLog(directory, { verifierKey })
  assert.deepEqual([after.ok, after.size, after.unsignedTail.records], [true, 1, 0])
  await log.close()
})

test('a verifier beside a writing gate finds no problem', async (t) => {
  const directory = await temporary(t)
  const log = createEvidenceLog({ directory, key, checkpointRecords: 37, rotateBytes: 20_000 })
  await log.start()
  const verifierKey = await readFile(join(directory, 'vkey'), 'utf8')
  const writer = async (name: number): Promise<void> => {
    for (let i = 0; i < 80; i++) await log.append(testRecord(`${name}.${i}`))
  }
  const written = Promise.all([0, 1, 2, 3].map(writer))
  for (let pass = 0; pass < 8; pass++)
    assert.deepEqual((await verifyLog(directory, { verifierKey })).problems, [])
  await written
  await log.close()
  assert.equal((await verifyLog(directory, { verifierKey })).size, 320)
})

test('a record that is malformed or over 32 KiB is refused and breaks nothing; one of 32 KiB passes', async (t) => {
  const directory = await temporary(t)
  const log = createEvidenceLog({ directory, key })
  await log.start()
  const empty = Buffer.byteLength(JSON.stringify(testRecord('big')))
  const room = 32 * 1024 - empty
  await log.append(testRecord('big', 'x'.repeat(room)))
  await assert.rejects(log.append(testRecord('big', 'x'.repeat(room + 1))), { name: 'RecordError' })
  await assert.rejects(log.append({ ...testRecord('a'), peer: '\ud800' }), { name: 'TypeError' })
  await assert.rejects(log.append({ ...testRecord('a'), time: 'yesterday' }), { name: 'RecordError' })
  assert.equal(log.health, 'ok')
  await log.close()
  assert.deepEqual(await idsIn(directory), ['big'])
})

test('a second process is refused by name of the first; after its end it may start', async (t) => {
  const directory = await temporary(t)
  const first = createEvidenceLog({ directory, key })
  await first.start()
  const second = createEvidenceLog({ directory, key })
  await assert.rejects(second.start(), (error) => {
    assert.ok(error instanceof EvidenceBusy)
    assert.match(error.message, new RegExp(`pid ${process.pid} on host`))
    return true
  })
  await first.close()
  await second.start()
  await second.close()
})

test('the key is made once with mode 0600, read again, and refused when others may read it', async (t) => {
  const path = join(await temporary(t), 'keys', 'evidence.key')
  const [made, again] = await Promise.all([loadSigningKey(path), loadSigningKey(path)])
  assert.equal(made.kid, again.kid)
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  assert.deepEqual(await readdir(join(path, '..')), ['evidence.key'])
  await chmod(path, 0o640)
  await assert.rejects(loadSigningKey(path), /mode 640 \(expected 600\)/)
})

const SIMULATED = '/state/evidence/0'

interface Simulated {
  readonly log: EvidenceLog
  readonly disk: SimulatedDisk
}

async function simulated(fault?: (operation: string, path: string) => Fault, more = {}): Promise<Simulated> {
  const disk = new SimulatedDisk(fault === undefined ? {} : { fault })
  const owner = { release: () => Promise.resolve() }
  const times: Partial<EvidenceLogOptions> = { rejectAfterMs: 150, probeMs: 10, reserveBytes: 2000, ...more }
  const log = createEvidenceLog({
    directory: SIMULATED,
    key,
    disk,
    own: () => Promise.resolve(owner),
    ...times,
  })
  await log.start()
  return { log, disk }
}

async function storedIn(disk: SimulatedDisk): Promise<EvidenceRecord[]> {
  const found: EvidenceRecord[] = []
  const reader = {
    read: (path: string) => disk.read(`${SIMULATED}/${path}`),
    list: (path: string) => disk.list(`${SIMULATED}/${path}`),
  }
  for await (const { record } of readRecords(reader)) found.push(record)
  return found
}

test('on a full disk no intent is taken from the first full write on, refusals are still recorded, then nothing', async () => {
  const { log, disk } = await simulated()
  await log.append(testIntent('w1'))
  disk.capacity = [...disk.files().values()].reduce((sum, bytes) => sum + bytes.length, 0)
  // The write that meets the full disk: the reserve is spent for the outcome, the intent beside it is not taken.
  const met = await Promise.all([fate(log.append(testRecord('r1'))), fate(log.append(testIntent('w2')))])
  assert.deepEqual(met, ['durable', 'EvidenceUnavailable'])
  assert.equal(log.health, 'degraded')
  assert.equal(await fate(log.append(testIntent('w3'))), 'EvidenceUnavailable')
  assert.equal(await fate(log.append(testRecord('r2'))), 'durable')
  let last = 'durable'
  for (let i = 3; i < 30 && last === 'durable'; i++) last = await fate(log.append(testRecord(`r${i}`)))
  assert.equal(last, 'EvidenceUnavailable')
  assert.equal(log.health, 'down')
  assert.equal(await fate(log.append(testRecord('x'))), 'EvidenceUnavailable')
  disk.capacity = Infinity
  await until(() => log.health === 'ok')
  assert.equal(await fate(log.append(testIntent('w4'))), 'durable')
  await log.close()
  const found = await storedIn(disk)
  const ids = new Set(found.map((record) => record.id))
  for (const id of ['w1', 'r1', 'r2', 'w4']) assert.ok(ids.has(id), id)
  for (const id of ['w2', 'w3', 'x']) assert.ok(!ids.has(id), id)
  // The gap itself is on record.
  const gap = found.find((record) => record.kind === 'gate')
  assert.deepEqual(gap?.kind === 'gate' && gap.event === 'recovered' && gap.detail['fault'], 'ENOSPC')
})

test('an fsync that fails once is not believed: the bytes are written again, and no call is lost', async () => {
  let failing = 0
  const { log, disk } = await simulated((operation, path) =>
    operation === 'datasync' && path.endsWith('/pending') && failing-- > 0 ? systemError('EIO') : undefined,
  )
  failing = 1
  const written = disk.operations
  assert.equal(await fate(log.append(testRecord('a'))), 'durable')
  assert.ok(disk.operations - written >= 6, 'it was reopened, cut and written again')
  await until(() => log.health === 'ok')
  await log.close()
  assert.deepEqual(
    (await storedIn(disk)).map((record) => record.id),
    ['a'],
  )
})

test('with every write failing the append is rejected in time, and the log comes back without a restart', async () => {
  let failing = false
  const { log, disk } = await simulated((operation, path) =>
    failing && operation === 'write' && path.endsWith('/pending') ? systemError('EIO') : undefined,
  )
  failing = true
  const queued = Promise.all([fate(log.append(testRecord('a'))), fate(log.append(testRecord('b')))])
  assert.deepEqual(await queued, ['EvidenceUnavailable', 'EvidenceUnavailable'])
  assert.equal(log.health, 'down')
  failing = false
  await until(() => log.health === 'ok')
  assert.equal(await fate(log.append(testRecord('c'))), 'durable')
  await log.close()
  const found = await storedIn(disk)
  assert.deepEqual(
    found.map((record) => (record.kind === 'gate' ? record.detail['rejected'] : record.id)),
    [2, 'c'],
  )
})

test('a disk that hangs does not hang the caller', async () => {
  let hanging = false
  const { log } = await simulated((operation) => (hanging && operation === 'datasync' ? 'hang' : undefined))
  hanging = true
  await assert.rejects(log.append(testRecord('a')), EvidenceUnavailable)
  assert.equal(log.health, 'down')
  assert.equal(await fate(log.append(testRecord('b'))), 'EvidenceUnavailable')
})

test('a checkpoint that fails degrades, is tried again and signs the same leaves', async () => {
  let failing = true
  const { log, disk } = await simulated(
    (operation, path) =>
      failing && operation === 'write' && path.includes('/tile/') ? systemError('EIO') : undefined,
    { checkpointMs: 5 },
  )
  await log.append(testRecord('a'))
  await until(() => log.health === 'degraded')
  assert.equal(await fate(log.append(testRecord('b'))), 'durable')
  failing = false
  await until(() => log.health === 'ok')
  assert.ok(disk.checkpoints.length > 0)
  await log.close()
  assert.deepEqual(
    (await storedIn(disk)).map((record) => record.id),
    ['a', 'b'],
  )
})

test('every operation that fails once, one after the other, loses no durable record', async () => {
  const total = (await simulatedRun(Infinity)).operations
  for (let nth = 1; nth <= total; nth++) {
    const { acknowledged, stored } = await simulatedRun(nth)
    for (const id of acknowledged)
      assert.ok(stored.includes(id), `operation ${nth} failed and record ${id} is lost`)
  }
})

async function simulatedRun(
  nth: number,
): Promise<{ acknowledged: string[]; stored: string[]; operations: number }> {
  let armed = false
  let count = 0
  const { log, disk } = await simulated(() => (armed && ++count === nth ? systemError('EIO') : undefined), {
    checkpointRecords: 2,
    rotateBytes: 500,
    probeMs: 1,
  })
  armed = true
  const acknowledged: string[] = []
  for (const id of ['a', 'b', 'c', 'd', 'e']) {
    if ((await fate(log.append(testRecord(id)))) === 'durable') acknowledged.push(id)
  }
  armed = false
  await log.close()
  return { acknowledged, stored: (await storedIn(disk)).map((record) => record.id), operations: count }
}

test('a start refuses a changed tile, a foreign key, a missing journal and a cut journal; untouched it starts', async (t) => {
  const directory = await temporary(t)
  const log = createEvidenceLog({ directory, key, checkpointMs: 20 })
  await log.start()
  for (let i = 0; i < 5; i++) await log.append(testRecord(`a${i}`))
  await log.close()
  const restart = async (with_ = key): Promise<void> => {
    const again = createEvidenceLog({ directory, key: with_, origin: 'callgate/testtest/evidence/0' })
    await again.start()
    await again.close()
  }
  const refused = async (file: string, bytes: Buffer | undefined, message: RegExp): Promise<void> => {
    const path = join(directory, file)
    const before = await readFile(path)
    await (bytes === undefined ? rm(path) : writeFile(path, bytes))
    await assert.rejects(restart(), (error) => {
      assert.ok(error instanceof EvidenceCorrupt, String(error))
      assert.match(error.message, message)
      return true
    })
    await writeFile(path, before)
  }
  const tile = await readFile(join(directory, 'tile/0/000.p/5'))
  tile[7] = (tile[7] ?? 0) ^ 1
  await refused('tile/0/000.p/5', tile, /tiles in .* give root `.+`, the checkpoint of size 5 says `.+`/)
  await refused('tile/0/000.p/5', undefined, /is missing \(expected 5 hashes/)
  await refused('tile/entries/000.p/5', undefined, /no readable leaves \(expected 5\)/)
  await refused('pending', undefined, /`.*pending` is missing beside a checkpoint of 5 records/)
  await refused('checkpoint', undefined, /`.*checkpoint` is missing beside tiles/)
  await refused('checkpoint', Buffer.from('nonsense\n'), /no blank line/)
  const foreign = { ...localSigner(generateKeyPairSync('ed25519').privateKey), kid: 'testtest' }
  await assert.rejects(restart(foreign), /no signature of .* restore its key or the checkpoint/)
  await restart()
})

test('5 kill -9 under load lose no acknowledged record', async (t) => {
  const directory = await temporary(t)
  const acknowledged: string[] = []
  for (let round = 0; round < 5; round++) {
    const child = spawn(
      process.execPath,
      [fileURLToPath(new URL('evidence-log.child.ts', import.meta.url)), directory, `k${round}`],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    const gone = new Promise((resolve) => {
      child.once('exit', resolve)
    })
    let seen = 0
    for await (const line of createInterface({ input: child.stdout })) {
      acknowledged.push(line)
      if (++seen === 150 + round * 40) child.kill('SIGKILL')
    }
    await gone
    assert.ok(seen >= 150, `${seen} acknowledged in round ${round}`)
  }
  const log = createEvidenceLog({
    directory,
    key: await loadSigningKey(join(directory, '../../keys/evidence.key')),
  })
  await log.start()
  await log.close()
  const found = new Set(await idsIn(directory))
  assert.deepEqual(
    acknowledged.filter((id) => !found.has(id)),
    [],
  )
  const verifierKey = await readFile(join(directory, 'vkey'), 'utf8')
  const { ok, unsignedTail } = await verifyLog(directory, { verifierKey })
  assert.deepEqual([ok, unsignedTail], [true, { records: 0, tornBytes: 0 }])
})

test('on a real full file system appends are refused, and go on without a restart once there is room', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'callgate-full-'))
  t.after(() => rm(folder, { recursive: true }))
  const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder], { encoding: 'utf8' })
  if (mount.status !== 0) {
    t.skip(`no tmpfs can be mounted here: ${mount.error?.message ?? mount.stderr.trim()}`)
    return
  }
  try {
    const log = createEvidenceLog({ directory: join(folder, '0'), key, probeMs: 20, rejectAfterMs: 300 })
    await log.start()
    await writeFile(join(folder, 'ballast'), Buffer.alloc(8 * 1024 * 1024)).catch(() => undefined)
    const durable: string[] = []
    for (let i = 0; i < 3000 && log.health !== 'down'; i++) {
      if ((await fate(log.append(testRecord(`r${i}`, 'x'.repeat(900))))) === 'durable') durable.push(`r${i}`)
    }
    assert.equal(log.health, 'down')
    assert.ok(durable.length > 20, `${durable.length} records came from the reserve`)
    await rm(join(folder, 'ballast'))
    await until(() => log.health === 'ok')
    assert.equal(await fate(log.append(testIntent('w'))), 'durable')
    await log.close()
    const found = new Set(await idsIn(join(folder, '0')))
    assert.deepEqual(
      [...durable, 'w'].filter((id) => !found.has(id)),
      [],
    )
  } finally {
    spawnSync('umount', [folder])
  }
})
