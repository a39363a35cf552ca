import type { JsonObject } from '../call/json.ts'

/** A definition that was approved, by whom and when. */
export interface Pin {
  readonly definition: JsonObject
  /** SHA-256 (hex) of the canonical definition. */
  readonly digest: string
  /** RFC 3339. */
  readonly approvedAt: string
  /** `first-use`, or the person who ran `callgate servers approve`. */
  readonly approvedBy: string
  /** Whose it was when it was approved. */
  readonly publisher: string
}

/** A definition that waits for approval. */
export interface Waiting {
  readonly definition: JsonObject
  readonly digest: string
  readonly seenAt: string
  /** Why it waits: new, or what changed against the approved one. */
  readonly why: string
  /** The approved definition, if there is one, goes on being served meanwhile. */
  readonly serving: boolean
  /** Score of the injection signal, where it is above the threshold: the most suspicious are shown first. */
  readonly risk?: number | undefined
}

/** What is known of one server's tools, by tool name. */
export interface ServerPins {
  readonly pins: Readonly<Record<string, Pin>>
  readonly waiting: Readonly<Record<string, Waiting>>
}

/** Where pins live. Contract: durable when save resolves; load gives what was saved last. */
export interface PinStore {
  load(): Promise<Readonly<Record<string, ServerPins>>>
  save(pins: Readonly<Record<string, ServerPins>>): Promise<void>
}
