import type { Credentials } from '../../ports/credentials.ts'
import { fixedSource } from './fixed.ts'
import { KeptCredentials, type Source } from './kept.ts'
import type { CredentialConfig } from './options.ts'
import { tokenSource, type TokenSourceNeeds } from './token-source.ts'

export { CALLER_META_KEY, signCaller } from './assertion.ts'
export { createConsentClient, type ConsentClientNeeds } from './consent-client.ts'
export { ConsentRegistry } from './consents.ts'
export type { CredentialConfig, GateIdentity, ReadSecret, SignInToken } from './options.ts'

/** What credentials need of the gate. */
export interface CredentialsOptions extends Omit<TokenSourceNeeds, 'now'> {
  /** Default performance.now. */
  readonly now?: () => number
  /** What a server is shown for those who consented to it; see ConsentRegistry.source. */
  readonly consentSource?: (server: string) => Source
  /** Milliseconds for one attempt to obtain them. Default 5,000. */
  readonly attemptMs?: number | undefined
}

function withoutConsents(server: string): never {
  throw new TypeError(`server \`${server}\` asks for consents, and there are none`)
}

const NONE: readonly string[] = []

/**
 * The gate's own credentials for the servers behind it. Reads no secret and opens no socket before the first call.
 * @param servers by id; a server that is not in it gets no headers
 * @throws TypeError for a configuration that cannot work, naming its key
 */
export function createCredentials(
  servers: Readonly<Record<string, CredentialConfig>>,
  {
    readSecret,
    signInToken,
    gate,
    now = () => performance.now(),
    consentSource = withoutConsents,
    attemptMs,
  }: CredentialsOptions,
): Credentials {
  const kept = new Map(
    Object.entries(servers).map(([server, config]) => {
      const source =
        config.type === 'bearer' || config.type === 'header'
          ? fixedSource(server, config, readSecret)
          : config.type === 'authorization_code'
            ? consentSource(server)
            : tokenSource(server, config, { readSecret, signInToken, gate, now })
      return [server, new KeptCredentials(server, source, now, attemptMs)]
    }),
  )
  return {
    headersFor: (server, principal, signal) => kept.get(server)?.headersFor(principal, signal) ?? NONE,
    keyOf: (server, principal) => kept.get(server)?.keyOf(principal) ?? '',
    refused: (server, principal, headers) => kept.get(server)?.refused(principal, headers) ?? false,
    accepted: (server, principal, headers) => kept.get(server)?.accepted(principal, headers),
    async close() {
      await Promise.all([...kept.values()].map((credentials) => credentials.close()))
    },
  }
}
