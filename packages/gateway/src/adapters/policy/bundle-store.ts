import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { BundleStore } from '../../ports/policy-bundles.ts'
import { realDisk, replaceDurably } from '../file/disk.ts'
import { systemCode } from '../file/evidence-errors.ts'

/** The last good bundle in a folder of state/: the envelope as it came, and when it was last offered. */
export function createBundleStore(folder: string): BundleStore {
  const envelopeFile = join(folder, 'bundle.json')
  const confirmedFile = join(folder, 'confirmed')
  const confirm = (at: number) =>
    replaceDurably(realDisk, confirmedFile, Buffer.from(`${new Date(at).toISOString()}\n`))
  return {
    async load() {
      let envelope: Buffer
      try {
        envelope = await readFile(envelopeFile)
      } catch (cause) {
        if (systemCode(cause) === 'ENOENT') return undefined
        // Who forgets which version it had takes an older one again.
        throw new Error(
          `\`${envelopeFile}\` cannot be read (${systemCode(cause) ?? 'unknown error'}); let the gate read it`,
          { cause },
        )
      }
      const at = Date.parse((await readFile(confirmedFile, 'utf8').catch(() => '')).trim())
      // Nobody knows when it was offered: long ago.
      return { envelope, confirmedAt: Number.isNaN(at) ? 0 : at }
    },
    async keep({ envelope, confirmedAt }) {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      // A crash in between leaves a newer bundle with an older time: only ever stricter.
      await replaceDurably(realDisk, envelopeFile, envelope)
      await confirm(confirmedAt)
    },
    confirm,
  }
}
