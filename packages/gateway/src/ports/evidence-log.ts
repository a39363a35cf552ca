import type { EvidenceRecord } from '@callgate/evidence'

/**
 * `ok`; `degraded` after a write that failed: no call of a non-read class may go upstream;
 * `down` after an append that was rejected: every call is refused until one works again.
 */
export type EvidenceHealth = 'ok' | 'degraded' | 'down'

/** The log of record. Contract: one writer, records in order, durable when append resolves (SECURITY.md 1.1). */
export interface EvidenceLog {
  /** @throws EvidenceUnavailable within 2 s when the record could not be made durable */
  append(record: EvidenceRecord): Promise<void>
  readonly health: EvidenceHealth
  start(): Promise<void>
  close(): Promise<void>
}
