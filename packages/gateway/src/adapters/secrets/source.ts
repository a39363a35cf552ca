import type { SecretHttp } from './http.ts'

/** What the sources of secrets have in common. */
export interface SourceWorld {
  /** Folder of the configuration: where relative paths start. */
  readonly folder: string
  /** The gate's environment: what `env:` reads and of which children see four variables. */
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly http: SecretHttp
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Milliseconds that a program may take. */
  readonly programMs: number
  /** Fires when the gate closes. */
  readonly closing: AbortSignal
}
