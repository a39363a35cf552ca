import { createPublicKey } from 'node:crypto'
import { z } from 'zod'
import type { Enrolment, EnrolmentStore } from '../../ports/enrolments.ts'
import { privateFolder } from './private-folder.ts'

const ID = /^[0-9a-f]{16}$/
/** Longest file: every text at its longest, and room. */
const MAX_FILE_BYTES = 16_384

const text = z.string().min(1).max(128)
const time = z.int().min(0)
const coordinate = z.string().regex(/^[A-Za-z0-9_-]{43}$/)

const stored = z.strictObject({
  id: z.string().regex(ID),
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

/** Enrolments, one file each below `state/enrolments`. */
export function createEnrolmentStore(folder: string): EnrolmentStore {
  return privateFolder<Enrolment>({
    folder,
    id: ID,
    maxBytes: MAX_FILE_BYTES,
    schema: stored,
    what: 'an enrolment',
    lost: 'its key is then enrolled no longer',
  })
}

function isPoint(jwk: { kty: 'EC'; crv: 'P-256'; x: string; y: string }): boolean {
  try {
    createPublicKey({ key: jwk, format: 'jwk' })
    return true
  } catch {
    return false
  }
}
