import { mkdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { z } from 'zod'
import { type JsonObject, isJsonObject } from '../../call/json.ts'
import { realDisk, replaceDurably } from './disk.ts'
import { systemCode } from './evidence-errors.ts'
import { readPrivate } from './private-file.ts'

/** A folder of JSON files that only we may read: one file a thing, `ID.json`, of mode 0600. */
export interface PrivateFolderOptions<T extends { readonly id: string }> {
  readonly folder: string
  /** Form of an id, whole. */
  readonly id: RegExp
  /** Longest file, in bytes. */
  readonly maxBytes: number
  /** What a file holds, beside `v: 1`. */
  readonly schema: z.ZodType<T>
  /** What a file is called in messages, such as `an enrolment`. */
  readonly what: string
  /** What its loss means, such as `its key is then enrolled no longer`. */
  readonly lost: string
}

/** Each save is whole and durable, and they come one after the other: two of one thing at once must not mix. */
export function privateFolder<T extends { readonly id: string }>(options: PrivateFolderOptions<T>) {
  const { folder } = options
  let last: Promise<void> = Promise.resolve()
  const after = (work: () => Promise<void>): Promise<void> => {
    last = last.catch(() => undefined).then(work)
    return last
  }
  const fileOf = (id: string): string => join(folder, `${id}.json`)

  /** @throws Error: a file that cannot be read must neither let in nor silently keep out */
  async function read(id: string): Promise<T> {
    const path = fileOf(id)
    const { what, lost, maxBytes, schema } = options
    const text = await readPrivate(
      path,
      maxBytes,
      ({ mode, uid, own }) =>
        `${what.replace(/^an? /, '')} \`${path}\` has mode ${mode.toString(8)} and belongs to user ${uid} (expected 600 and ${own}); look who may have changed it, then \`chmod 600\` and \`chown\` it, or remove it`,
    )
    const { v, ...rest } = objectIn(text)
    const parsed = schema.safeParse(rest)
    const [issue] = parsed.error?.issues ?? []
    const wrong =
      v !== 1
        ? '`v` is not 1'
        : !parsed.success
          ? `${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`.trim()
          : parsed.data.id === id
            ? undefined
            : 'it names another than its file'
    if (parsed.success && wrong === undefined) return parsed.data
    throw new Error(`\`${path}\` is not ${what} (${wrong}); restore it from a backup, or remove it: ${lost}`)
  }

  return {
    /** Everything in the folder, by name. @throws Error naming the file that cannot be taken */
    async load(): Promise<T[]> {
      const ids = (await realDisk.list(folder)).flatMap((name) => {
        const id = /^(.*)\.json$/.exec(name)?.[1]
        return id !== undefined && options.id.test(id) ? [id] : []
      })
      return Promise.all(ids.toSorted().map(read))
    },
    save: (thing: T): Promise<void> =>
      after(async () => {
        await mkdir(folder, { recursive: true, mode: 0o700 })
        await replaceDurably(
          realDisk,
          fileOf(thing.id),
          Buffer.from(`${JSON.stringify({ v: 1, ...thing })}\n`),
        )
      }),
    /** Nothing happens when there is none of that id. */
    remove: (id: string): Promise<void> =>
      after(async () => {
        try {
          await unlink(fileOf(id))
        } catch (error) {
          if (systemCode(error) !== 'ENOENT') throw error
        }
        await realDisk.syncDirectory(folder)
      }),
  }
}

function objectIn(text: string): JsonObject {
  try {
    const value: unknown = JSON.parse(text)
    return isJsonObject(value) ? value : {}
  } catch {
    return {}
  }
}
