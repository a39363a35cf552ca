import { mkdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { CallApprovalStore, StoredApproval } from '../../ports/call-approvals.ts'
import { realDisk, replaceDurably } from './disk.ts'
import { systemCode } from './evidence-errors.ts'
import { type Exposed, readPrivate } from './private-file.ts'

const NAME = /^([0-9a-f]{32})\.json$/
/** Longest file: a sealed call of 64 KiB, as much that is shown, and room. */
const MAX_FILE_BYTES = 262_144

const text = z.string().max(4_096)
const time = z.int().min(0)
const roles = z.array(z.string().min(1).max(32)).max(64)
const type = z.enum(['agent', 'human', 'service'])

const stored = z.strictObject({
  v: z.literal(1),
  id: z.string().regex(/^[0-9a-f]{32}$/),
  code: z.string().min(1).max(128),
  requester: z.strictObject({ tenant: text, actor: text, type, subject: text }),
  target: z.strictObject({ server: text, kind: z.enum(['tool', 'resource', 'prompt']), name: text }),
  class: z.enum(['read', 'write', 'destructive', 'egress', 'memory', 'poll']),
  approvers: z.array(roles.min(1)).min(1).max(1_000),
  rules: z.array(z.strictObject({ id: text, why: text.optional() })).max(16),
  shown: z.record(z.string(), z.json()),
  askedAt: time,
  endsAt: time,
  decisions: z
    .array(
      z.strictObject({
        by: text,
        roles,
        verdict: z.enum(['approve', 'deny']),
        comment: text.optional(),
        at: time,
      }),
    )
    .max(1_000),
  parked: z.string().max(65_536).optional(),
  usedAt: time.optional(),
})

/** Requests for approval, one file each of mode 0600; each save is whole and durable. */
export function createCallApprovalStore(folder: string): CallApprovalStore {
  // One after the other: a decision and the use of it must not mix.
  let last: Promise<void> = Promise.resolve()
  const after = (work: () => Promise<void>): Promise<void> => {
    last = last.catch(() => undefined).then(work)
    return last
  }
  return {
    async load() {
      const names = (await realDisk.list(folder)).filter((name) => NAME.test(name)).toSorted()
      return Promise.all(names.map((name) => readApproval(join(folder, name), name)))
    },
    save: (approval) =>
      after(async () => {
        await mkdir(folder, { recursive: true, mode: 0o700 })
        const bytes = Buffer.from(`${JSON.stringify({ v: 1, ...approval })}\n`)
        await replaceDurably(realDisk, join(folder, `${approval.id}.json`), bytes)
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

/** A file that cannot be read may hold an approval, or a denial: the gate does not guess. */
async function readApproval(path: string, name: string): Promise<StoredApproval> {
  const parsed = stored.safeParse(parse(await readPrivate(path, MAX_FILE_BYTES, complain(path))))
  const wrong = !parsed.success
    ? `${parsed.error.issues[0]?.path.join('.') ?? ''} ${parsed.error.issues[0]?.message ?? ''}`.trim()
    : parsed.data.id === NAME.exec(name)?.[1]
      ? undefined
      : 'it names another request than its file'
  if (!parsed.success || wrong !== undefined)
    throw new Error(
      `\`${path}\` is not a request for approval (${wrong}); restore it from a backup, or remove it: its call must then be asked for again`,
    )
  const { v: _, parked, usedAt, rules, decisions, ...rest } = parsed.data
  return {
    ...rest,
    parked,
    usedAt,
    rules: rules.map(({ id, why }) => ({ id, why })),
    decisions: decisions.map(({ comment, ...decision }) => ({ ...decision, comment })),
  }
}

function complain(path: string) {
  return ({ mode, uid, own }: Exposed): string =>
    `request for approval \`${path}\` has mode ${mode.toString(8)} and belongs to user ${uid} (expected 600 and ${own}); look who may have changed it, then \`chmod 600\` and \`chown\` it, or remove it`
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
