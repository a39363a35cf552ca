import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { signerContract } from '../../ports/signer.contract.ts'
import { loadSigningKey } from './signing-key.ts'

signerContract('key in a file', false, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'callgate-key-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'keys', 'own.key')
  return { signer: await loadSigningKey(path), restart: () => loadSigningKey(path) }
})
