import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { before, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import {
  FRAME_HEADER_BYTES,
  decodeEntries,
  encodeEntries,
  encodeFrame,
  leafHash,
  scanPending,
  verifierKeyText,
  verifyLog,
} from '@callgate/evidence'
import type { LogReader, Verification } from '@callgate/evidence'
import { createEvidenceLog } from './evidence-log.ts'
import { SimulatedDisk } from './simulated-disk.ts'
import { localSigner } from './signing-key.ts'
import { verifies } from '../../testing/verifies.ts'

const { privateKey } = generateKeyPairSync('ed25519')
const origin = 'callgate/test/evidence/0'
const verifierKey = verifierKeyText(origin, createPublicKey(privateKey))
const DIRECTORY = '/state/evidence/0'

/** Files of a log of 20 records, 12 of them signed, as a live gate has it. */
let files: Map<string, Buffer>

before(async () => {
  const disk = new SimulatedDisk()
  const owner = { release: () => Promise.resolve() }
  const log = createEvidenceLog({
    directory: DIRECTORY,
    key: { ...localSigner(privateKey), kid: 'test' },
    origin,
    disk,
    own: () => Promise.resolve(owner),
    checkpointRecords: 12,
    checkpointMs: 60_000,
  })
  await log.start()
  for (let i = 0; i < 20; i++) {
    // Short records: every byte of them costs a verification below.
    await log.append({
      v: 1,
      kind: 'gate',
      id: `id${i}`,
      time: '2026-11-22T20:00:00.000Z',
      event: 'stop',
      detail: {},
    })
    // The simulated disk needs no event loop turn but this one to come to its checkpoint.
    if (i === 11) await setImmediate()
  }
  files = new Map(
    [...disk.files()].map(([path, bytes]) => [path.slice(DIRECTORY.length + 1), Buffer.from(bytes)]),
  )
})

function readerOf(changed: ReadonlyMap<string, Buffer | undefined>): LogReader {
  const read = (path: string): Buffer | undefined => (changed.has(path) ? changed.get(path) : files.get(path))
  return {
    read: (path) => Promise.resolve(read(path)),
    list: (folder) => {
      const names = [...files.keys()].filter(
        (path) => path.startsWith(`${folder}/`) && read(path) !== undefined,
      )
      return Promise.resolve(
        names.map((path) => path.slice(folder.length + 1)).filter((name) => !name.includes('/')),
      )
    },
  }
}

function verify(path: string, bytes: Buffer | undefined): Promise<Verification> {
  return verifyLog(readerOf(new Map([[path, bytes]])), { verifierKey })
}

function file(path: string): Buffer {
  const bytes = files.get(path)
  assert.ok(bytes !== undefined, `no file ${path} among ${[...files.keys()].join(', ')}`)
  return bytes
}

const SIGNED_FILES = ['checkpoint', 'tile/0/000.p/12', 'tile/entries/000.p/12']

test('the untouched log of 20 records, 12 signed, verifies and tells its unsigned tail', async () => {
  verifies('evidence.offline')
  verifies('play4.evidence')
  const result = await verifyLog(readerOf(new Map()), { verifierKey })
  assert.deepEqual([result.ok, result.size, result.problems], [true, 12, []])
  assert.deepEqual(result.unsignedTail, { records: 8, tornBytes: 0 })
})

test('every flipped byte of checkpoint, tiles and entries is found', async () => {
  verifies('evidence.every-byte')
  verifies('play4.evidence')
  for (const path of SIGNED_FILES) {
    const bytes = Buffer.from(file(path))
    for (let at = 0; at < bytes.length; at++) {
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8))
      assert.equal((await verify(path, bytes)).ok, false, `${path} byte ${at}`)
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8))
    }
  }
})

test('every flipped byte of the journal is a problem, but in the last record, where it is a reported torn tail', async () => {
  const bytes = Buffer.from(file('pending'))
  const last = bytes.length - (FRAME_HEADER_BYTES + (scanPending(bytes).leaves.at(-1)?.leaf.length ?? 0))
  for (let at = 0; at < bytes.length; at++) {
    bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8))
    const { ok, unsignedTail } = await verify('pending', bytes)
    if (at < last) assert.equal(ok, false, `byte ${at}`)
    else
      assert.deepEqual([ok, unsignedTail.records, unsignedTail.tornBytes > 0], [true, 7, true], `byte ${at}`)
    bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8))
  }
})

test('every truncation of a signed file, and its removal, is found', async () => {
  for (const path of SIGNED_FILES) {
    const bytes = file(path)
    assert.equal((await verify(path, undefined)).ok, false, `${path} removed`)
    for (let length = 0; length < bytes.length; length++) {
      assert.equal((await verify(path, bytes.subarray(0, length))).ok, false, `${path} cut to ${length}`)
    }
  }
})

test('a journal cut below the signed records is a problem; cut in the unsigned ones it is a torn tail', async () => {
  const bytes = file('pending')
  const { leaves } = scanPending(bytes)
  let at = 0
  for (const { index, leaf } of leaves) {
    const middle = at + 20
    const { ok, unsignedTail } = await verify('pending', bytes.subarray(0, middle))
    // Nothing is left of the first record, so nothing tells where the journal began.
    if (index > 0) assert.deepEqual([ok, unsignedTail.tornBytes], [index >= 12, 20], `record ${index}`)
    at += FRAME_HEADER_BYTES + leaf.length
  }
})

test('swapped, doubled, dropped and added records are found', async () => {
  const path = 'tile/entries/000.p/12'
  const leaves = decodeEntries(file(path)) ?? []
  const [first = Buffer.alloc(0), second = Buffer.alloc(0), ...rest] = leaves
  for (const changed of [
    [second, first, ...rest],
    [first, first, ...rest],
    [second, ...rest],
    [first, second, ...rest, first],
  ]) {
    assert.equal((await verify(path, encodeEntries(changed))).ok, false)
  }
  assert.equal((await verify(path, encodeEntries(leaves))).ok, true)
})

test('a journal whose signed record differs from the signed one is a problem', async () => {
  const other = scanPending(file('pending')).leaves.slice()
  const leaf = Buffer.from('{"changed":true}')
  other[3] = { index: 3, leaf, hash: leafHash(leaf) }
  const bytes = Buffer.concat(other.map((one) => encodeFrame(one, one.index)))
  const { problems } = await verify('pending', bytes)
  assert.match(problems[0]?.what ?? '', /record 3 has hash `.*`, the signed one `.*`/)
})
