import { join } from 'node:path'
import {
  CALLER_META_KEY,
  type CredentialConfig,
  type ReadSecret,
  type SignInToken,
  createCredentials,
  signCaller,
} from './adapters/credentials/index.ts'
import { realDisk, replaceDurably } from './adapters/file/disk.ts'
import { createSecrets } from './adapters/secrets/index.ts'
import type { UpstreamOptions } from './adapters/upstream/index.ts'
import { type ConsentsDeps, type OpenConsents, openConsents } from './compose-consents.ts'
import { openAssertionKey } from './compose-signers.ts'
import type { GatewayConfig } from './config/declaration.ts'
import { parseReference } from './ports/secret-reference.ts'
import type { Signer } from './ports/signer.ts'

/** What the gate shows of itself and tells of its callers, as the upstream adapter takes it. */
export interface OwnCredentials {
  readonly options: Pick<UpstreamOptions, 'credentials' | 'assertCaller'>
  /** Undefined: no server asks for any. */
  readonly consents: OpenConsents | undefined
  readonly readSecret: ReadSecret
  close(): Promise<void>
}

/**
 * Puts secrets, credentials and assertions together; no secret is read and nothing connected before the first call. The public key
 * to what the gate asserts stands in `state/keys/assertion.jwks.json`, for issuers and servers.
 */
export async function openOwnCredentials(config: GatewayConfig, deps: ConsentsDeps): Promise<OwnCredentials> {
  const { say } = deps
  const servers: Record<string, CredentialConfig> = {}
  const asserting = new Set<string>()
  for (const [id, server] of Object.entries(config.servers)) {
    if (server.transport === 'http' && server.credentials !== undefined) servers[id] = server.credentials
    if (server.assertCaller) asserting.add(id)
  }
  const exchanging = Object.values(servers).some(({ type }) => type === 'token_exchange')
  const secrets = createSecrets({
    folder: config.folder,
    ttlS: config.secrets.ttlS,
    onProblem: (_label, problem) => say('secrets.problem', problem),
  })
  const signer = asserting.size === 0 && !exchanging ? undefined : await openAssertionKey(config, secrets)
  const issuer = config.listener.publicUrl ?? 'urn:callgate'
  if (signer !== undefined) await publish(config.state, signer)
  const gate = signer && { issuer, signer }
  const readSecret: ReadSecret = async (text, fresh) => {
    const reference = parseReference(text, { strict: false })
    if ('problem' in reference) throw new TypeError(reference.problem)
    return secrets.read(reference, fresh)
  }
  const signInToken: SignInToken = async (text, algorithm, bytes) => {
    const reference = parseReference(text, { strict: false })
    if ('problem' in reference) throw new TypeError(reference.problem)
    if (reference.kind !== 'pkcs11') throw new TypeError('only keys of a PKCS #11 token sign there')
    return secrets.sign(reference, algorithm, bytes)
  }
  const needs = { readSecret, signInToken, now: () => performance.now() }
  const consents = await openConsents(config, deps, needs)
  const credentials = createCredentials(servers, {
    ...needs,
    gate,
    ...(consents === undefined
      ? {}
      : { consentSource: (server: string) => consents.registry.source(server) }),
  })
  return {
    consents,
    readSecret,
    options: {
      credentials,
      ...(gate === undefined || asserting.size === 0
        ? {}
        : {
            assertCaller: ({ server, principal, tool, argsBytes }) =>
              asserting.has(server)
                ? [CALLER_META_KEY, signCaller(gate, server, principal, tool, argsBytes)]
                : undefined,
          }),
    },
    async close() {
      await credentials.close()
      await secrets.close()
    },
  }
}

/** Writes the public key for issuers and servers. */
async function publish(state: string, { publicKey, kid, alg }: Signer): Promise<void> {
  const set = { keys: [{ ...publicKey.export({ format: 'jwk' }), kid, alg, use: 'sig' }] }
  const path = join(state, 'keys', 'assertion.jwks.json')
  await replaceDurably(realDisk, path, Buffer.from(`${JSON.stringify(set)}\n`))
}
