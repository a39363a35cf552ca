import type { Secrets } from '../../ports/secrets.ts'
import type { SecretReference } from '../../ports/secret-reference.ts'
import { SecretUnavailable } from '../../ports/secrets.ts'
import { readAwsSecret, readKmsSecret } from './aws.ts'
import { SecretCache } from './cache.ts'
import { readExecSecret } from './exec.ts'
import { readFileSecret } from './file.ts'
import type { SecretTls } from './http.ts'
import { SecretHttp } from './http.ts'
import { Pkcs11Source } from './pkcs11.ts'
import type { SourceWorld } from './source.ts'
import { checkedText } from './text.ts'
import { readVaultSecret } from './vault.ts'

/** How secrets are read. */
export interface SecretsOptions {
  /** Folder of the configuration: where relative paths start and programs run. */
  readonly folder: string
  /** Seconds for which a value is used without asking again. Default 300, from 0 to 3,600. */
  readonly ttlS?: number
  /** TLS towards vault, awssm and awskms. */
  readonly tls?: SecretTls
  /** Milliseconds for one whole answer over HTTP. Default 5,000. */
  readonly httpMs?: number
  /** Milliseconds for one program. Default 5,000. */
  readonly programMs?: number
  /** The gate's environment. Default process.env. */
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** Milliseconds since the epoch. Default Date.now. */
  readonly now?: () => number
  /** Told when a source fails while the last good value serves on; holds no secret. */
  readonly onProblem?: (label: string, problem: string) => void
}

/** Secrets with a life. */
export interface RunningSecrets extends Secrets {
  /** Ends programs and sockets and forgets every value; each later read is refused. */
  close(): Promise<void>
}

/**
 * Reads secrets from where references say, and keeps them in memory alone.
 * @throws TypeError for a time to live out of bounds
 */
export function createSecrets(options: SecretsOptions): RunningSecrets {
  const ttlS = options.ttlS ?? 300
  if (!(ttlS >= 0 && ttlS <= 3_600)) throw new TypeError('`ttlS` must be from 0 to 3600')
  const now = options.now ?? Date.now
  const closing = new AbortController()
  const http = new SecretHttp({ tls: options.tls, timeoutMs: options.httpMs ?? 5_000, now })
  const pkcs11 = new Pkcs11Source()
  const world: SourceWorld = {
    folder: options.folder,
    environment: options.environment ?? process.env,
    http,
    now,
    programMs: options.programMs ?? 5_000,
    closing: closing.signal,
  }
  const cache = new SecretCache((reference) => readOnce(reference, world, pkcs11), {
    ttlMs: ttlS * 1_000,
    now,
    onProblem: options.onProblem ?? (() => undefined),
  })
  return {
    async read(reference, fresh) {
      if (closing.signal.aborted) throw new SecretUnavailable('refused', 'secrets are closed, the gate ends')
      return cache.read(reference, fresh)
    },
    async sign(reference, algorithm, bytes) {
      if (closing.signal.aborted) throw new SecretUnavailable('refused', 'secrets are closed, the gate ends')
      return pkcs11.sign(reference, world, algorithm, bytes)
    },
    async publicKey(reference, algorithm) {
      if (closing.signal.aborted) throw new SecretUnavailable('refused', 'secrets are closed, the gate ends')
      return pkcs11.publicKey(reference, world, algorithm)
    },
    async close() {
      closing.abort()
      cache.clear()
      await http.close()
    },
  }
}

async function readOnce(
  reference: SecretReference,
  world: SourceWorld,
  pkcs11: Pkcs11Source,
): Promise<string> {
  switch (reference.kind) {
    case 'file':
      return readFileSecret(reference, world.folder)
    case 'exec':
      return readExecSecret(reference, world)
    case 'env': {
      const { environment } = world
      const value = Object.hasOwn(environment, reference.variable)
        ? environment[reference.variable]
        : undefined
      if (value !== undefined) return checkedText(reference.label, value)
      throw new SecretUnavailable(
        'refused',
        `\`${reference.label}\` is not set; set it where the gate is started`,
      )
    }
    case 'vault':
      return readVaultSecret(reference, world)
    case 'awssm':
      return readAwsSecret(reference, world)
    case 'awskms':
      return readKmsSecret(reference, world)
    case 'pkcs11':
      return pkcs11.read(reference, world)
  }
}
