import type { GatewayConfig } from '../config/declaration.ts'
import type { ServerPins } from '../ports/pin-store.ts'

/** A gate that runs in this process. */
export interface RunningGate {
  /** Base URL, such as http://127.0.0.1:8420. */
  readonly url: string
  /** Resolves once every server has listed its tools or failed once. */
  readonly settled: Promise<void>
  /** Stops taking calls, ends those in flight, closes the log. */
  close(): Promise<void>
}

/** Mints tokens of the development issuer, whose key lies in state/keys. */
export interface DevMint {
  mint(options: {
    audience: string
    subject: string
    clientId: string
    scope: string
    lifetimeS: number
    once?: boolean
    sid?: string
  }): { token: string; expiresAt: string }
}

/** What commands need from rooms that they may not know (ARCHITECTURE.md section 1); main hands it in. */
export interface World {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly now: () => number
  readonly startGate: (config: GatewayConfig) => Promise<RunningGate>
  readonly openDevIssuer: (stateDir: string) => Promise<DevMint>
  readonly pins: (path: string) => Promise<Readonly<Record<string, ServerPins>>>
  readonly approve: (
    stateDir: string,
    given: { server: string; tool: string; digest: string; by: string },
  ) => Promise<void>
  /** Relays stdio of this process to the gate until the host closes it. */
  readonly relay: (url: string, tokenFor: () => string) => Promise<void>
}
