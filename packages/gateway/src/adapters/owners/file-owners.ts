import { readFile } from 'node:fs/promises'
import { parse } from 'yaml'
import { z } from 'zod'
import type { Principal } from '../../call/call.ts'
import { type Owners, OwnersDown } from '../../ports/owners.ts'

const names = z.array(z.string()).exactOptional()
const listed = z.record(
  z.string(),
  z
    .strictObject({ tenants: names, subjects: names, actors: names })
    .refine((entry) => Object.keys(entry).length > 0),
)
type Entry = z.infer<typeof listed>[string]

/** Longest file, in bytes. */
const MAX_BYTES = 4_194_304

/**
 * Ids and whose they are in a YAML file, read again for each call, so that an edit counts at once. All that an entry names must
 * fit: `tenants` and `subjects` are the caller's tenant and subject, both.
 */
export function createFileOwners(path: string, type: string): Owners {
  return {
    async owned(ids, principal) {
      const entries = await entriesIn(path, type)
      return new Set(ids.filter((id) => entries.has(id) && fits(entries.get(id) ?? {}, principal)))
    },
    close: () => Promise.resolve(),
  }
}

function fits({ tenants, subjects, actors }: Entry, { tenant, subject, actor }: Principal): boolean {
  const has = (list: readonly string[] | undefined, name: string): boolean => list?.includes(name) !== false
  return has(tenants, tenant) && has(subjects, subject) && has(actors, actor.id)
}

async function entriesIn(path: string, type: string): Promise<ReadonlyMap<string, Entry>> {
  const what = `\`ownership.types.${type}.path\``
  let bytes: Buffer
  try {
    bytes = await readFile(path)
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown error'
    throw new OwnersDown(`${what} cannot be read (${code})`)
  }
  if (bytes.length > MAX_BYTES) throw new OwnersDown(`${what} is longer than ${MAX_BYTES} bytes`)
  try {
    const value: unknown = parse(bytes.toString('utf8'), { maxAliasCount: 0 }) ?? {}
    return new Map(Object.entries(listed.parse(value)))
  } catch {
    throw new OwnersDown(`${what} is no map of ids to tenants, subjects and actors`)
  }
}
