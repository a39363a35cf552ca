import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { openMacKeys } from './mac-keys.ts'

const folder = mkdtempSync(join(tmpdir(), 'callgate-mac-'))
after(() => rmSync(folder, { recursive: true, force: true }))

test('gates that start together on one state folder end with one secret, and none reads half of it', async () => {
  const rounds = 200
  // Each waits for the others before each round.
  const code = `
    const { workerData: { module, folder, rounds, gate, size }, parentPort } = require('node:worker_threads')
    import(module).then(({ openMacKeys }) => {
      const got = []
      for (let i = 0; i < rounds; i++) {
        Atomics.add(gate, i, 1)
        while (Atomics.load(gate, i) < size);
        try { got.push(openMacKeys(folder + '/' + i + '/mac.key')('t').toString('hex')) } catch (error) { got.push(error.message) }
      }
      parentPort.postMessage(got)
    })`
  const size = 2
  const gate = new Int32Array(new SharedArrayBuffer(4 * rounds))
  const module = new URL('./mac-keys.ts', import.meta.url).href
  const all = await Promise.all(
    Array.from(
      { length: size },
      () =>
        new Promise<string[]>((resolve, reject) => {
          const worker = new Worker(code, { eval: true, workerData: { module, folder, rounds, gate, size } })
          worker.once('message', resolve).once('error', reject)
        }),
    ),
  )
  assert.deepEqual(all[0], all[1])
  assert.match(all[0]?.join('') ?? '', /^[0-9a-f]+$/)
  assert.deepEqual(readdirSync(join(folder, '0')), ['mac.key'])
})

test('the secret outlives a restart, tells tenants apart, and a file that is none is refused', () => {
  const path = join(folder, 'mac.key')
  const [first, again] = [openMacKeys(path), openMacKeys(path)]
  assert.deepEqual(first('a'), again('a'))
  assert.notDeepEqual(first('a'), first('b'))
  writeFileSync(path, 'short')
  assert.throws(() => openMacKeys(path), /does not hold a key of 32 bytes/)
})
