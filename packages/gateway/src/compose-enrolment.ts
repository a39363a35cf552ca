import { join } from 'node:path'
import { createEnrolmentStore } from './adapters/file/enrolment-store.ts'
import type { Principal } from './call/call.ts'
import type { JsonObject } from './call/json.ts'
import { Refusal } from './call/refusal.ts'
import { CommandFailed } from './cli/output.ts'
import type { GatewayConfig } from './config/declaration.ts'
import { Enrolments } from './control/enrolments.ts'
import type { InFlight } from './pipeline/in-flight.ts'
import type { Listeners } from './pipeline/listeners.ts'
import { ENROLLED_ISSUER } from './ports/enrolments.ts'
import type { KeySource } from './ports/key-source.ts'

/** What the rest of the composition gives to enrolment. */
export interface EnrolmentDeps {
  /** Writes to the log of record; durable when it resolves. */
  readonly record: (event: string, detail: JsonObject) => Promise<void>
  readonly now: () => number
  /** What is to end with an enrolment. */
  readonly ends: () => { readonly inFlight: InFlight; readonly listeners: Listeners }
}

/**
 * Opens the enrolled keys of a gate; undefined where none can be enrolled.
 * @throws CommandFailed naming the file that cannot be taken
 */
export async function openEnrolments(
  { identity, state }: GatewayConfig,
  { record, now, ends }: EnrolmentDeps,
): Promise<Enrolments | undefined> {
  if (!identity.enrolment) return undefined
  const onRevoked = (issuer: string): void => {
    const fits = ({ token }: Principal): boolean => token.iss === issuer
    const { inFlight, listeners } = ends()
    listeners.endOf(fits)
    inFlight.abortOf(
      fits,
      new Refusal('CG_IDENTITY_ENROLMENT_ENDED', { internal: 'the enrolment was revoked' }),
    )
  }
  try {
    const store = createEnrolmentStore(join(state, 'enrolments'))
    return await Enrolments.open({ store, record, onRevoked, now })
  } catch (error) {
    throw new CommandFailed(error instanceof Error ? error.message : String(error), { cause: error })
  }
}

/** Keys of the configured issuers, and beside them those that are enrolled. */
export function withEnrolled(keys: KeySource, enrolments: Enrolments | undefined): KeySource {
  if (enrolments === undefined) return keys
  const of = (issuer: string): KeySource => (issuer.startsWith(ENROLLED_ISSUER) ? enrolments : keys)
  return {
    key: (issuer, kid) => of(issuer).key(issuer, kid),
    generation: (issuer) => of(issuer).generation(issuer),
  }
}
