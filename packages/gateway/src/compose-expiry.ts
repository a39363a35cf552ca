import { rename, writeFile } from 'node:fs/promises'
import type { JsonObject } from './call/json.ts'
import { CertificateExpiry } from './telemetry/certificate-expiry.ts'

/** Milliseconds between looks at the ends of certificates. */
const LOOK_MS = 600_000

/** The watch over all that TLS uses, and its metric in a file. */
export interface ExpiryWatch {
  readonly expiry: CertificateExpiry
  /** Looks now: what TLS uses is known, or has changed. */
  look(): void
  close(): void
}

/**
 * Watches the ends of certificates while the gate runs.
 * @param path file of the metric, for the textfile collector of a Prometheus node exporter
 */
export function openExpiryWatch(
  path: string,
  note: (event: string, detail: JsonObject) => void,
  say: (event: string, problem: string) => void,
): ExpiryWatch {
  const expiry = new CertificateExpiry((event, detail) => note(event, { ...detail }))
  // The collector may read at any moment, so the file is replaced whole.
  const write = async (): Promise<void> => {
    await writeFile(`${path}.new`, expiry.metrics(), { mode: 0o644 })
    await rename(`${path}.new`, path)
  }
  const look = (): void => {
    expiry.check()
    write().catch((error: unknown) => say('metrics.failed', String(error)))
  }
  const timer = setInterval(look, LOOK_MS).unref()
  return { expiry, look, close: () => clearInterval(timer) }
}
