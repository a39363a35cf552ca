import type { Duplex } from 'node:stream'
import type { JsonObject } from '../call/json.ts'
import type { GatewayConfig, ServerConfig } from '../config/declaration.ts'
import type { ConsentCallback } from '../ports/consents.ts'
import type { ServerPins } from '../ports/pin-store.ts'
import type { GateCredential } from '../ports/gate-credential.ts'
import type { Resolver } from '../ports/resolver.ts'
import type { OwnKeyPlace } from '../ports/signer.ts'
import type { PolicyBundle } from '../stages/policy/bundle.ts'
import type { standingOf } from '../stages/policy/bundled.ts'
import type { Finding } from '../text/finding.ts'
import type { Certificates } from './certs.ts'
import type { RemoteGates } from './connect-remote.ts'

/** A gate that runs in this process. */
export interface RunningGate {
  /** Base URL, such as http://127.0.0.1:8420. */
  readonly url: string
  /** Resolves once every server has listed its tools or failed once. */
  readonly settled: Promise<void>
  /** Stops taking calls, ends those in flight, closes the log. */
  close(): Promise<void>
}

/** A gate that only this process reaches: it has no port. */
export interface EnclosedGate extends RunningGate {
  /** Opens a connection. */
  readonly dial: () => Duplex
  /** Folder of its log of record. */
  readonly evidence: string
}

/** What a gate writes to its log about itself, such as `server.unavailable`. */
export type GateListener = (event: string, detail: JsonObject) => void

/** Where `relay` leads. */
export interface RelayTarget {
  /** URL of the endpoint. */
  readonly url: string
  /** How this process is known to it. */
  readonly credential: GateCredential
  /** Authorities of its certificate, in PEM; default those of Node. */
  readonly ca?: string
  /** Opens a connection in another way than over TCP. */
  readonly dial?: () => Duplex
  /** Ends it before the host does. */
  readonly signal?: AbortSignal
  /** Ends it as if the host had: what was asked is still answered. */
  readonly closing?: AbortSignal
}

/** Where one question to a gate goes. */
export type GateTarget = Pick<RelayTarget, 'url' | 'credential' | 'ca'>

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
    details?: readonly object[]
    confirmation?: { readonly jkt: string } | { readonly 'x5t#S256': string }
  }): { token: string; expiresAt: string }
}

/** A key that seals sessions and parked calls: what may be shown of it. Times in milliseconds since the epoch. */
export interface SealKeyFacts {
  readonly kid: string
  readonly madeAt: number
  /** When it opens nothing more; undefined for the current key. */
  readonly until: number | undefined
}

/** The bundle that a gate keeps, or why there is none. */
export type LiveBundle =
  | (PolicyBundle & {
      /** When its source last offered it, in milliseconds since the epoch. */
      readonly confirmedAt: number
      readonly standing: ReturnType<typeof standingOf>
      readonly problem?: undefined
    })
  | { readonly problem: string }

/** What commands need from rooms that they may not know (ARCHITECTURE.md section 1); main hands it in. */
export interface World {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly now: () => number
  readonly startGate: (config: GatewayConfig) => Promise<RunningGate>
  /** Starts a gate without a port. */
  readonly encloseGate: (config: GatewayConfig, onEvent: GateListener) => Promise<EnclosedGate>
  readonly openDevIssuer: (stateDir: string) => Promise<DevMint>
  /** The policy bundle of a state folder; undefined: the configuration has none. */
  readonly bundle: (config: GatewayConfig) => Promise<LiveBundle | undefined>
  readonly pins: (path: string) => Promise<Readonly<Record<string, ServerPins>>>
  readonly approve: (
    stateDir: string,
    given: { server: string; tool: string; digest: string; by: string },
  ) => Promise<void>
  /** Keys in `state/keys`, the current one first. */
  readonly sealKeys: {
    readonly names: (directory: string) => Promise<readonly string[]>
    readonly list: (directory: string) => Promise<readonly SealKeyFacts[]>
    readonly rotate: (directory: string, now: number, revoke: boolean) => Promise<readonly SealKeyFacts[]>
  }
  /** The local certificate authority, and certificates of others. */
  readonly certificates: Certificates
  /** Keys of the keyed hashes in records, by tenant. */
  readonly macKeys: (stateDir: string) => Promise<(tenant: string) => Buffer>
  /** Looks of `callgate doctor` beyond this process; what is wrong is a text, and none of them throws. */
  readonly examine: {
    readonly secret: (
      config: GatewayConfig,
      reference: string,
      algorithm: string | undefined,
    ) => Promise<string | undefined>
    readonly signer: (config: GatewayConfig, place: OwnKeyPlace) => Promise<string | undefined>
    readonly keys: (
      jwks: string,
    ) => Promise<{ algorithms: readonly (readonly string[])[]; date: Date | undefined } | string>
    readonly server: (
      id: string,
      server: Extract<ServerConfig, { transport: 'http' }>,
    ) => Promise<{ date: Date | undefined } | string>
    readonly resolver: (servers: readonly string[] | undefined) => Promise<string | undefined>
    readonly health: (url: string, isTls: boolean) => Promise<string | undefined>
  }
  /** Finds what is known and what `dlp` of a configuration looks for. @throws Error for a file that cannot be used */
  readonly openScan: (config: GatewayConfig) => Promise<(text: string) => readonly Finding[]>
  /** The DNS of the system. */
  readonly openResolver: () => Promise<Resolver>
  /** Relays stdio of this process to an endpoint of a gate until the host closes it. */
  readonly relay: (options: RelayTarget) => Promise<void>
  /** What `callgate consent` needs of the wire. */
  readonly consent: {
    readonly listen: () => Promise<ConsentCallback>
    /** Sends one JSON object to a gate. @throws Error when it does not answer in JSON */
    readonly post: (
      target: GateTarget,
      body: JsonObject,
    ) => Promise<{ readonly status: number; readonly body: JsonObject }>
  }
  /** Gates elsewhere, and the keys that are enrolled there. */
  readonly remote: RemoteGates
}
