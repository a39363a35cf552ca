import { createPublicKey } from 'node:crypto'
import { mkdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { Enrolment, EnrolmentStore } from '../../ports/enrolments.ts'
import { realDisk, replaceDurably } from './disk.ts'
import { systemCode } from './evidence-errors.ts'
import { type Exposed, readPrivate } from './private-file.ts'

const NAME = /^([0-9a-f]{16})\.json$/
/** Longest file: every text at its longest, and room. */
const MAX_FILE_BYTES = 16_384

const text = z.string().min(1).max(128)
const time = z.int().min(0)
const coordinate = z.string().regex(/^[A-Za-z0-9_-]{43}$/)

const stored = z.strictObject({
  v: z.literal(1),
  id: z.string().regex(/^[0-9a-f]{16}$/),
  actor: z.strictObject({ id: text, type: z.enum(['agent', 'human', 'service']) }),
  subject: text,
  tenant: text,
  scope: z.array(z.string().regex(/^[\x21\x23-\x29\x2b-\x5b\x5d-\x7e]{1,256}$/)).max(64),
  createdAt: time,
  codeHash: z.string().regex(/^[0-9a-f]{64}$/),
  codeEndsAt: time,
  keyLifeMs: time,
  key: z
    .strictObject({
      jwk: z
        .strictObject({ kty: z.literal('EC'), crv: z.literal('P-256'), x: coordinate, y: coordinate })
        .refine(isPoint, 'is no point of P-256'),
      thumbprint: coordinate,
      redeemedAt: time,
      endsAt: time,
    })
    .exactOptional(),
  revokedAt: time.exactOptional(),
})

/** Enrolments, one file each of mode 0600 below `state/enrolments`; each save is whole and durable. */
export function createEnrolmentStore(folder: string): EnrolmentStore {
  // One after the other: two saves of one enrolment, as when it is revoked while it is redeemed, must not mix.
  let last: Promise<void> = Promise.resolve()
  const after = (work: () => Promise<void>): Promise<void> => {
    last = last.catch(() => undefined).then(work)
    return last
  }
  return {
    async load() {
      const names = (await realDisk.list(folder)).filter((name) => NAME.test(name)).toSorted()
      return Promise.all(names.map((name) => readEnrolment(join(folder, name), name)))
    },
    save: (enrolment) =>
      after(async () => {
        await mkdir(folder, { recursive: true, mode: 0o700 })
        const bytes = Buffer.from(`${JSON.stringify({ v: 1, ...enrolment })}\n`)
        await replaceDurably(realDisk, join(folder, `${enrolment.id}.json`), bytes)
      }),
    remove: (id) =>
      after(async () => {
        try {
          await unlink(join(folder, `${id}.json`))
        } catch (error) {
          if (systemCode(error) !== 'ENOENT') throw error
        }
        await realDisk.syncDirectory(folder)
      }),
  }
}

/** Enrolments decide who may call: a file that cannot be read must neither let in nor silently keep out. */
async function readEnrolment(path: string, name: string): Promise<Enrolment> {
  const parsed = stored.safeParse(parse(await readPrivate(path, MAX_FILE_BYTES, complain(path))))
  const wrong = !parsed.success
    ? `${parsed.error.issues[0]?.path.join('.') ?? ''} ${parsed.error.issues[0]?.message ?? ''}`.trim()
    : parsed.data.id === NAME.exec(name)?.[1]
      ? undefined
      : 'it names another enrolment than its file'
  if (parsed.success && wrong === undefined) {
    const { v: _, ...enrolment } = parsed.data
    return enrolment
  }
  throw new Error(
    `\`${path}\` is not an enrolment (${wrong}); restore it from a backup, or remove it: its key is then enrolled no longer`,
  )
}

function complain(path: string) {
  return ({ mode, uid, own }: Exposed): string =>
    `enrolment \`${path}\` has mode ${mode.toString(8)} and belongs to user ${uid} (expected 600 and ${own}); look who may have changed it, then \`chmod 600\` and \`chown\` it, or remove it`
}

function isPoint(jwk: { kty: 'EC'; crv: 'P-256'; x: string; y: string }): boolean {
  try {
    createPublicKey({ key: jwk, format: 'jwk' })
    return true
  } catch {
    return false
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
