import { mkdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { ConsentStore, KeptConsent } from '../../ports/consents.ts'
import type { KeyRing } from '../../ports/key-ring.ts'
import { realDisk, replaceDurably } from './disk.ts'
import { systemCode } from './evidence-errors.ts'
import { readPrivate } from './private-file.ts'

const NAME = /^([0-9a-f]{16})\.json$/
/** Longest file: a sealed token of 8,192 signs, every name at its longest, and room. */
const MAX_FILE_BYTES = 65_536

const name = z.string().max(8_192)
const time = z.int().min(0)

const stored = z.strictObject({
  v: z.literal(1),
  id: z.string().regex(/^[0-9a-f]{16}$/),
  server: z.string().regex(/^[a-z][a-z0-9-]{0,15}$/),
  by: z
    .strictObject({ issuer: name, tenant: name, actor: name, subject: name, clientId: name })
    .exactOptional(),
  scope: name.exactOptional(),
  givenAt: time,
  endsAt: time.exactOptional(),
  client: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
  sealed: z.string().max(65_536),
})

type Stored = z.infer<typeof stored>

const secret = z.strictObject({ kind: z.enum(['refresh', 'access']), token: z.string().min(1).max(8_192) })

/**
 * Consents, one file each of mode 0600 below `state/consents`. The tokens in them are sealed together with whose they are: a file
 * that was copied elsewhere, or given another name inside, opens no more.
 */
export function createConsentStore(
  folder: string,
  keys: KeyRing,
): ConsentStore & { /** Seals everything anew, under the current key. */ reseal(): Promise<void> } {
  // One after the other: a token that is renewed while its consent ends must not come back.
  let last: Promise<void> = Promise.resolve()
  const after = (work: () => Promise<void>): Promise<void> => {
    last = last.catch(() => undefined).then(work)
    return last
  }

  async function write(consent: KeptConsent): Promise<void> {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const { secret: tokens, by, scope, endsAt, ...rest } = consent
    const open: Omit<Stored, 'sealed'> = {
      v: 1,
      ...rest,
      ...(by === undefined ? {} : { by }),
      ...(scope === undefined ? {} : { scope }),
      ...(endsAt === undefined ? {} : { endsAt }),
    }
    const sealed = keys.seal('consent', Buffer.from(JSON.stringify(tokens)), boundTo(open))
    const bytes = Buffer.from(`${JSON.stringify({ ...open, sealed })}\n`)
    await replaceDurably(realDisk, join(folder, `${consent.id}.json`), bytes)
  }

  async function erase(id: string): Promise<void> {
    try {
      await unlink(join(folder, `${id}.json`))
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error
      return
    }
    await realDisk.syncDirectory(folder)
  }

  async function readAll(): Promise<KeptConsent[]> {
    const names = (await realDisk.list(folder)).filter((each) => NAME.test(each)).toSorted()
    const all: KeptConsent[] = []
    for (const each of names) {
      const file = await read(join(folder, each), each)
      const opened = keys.open('consent', file.sealed, boundTo(file))
      const tokens = secret.safeParse(opened === undefined ? undefined : JSON.parse(opened.toString('utf8')))
      if (tokens.success) {
        const { v: _, sealed: __, by, scope, endsAt, ...rest } = file
        all.push({ ...rest, by, scope, endsAt, secret: tokens.data })
      } else await erase(file.id)
    }
    return all
  }

  return {
    load: readAll,
    save: (consent) => after(() => write(consent)),
    remove: (id) => after(() => erase(id)),
    reseal: () =>
      after(async () => {
        for (const consent of await readAll()) await write(consent)
      }),
  }
}

/** Everything but the tokens: what they are sealed with. */
function boundTo({
  id,
  server,
  by,
  client,
}: Pick<Stored, 'id' | 'server' | 'client'> & Partial<Stored>): string {
  const who = by === undefined ? null : [by.issuer, by.tenant, by.actor, by.subject, by.clientId]
  return JSON.stringify([id, server, who, client])
}

/** A consent lets a server be asked in somebody's name: a file that cannot be read must not silently be nobody's. */
async function read(path: string, file: string): Promise<Stored> {
  const text = await readPrivate(
    path,
    MAX_FILE_BYTES,
    ({ mode, uid, own }) =>
      `consent \`${path}\` has mode ${mode.toString(8)} and belongs to user ${uid} (expected 600 and ${own}); look who may have changed it, then \`chmod 600\` and \`chown\` it, or remove it`,
  )
  const parsed = stored.safeParse(parse(text))
  if (parsed.success && parsed.data.id === NAME.exec(file)?.[1]) return parsed.data
  throw new Error(
    `\`${path}\` is no consent; restore it from a backup, or remove it: the person is then asked again`,
  )
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
