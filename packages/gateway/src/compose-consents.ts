import { join } from 'node:path'
import {
  type ConsentClientNeeds,
  ConsentRegistry,
  createConsentClient,
} from './adapters/credentials/index.ts'
import { createConsentStore } from './adapters/file/consent-store.ts'
import type { JsonObject } from './call/json.ts'
import type { GatewayConfig } from './config/declaration.ts'
import type { KeyRing } from './ports/key-ring.ts'

/** What the rest of the composition gives to consents. */
export interface ConsentsDeps {
  readonly keyRing: KeyRing
  /** Writes to the log of record; durable when it resolves. */
  readonly record: (event: string, detail: JsonObject) => Promise<void>
  /** Told when the gate has a consent of its own to a server. */
  readonly onOwn: (server: string) => void
  readonly say: (event: string, problem: string) => void
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

/** Consents, and what keeps them readable. */
export interface OpenConsents {
  readonly registry: ConsentRegistry
  /** Seals what is kept under the key that is the current one now. */
  readonly reseal: () => Promise<void>
}

/**
 * Opens the consents of a gate; undefined where no server asks for any.
 * @throws Error naming the file that cannot be taken
 */
export async function openConsents(
  { servers, state }: GatewayConfig,
  { keyRing, ...deps }: ConsentsDeps,
  needs: ConsentClientNeeds,
): Promise<OpenConsents | undefined> {
  const clients = new Map(
    Object.entries(servers).flatMap(([id, server]) =>
      server.transport === 'http' && server.credentials?.type === 'authorization_code'
        ? [[id, createConsentClient(id, server.credentials, needs)] as const]
        : [],
    ),
  )
  if (clients.size === 0) return undefined
  const store = createConsentStore(join(state, 'consents'), keyRing)
  const registry = await ConsentRegistry.open({ ...deps, store, clients })
  return {
    registry,
    reseal: async () => {
      try {
        await store.reseal()
      } catch (error) {
        deps.say('consent.unkept', `consents could not be sealed anew: ${String(error)}`)
      }
    },
  }
}
