import { mkdir, readFile, readdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { realDisk, replaceDurably } from './disk.ts'

const approval = z.strictObject({
  server: z.string(),
  tool: z.string(),
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  by: z.string().max(256),
  at: z.string(),
})

/** An operator's word that one definition, named by its digest, may be served. */
export type Approval = z.infer<typeof approval>

/**
 * Approvals on their way from `callgate servers approve` to the running gate: one file each under state/approvals.
 * The gate alone writes pins; it takes an approval when the digest still waits, and removes the file.
 */
export function createApprovals(folder: string) {
  return {
    /** Leaves an approval for the gate. */
    async put(given: Approval): Promise<void> {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      await replaceDurably(realDisk, join(folder, `${given.digest}.json`), Buffer.from(JSON.stringify(given)))
    },

    /** Takes every approval that is there. A file that is no approval is removed and reported, it can never become one. */
    async take(): Promise<{ approvals: Approval[]; refused: string[] }> {
      const approvals: Approval[] = []
      const refused: string[] = []
      for (const name of await namesIn(folder)) {
        const path = join(folder, name)
        const parsed = approval.safeParse(parse(await readFile(path, 'utf8')))
        if (parsed.success) approvals.push(parsed.data)
        else refused.push(name)
        await unlink(path)
      }
      return { approvals, refused }
    },
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).filter((name) => name.endsWith('.json'))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
