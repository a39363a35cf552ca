/** A record could not be made durable; the caller must refuse. `cause` is the disk's own error where there is one. */
export class EvidenceUnavailable extends Error {
  override readonly name = 'EvidenceUnavailable'
}

/** Files of the log contradict each other: the gate refuses to start rather than sign over the difference. */
export class EvidenceCorrupt extends Error {
  override readonly name = 'EvidenceCorrupt'
}

/** Another process writes this log. */
export class EvidenceBusy extends Error {
  override readonly name = 'EvidenceBusy'
}

/** The `code` of a system error, such as `ENOSPC`; undefined for anything else. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}
