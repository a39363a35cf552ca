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
      await replaceDurably(
        realDisk,
        join(folder, `${given.server}.${given.digest}.json`),
        Buffer.from(JSON.stringify(given)),
      )
    },

    /**
     * Hands every approval that is there to `apply`, and forgets it only when that has worked: on a full disk it waits.
     * A file that is no approval can never become one, so it is removed.
     * @throws Error for the first approval that could not be applied, the others are tried at the next call
     */
    async take(apply: (given: Approval) => Promise<void>): Promise<void> {
      for (const name of await namesIn(folder)) {
        const path = join(folder, name)
        const parsed = approval.safeParse(parse(await readFile(path, 'utf8')))
        if (parsed.success) await apply(parsed.data)
        await unlink(path)
        if (!parsed.success)
          throw new Error(
            `\`${path}\` was no approval and is removed; approve with \`callgate servers approve\``,
          )
      }
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
