import type { ArgumentCheck, ToolClass } from '../call/call.ts'
import type { JsonObject } from '../call/json.ts'

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

/** A server of the catalogue and whether it can be asked. */
export interface CatalogServer {
  readonly id: string
  /** `starting` until it listed or failed once. */
  readonly state: 'starting' | 'ready' | 'failed'
  readonly tools: ReadonlyMap<string, PinnedTool>
  /** Tools that exist and are not served, with the reason. */
  readonly withheld: ReadonlyMap<string, { readonly state: ToolState; readonly why: string }>
  readonly capabilities: JsonObject
}

/** Contract: a snapshot, swapped whole; reading never waits. */
export interface Catalog {
  server(id: string): CatalogServer | undefined
  servers(): readonly CatalogServer[]
}
