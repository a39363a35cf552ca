import { writeSync } from 'node:fs'
import { join } from 'node:path'
import { loadSigningKey } from './signing-key.ts'
import { createEvidenceLog } from './evidence-log.ts'
import { testRecord } from './evidence-testing.ts'

// For the kill -9 test: appends without end and prints each id once its record is durable.

const [directory = '', prefix = ''] = process.argv.slice(2)
const key = await loadSigningKey(join(directory, '../../keys/evidence.key'))
const log = createEvidenceLog({ directory, key, checkpointRecords: 40, rotateBytes: 30_000 })
await log.start()

async function writer(name: string): Promise<void> {
  for (let i = 0; ; i++) {
    const id = `${prefix}.${name}.${i}`
    await log.append(testRecord(id, 'x'.repeat(i % 300)))
    writeSync(1, `${id}\n`)
  }
}

await Promise.all(['a', 'b', 'c', 'd'].map(writer))
