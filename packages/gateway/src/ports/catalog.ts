import type { ArgumentCheck, ToolClass } from '../call/call.ts'
import type { JsonObject } from '../call/json.ts'
import type { UpstreamFault } from './upstream.ts'

/** A tool as the gate serves it: the approved definition, not what the server says today. */
export interface PinnedTool {
  readonly server: string
  readonly name: string
  readonly definition: JsonObject
  /** SHA-256 (hex) of the canonical definition. */
  readonly digest: string
  readonly class: ToolClass
  readonly labels: readonly string[]
  readonly schema: ArgumentCheck
}

/** Why a known tool is not served. */
export type ToolState = 'pending' | 'drifted' | 'refused'

/** Why a server could not be asked: how it failed, or `not_pinned` where its tools could not be kept. */
export type UnavailableReason = UpstreamFault | 'not_pinned'

/** A server of the catalogue and whether it can be asked. */
export interface CatalogServer {
  readonly id: string
  /** `starting` until it listed or failed once. */
  readonly state: 'starting' | 'ready' | 'failed'
  readonly tools: ReadonlyMap<string, PinnedTool>
  /** Tools that exist and are not served, with the reason. */
  readonly withheld: ReadonlyMap<string, { readonly state: ToolState; readonly why: string }>
  readonly capabilities: JsonObject
  /** Why it could not be asked when it was tried last; its approved tools stay listed all the same. */
  readonly unavailable?: UnavailableReason | undefined
}

/** Contract: a snapshot, swapped whole; reading never waits. */
export interface Catalog {
  server(id: string): CatalogServer | undefined
  servers(): readonly CatalogServer[]
}
