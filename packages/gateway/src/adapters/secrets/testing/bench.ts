import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { RequestListener } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { Secret } from '../../../ports/secrets.ts'
import type { SecretReference } from '../../../ports/secret-reference.ts'
import { SecretUnavailable } from '../../../ports/secrets.ts'
import { parseReference } from '../../../ports/secret-reference.ts'
import type { RunningSecrets, SecretsOptions } from '../index.ts'
import { createSecrets } from '../index.ts'

/** Secrets of one test, in a folder of its own. */
export interface SecretsBench {
  readonly folder: string
  readonly secrets: RunningSecrets
  /** Writes a file of mode 0600 and gives its path. */
  put(name: string, content: string | Uint8Array, mode?: number): string
  read(text: string): Promise<Secret>
  /** The value of a reference. */
  value(text: string): Promise<string>
  /** The error of a reference that must fail. */
  failure(text: string): Promise<SecretUnavailable>
}

export function benchOf(t: TestContext, options: Partial<SecretsOptions> = {}): SecretsBench {
  const folder = mkdtempSync(join(tmpdir(), 'callgate-secrets-'))
  const secrets = createSecrets({ folder, ttlS: 0, ...options })
  t.after(async () => {
    await secrets.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const read = async (text: string) => secrets.read(reference(text))
  return {
    folder,
    secrets,
    read,
    put(name, content, mode = 0o600) {
      const path = join(folder, name)
      writeFileSync(path, content, { mode })
      return path
    },
    value: async (text) => (await read(text)).reveal(),
    async failure(text) {
      const error: unknown = await read(text).then(
        () => assert.fail(`\`${text}\` was read`),
        (thrown: unknown) => thrown,
      )
      assert.ok(error instanceof SecretUnavailable, String(error))
      return error
    },
  }
}

/** A text that must be a reference. */
export function reference(text: string): SecretReference {
  const parsed = parseReference(text, { strict: false })
  return 'problem' in parsed ? assert.fail(`${text}: ${parsed.problem}`) : parsed
}

/** A server on loopback; gives its origin. */
export async function serve(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close().closeAllConnections())
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  return `http://127.0.0.1:${address.port}`
}
