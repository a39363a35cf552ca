import type { JsonObject } from '../../call/json.ts'
import { META, modernMeta } from '../../mcp/era.ts'
import type { HostReach } from '../../ports/upstream.ts'
import type { ConnectContext } from './connection.ts'

/** What a legacy host that never said a level hears of a modern server, which logs nothing unasked. */
const UNSAID_LEVEL = 'info'

/**
 * `_meta` members that a modern server gets with each request. It is told what the host declared and the operator granted, and of
 * roots where the operator set some, for it asks by a result; a server that all sessions share is told of nothing.
 */
export class RequestMeta {
  readonly #context: Pick<ConnectContext, 'clientInfo' | 'roots' | 'shared'>
  /** What most requests carry. */
  readonly #plain: JsonObject

  constructor(context: Pick<ConnectContext, 'clientInfo' | 'roots' | 'shared'>) {
    this.#context = context
    this.#plain = modernMeta(context.clientInfo, {})
  }

  of(host: HostReach | undefined): JsonObject {
    const { clientInfo, roots, shared } = this.#context
    if (host === undefined || shared) return this.#plain
    const { capabilities } = host
    const logLevel = host.logLevel ?? (host.hearsLogs ? UNSAID_LEVEL : undefined)
    if (roots === undefined && logLevel === undefined && Object.keys(capabilities).length === 0) {
      return this.#plain
    }
    const declared = roots === undefined ? capabilities : { ...capabilities, roots: {} }
    const meta = modernMeta(clientInfo, declared)
    return logLevel === undefined ? meta : { ...meta, [META.logLevel]: logLevel }
  }
}
