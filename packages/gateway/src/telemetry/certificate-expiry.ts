/** Days before the end of a certificate at which it is told, once each. */
const WARN_DAYS = [30, 14, 7, 3, 1] as const
const DAY_MS = 86_400_000

/** Something of TLS that ends: a certificate, or a revocation list whose next one is due. */
export interface Ending {
  /** What it is to the gate: `listener.tls.cert`, `listener.tls.clientCa`, `servers.crm.tls.cert` ... */
  readonly use: string
  /** Subject, or issuer of a list. */
  readonly name: string
  /** Milliseconds since the epoch. */
  readonly notBefore: number
  readonly notAfter: number
}

/** What is told: `tls.expiring` with the days that are left, and `tls.expired` at the end. */
export type TellExpiry = (
  event: 'tls.expiring' | 'tls.expired',
  detail: { readonly use: string; readonly name: string; readonly notAfter: string; readonly days: number },
) => void

/**
 * Watches the ends of all that TLS uses, for an alarm in time and for the metric. A certificate that lives for hours by design would
 * always be within a day of its end: nothing is told before less than a third of its life is left.
 */
export class CertificateExpiry {
  readonly #tell: TellExpiry
  readonly #now: () => number
  readonly #uses = new Map<string, readonly Ending[]>()
  /** By certificate: the least limit that was told, in milliseconds before its end. */
  readonly #told = new Map<string, number>()

  /** @param now milliseconds since the epoch */
  constructor(tell: TellExpiry, now: () => number = Date.now) {
    this.#tell = tell
    this.#now = now
  }

  /** What a use holds from now on; it is looked at at once. */
  hold(use: string, endings: readonly Omit<Ending, 'use'>[]): void {
    this.#uses.set(
      use,
      endings.map((ending) => ({ ...ending, use })),
    )
    const held = new Set(this.#all().map(keyOf))
    for (const key of this.#told.keys()) if (!held.has(key)) this.#told.delete(key)
    this.check()
  }

  /** Tells what came closer to its end than a limit since it was looked at last. */
  check(): void {
    const now = this.#now()
    for (const ending of this.#all()) {
      const left = ending.notAfter - now
      const limit = limitsOf(ending).findLast((each) => left <= each)
      const told = this.#told.get(keyOf(ending)) ?? Infinity
      if (limit === undefined || limit >= told) continue
      this.#told.set(keyOf(ending), limit)
      const { use, name, notAfter } = ending
      this.#tell(left <= 0 ? 'tls.expired' : 'tls.expiring', {
        use,
        name,
        notAfter: new Date(notAfter).toISOString(),
        days: Math.floor(left / DAY_MS),
      })
    }
  }

  /** The ends as a metric in Prometheus text format 0.0.4. */
  metrics(): string {
    // Two of one name, such as the old and the new authority in one file, differ by their end alone: the first end counts.
    const ends = new Map<string, number>()
    for (const { use, name, notAfter } of this.#all()) {
      const labels = `use="${escaped(use)}",name="${escaped(name)}"`
      ends.set(labels, Math.min(notAfter, ends.get(labels) ?? Infinity))
    }
    return [
      `# HELP ${METRIC} When a certificate or revocation list that TLS uses ends, in seconds since the epoch.`,
      `# TYPE ${METRIC} gauge`,
      ...[...ends].map(([labels, notAfter]) => `${METRIC}{${labels}} ${Math.floor(notAfter / 1_000)}`),
      '',
    ].join('\n')
  }

  #all(): Ending[] {
    return [...this.#uses.values()].flat()
  }
}

const METRIC = 'callgate_certificate_expiry_timestamp_seconds'

/** Milliseconds before the end at which it is told, the longest first. */
function limitsOf({ notBefore, notAfter }: Ending): number[] {
  const third = (notAfter - notBefore) / 3
  return [...new Set(WARN_DAYS.map((days) => Math.min(days * DAY_MS, third))), 0]
}

const keyOf = ({ use, name, notAfter }: Ending): string => JSON.stringify([use, name, notAfter])

/** Label values by the text format. */
const escaped = (text: string): string =>
  text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
