import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { isJsonObject, type JsonObject } from '../../call/json.ts'
import type { PinStore, ServerPins } from '../../ports/pin-store.ts'
import { realDisk, replaceDurably } from './disk.ts'

const definition = z.custom<JsonObject>(isJsonObject)
const stored = z.strictObject({
  v: z.literal(1),
  servers: z.record(
    z.string(),
    z.strictObject({
      pins: z.record(
        z.string(),
        z.strictObject({
          definition,
          digest: z.string(),
          approvedAt: z.string(),
          approvedBy: z.string(),
          publisher: z.string(),
        }),
      ),
      waiting: z.record(
        z.string(),
        z.strictObject({
          definition,
          digest: z.string(),
          seenAt: z.string(),
          why: z.string(),
          serving: z.boolean(),
          risk: z.number().min(0).max(1).exactOptional(),
        }),
      ),
    }),
  ),
})

/** Pins in one file of state/, `pins.json`; saves follow one another, each whole and durable. */
export function createPinStore(path: string): PinStore {
  let last: Promise<void> = Promise.resolve()
  return {
    async load() {
      let text: string
      try {
        text = await readFile(path, 'utf8')
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {}
        throw error
      }
      const parsed = stored.safeParse(JSON.parse(text))
      if (!parsed.success) {
        // Pins decide what runs: a file that cannot be read must not silently mean that nothing was ever approved.
        throw new Error(
          `\`${path}\` is not a pin file (${parsed.error.issues[0]?.message}); restore it, or remove it to approve every tool anew`,
        )
      }
      return parsed.data.servers
    },
    save(servers: Readonly<Record<string, ServerPins>>) {
      const text = `${JSON.stringify({ v: 1, servers })}\n`
      last = last.catch(() => undefined).then(() => replaceDurably(realDisk, path, Buffer.from(text)))
      return last
    },
  }
}
