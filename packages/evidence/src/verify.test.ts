import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { corpusRows } from '../../gateway/src/testing/corpora.ts'
import { signCheckpoint } from './checkpoint.ts'
import type { LogReader } from './log-reader.ts'
import { leafHash } from './merkle.ts'
import { verifierKeyText } from './note.ts'
import { encodeFrame } from './pending.ts'
import { encodeRecord } from './record.ts'
import type { EvidenceRecord, OutcomeRecord } from './record.ts'
import { readRecords } from './records.ts'
import { encodeEntries, encodeTile, entriesPath, tilePath } from './tiles.ts'
import { TreeEdge } from './tree-edge.ts'
import { verifyLog } from './verify.ts'

const { privateKey } = generateKeyPairSync('ed25519')
const signer = { name: 'log.example/0', privateKey }
const verifierKey = verifierKeyText(signer.name, createPublicKey(privateKey))

/** Files of a log whose last `unsigned` leaves stand in the journal only. */
function filesOf(leaves: readonly Buffer[], unsigned = 0): Map<string, Buffer> {
  const files = new Map<string, Buffer>()
  const edge = TreeEdge.empty()
  const signed = leaves.slice(0, leaves.length - unsigned)
  for (const leaf of signed) {
    for (const tile of edge.append(leafHash(leaf)))
      files.set(tilePath(tile.level, tile.index), encodeTile(tile.hashes))
  }
  for (const tile of edge.unfinished())
    files.set(tilePath(tile.level, tile.index, tile.width), encodeTile(tile.hashes))
  for (let i = 0; i < signed.length; i += 256) {
    const bundle = signed.slice(i, i + 256)
    files.set(entriesPath(i / 256, bundle.length), encodeEntries(bundle))
  }
  files.set('checkpoint', Buffer.from(signCheckpoint(edge.size, edge.root(), signer)))
  const frames = leaves.slice(signed.length).map((leaf, i) => {
    const index = signed.length + i
    return encodeFrame({ index, leaf, hash: leafHash(leaf) }, index)
  })
  files.set('pending', Buffer.concat(frames))
  return files
}

function readerOf(files: ReadonlyMap<string, Buffer>): LogReader {
  return {
    read: (path) => Promise.resolve(files.get(path)),
    list: (folder) => {
      const names = [...files.keys()].filter((path) => path.startsWith(`${folder}/`))
      return Promise.resolve(names.map((path) => path.slice(folder.length + 1)))
    },
  }
}

function outcome(id: string, more: Partial<OutcomeRecord> = {}): OutcomeRecord {
  const call = {
    method: 'tools/call',
    server: 'crm',
    tool: 'get',
    class: 'read',
    era: 'modern',
    endpoint: '/mcp',
  }
  const time = '2026-11-22T20:00:00.000Z'
  return { v: 1, kind: 'outcome', id, time, call, peer: 'p', outcome: 'answered', ms: 1, ...more }
}

function intent(id: string): EvidenceRecord {
  const { v, time, call, peer } = outcome(id)
  return { v, kind: 'intent', id, time, call: { ...call, class: 'write' }, peer }
}

function write(id: string, more: Partial<OutcomeRecord> = {}): OutcomeRecord {
  return outcome(id, { call: { ...outcome(id).call, class: 'write' }, ...more })
}

async function problemsOf(records: readonly EvidenceRecord[], unsigned = 0): Promise<string[]> {
  const reader = readerOf(filesOf(records.map(encodeRecord), unsigned))
  const { problems } = await verifyLog(reader, { verifierKey })
  return problems.map(({ where, what }) => `${where}: ${what}`)
}

test('an answered non-read call without an intent before it is a problem; all else passes', async () => {
  assert.deepEqual(
    await problemsOf([intent('a'), write('a'), outcome('b'), write('c', { outcome: 'refused' })]),
    [],
  )
  const missing = /record [01] \(a\): write call was answered without an intent/
  assert.match((await problemsOf([write('a')]))[0] ?? '', missing)
  assert.match((await problemsOf([write('a'), intent('a')]))[0] ?? '', missing)
  assert.match((await problemsOf([intent('b'), write('a')]))[0] ?? '', missing)
  assert.match((await problemsOf([intent('a'), write('a'), write('a')]))[0] ?? '', /record 2 \(a\)/)
  // A tool without a class counts as one that writes; so do classes yet unknown, in the unsigned tail too.
  const unclassified = outcome('a', { call: { method: 'tools/call', era: 'modern', endpoint: '/mcp' } })
  assert.match((await problemsOf([unclassified]))[0] ?? '', /unclassified call/)
  const poll = outcome('a', { call: { ...outcome('a').call, class: 'poll' } })
  assert.match((await problemsOf([outcome('b'), poll], 1))[0] ?? '', /record 1 \(a\): poll call/)
  assert.deepEqual(await problemsOf([intent('a'), write('a')], 1), [])
})

test('a call that had the answer of another one needs no intent, unless it was sent all the same', async () => {
  assert.deepEqual(await problemsOf([intent('a'), write('a'), write('b', { replayed: 'a' })]), [])
  const missing = /record 2 \(b\): write call was answered without an intent/
  const sent = write('b', { replayed: 'a', upstream_ms: 3 })
  assert.match((await problemsOf([intent('a'), write('a'), sent]))[0] ?? '', missing)
  assert.match((await problemsOf([intent('a'), write('a'), write('b', { replayed: 'b' })]))[0] ?? '', missing)
  assert.throws(() => encodeRecord(write('b', { replayed: 'no id' })), /`replayed`/)
})

test('a signed leaf that is no canonical record is a problem', async () => {
  const leaves = [encodeRecord(outcome('a')), Buffer.from('{"b":1,"a":2}')]
  const { problems } = await verifyLog(readerOf(filesOf(leaves)), { verifierKey })
  assert.match(problems[0]?.what ?? '', /differs from its canonical form/)
})

test('a log of 66,000 leaves verifies at three tile levels, and any one changed tile is found', async () => {
  const leaves = Array.from({ length: 66_000 }, (_, i) => Buffer.from(String(i)))
  const files = filesOf(leaves)
  const options = { verifierKey, records: false }
  const { ok, size } = await verifyLog(readerOf(files), options)
  assert.deepEqual([ok, size], [true, 66_000])
  const changes = ['tile/0/100', 'tile/1/000', 'tile/1/001.p/1', 'tile/2/000.p/1'].map((path) => {
    const bytes = Buffer.from(files.get(path) ?? assert.fail(path))
    bytes[9] = (bytes[9] ?? 0) ^ 1
    return [path, bytes] as const
  })
  const { problems } = await verifyLog(readerOf(new Map([...files, ...changes])), options)
  assert.deepEqual(problems.map((problem) => problem.where).sort(), changes.map(([path]) => path).sort())
})

test('a wider partial tile stands for one that a live gate has replaced, a shorter one does not', async () => {
  const leaves = Array.from({ length: 9 }, (_, i) => encodeRecord(outcome(`id${i}`)))
  const files = filesOf(leaves.slice(0, 5))
  const later = filesOf(leaves)
  const moved = new Map([...later, ['checkpoint', files.get('checkpoint') ?? assert.fail()]])
  const { ok, size } = await verifyLog(readerOf(moved), { verifierKey })
  assert.deepEqual([ok, size], [true, 5])
  const behind = new Map([...files, ['checkpoint', later.get('checkpoint') ?? assert.fail()]])
  assert.equal((await verifyLog(readerOf(behind), { verifierKey })).ok, false)
})

test('readRecords gives signed records, then the tail, from any index on', async () => {
  const leaves = Array.from({ length: 300 }, (_, i) => encodeRecord(outcome(`id${i}`)))
  const reader = readerOf(filesOf(leaves, 3))
  const all: string[] = []
  for await (const { index, record, signed } of readRecords(reader))
    all.push(`${index} ${record.id} ${signed}`)
  assert.deepEqual(
    [all.length, all[0], all[296], all[299]],
    [300, '0 id0 true', '296 id296 true', '299 id299 false'],
  )
  const some: number[] = []
  for await (const { index } of readRecords(reader, 295)) some.push(index)
  assert.deepEqual(some, [295, 296, 297, 298, 299])
})

// The key of transparency-dev/tessera testdata/log; it is proven right by the signature that it verifies.
const TESSERA_KEY = 'example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx'

test("Tessera's example log verifies as a tlog-tiles log at each of its checkpoints", async (t) => {
  const files = new Map<string, Buffer>()
  for (const row of corpusRows(t, 'tlog/tessera-example-log.jsonl') ?? []) {
    files.set(
      String(row['path']).replace('testdata/log/', ''),
      Buffer.from(String(row['bytes_base64']), 'base64'),
    )
  }
  if (files.size === 0) return
  for (let size = 0; size <= 15; size++) {
    const checkpoint = files.get(`checkpoint.${size}`) ?? assert.fail(`checkpoint.${size}`)
    const reader = readerOf(new Map([...files, ['checkpoint', checkpoint]]))
    const result = await verifyLog(reader, { verifierKey: TESSERA_KEY, records: false })
    assert.deepEqual([result.ok, result.size, result.problems], [true, size, []])
  }
  const changed = Buffer.from(
    'AANvbmUAA3R3bwAFdGhyZWUABGZvdXIABGZpdmUAA3NpeAAFc2V2ZW4AA2VpdAAEbmFpbgADdGVuAAZpbGV2ZW4ABXR3ZWxmAAh0aHJlZXRlbgAHZm91cnRlbgAGZml2dGVX',
    'base64',
  )
  const reader = readerOf(new Map([...files, ['tile/entries/000.p/15', changed]]))
  assert.equal((await verifyLog(reader, { verifierKey: TESSERA_KEY, records: false })).ok, false)
})

function folderOf(t: TestContext, files: ReadonlyMap<string, Buffer>): string {
  const folder = mkdtempSync(join(tmpdir(), 'callgate-verify-'))
  t.after(() => rmSync(folder, { recursive: true }))
  for (const [path, bytes] of files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), bytes)
  }
  return folder
}

function run(...args: string[]): { code: number | null; out: string; err: string } {
  const cli = fileURLToPath(new URL('cli.ts', import.meta.url))
  const { status, stdout, stderr } = spawnSync(process.execPath, [cli, ...args], { encoding: 'utf8' })
  return { code: status, out: stdout, err: stderr }
}

test('callgate-verify exits 0 for a whole log, 1 for a changed one and 2 for wrong usage', (t) => {
  const files = filesOf([encodeRecord(outcome('a')), encodeRecord(outcome('b'))], 1)
  const folder = folderOf(t, new Map([...files, ['vkey', Buffer.from(`${verifierKey}\n`)]]))
  const good = run(folder, '--json', '--key', verifierKey)
  assert.equal(good.code, 0, good.err)
  const { ok, size, unsignedTail, keyFrom } = JSON.parse(good.out) as Record<string, unknown>
  assert.deepEqual([ok, size, unsignedTail, keyFrom], [true, 1, { records: 1, tornBytes: 0 }, 'caller'])
  const text = run(folder)
  assert.deepEqual([text.code, text.err], [0, ''])
  assert.match(text.out, /verified, 1 signed records[^]*unsigned tail: 1 records, 0 torn bytes[^]*pass --key/)
  writeFileSync(join(folder, 'tile/entries/000.p/1'), encodeEntries([encodeRecord(outcome('c'))]))
  const bad = run(folder, '--key', join(folder, 'vkey'))
  assert.equal(bad.code, 1)
  assert.match(
    bad.out,
    /checkpoint: the records give root `.*`, the checkpoint of size 1 says `.*`; .*restore/,
  )
  const usage = run()
  assert.equal(usage.code, 2)
  assert.match(usage.err, /expected one directory, got 0[^]*usage: callgate-verify DIR/)
  assert.equal(run(folder, '--key', 'nowhere').code, 2)
})
