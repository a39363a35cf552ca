import type { EvidenceRecord } from '@callgate/evidence'
import type {
  AuthorizedCall,
  PinnedCall,
  IdentifiedCall,
  OnceCall,
  ReceivedCall,
  ResolvedCall,
  ScreenedCall,
} from '../call/call.ts'
import type { HostLink } from '../call/input.ts'
import type { Json, JsonObject } from '../call/json.ts'
import { Refusal } from '../call/refusal.ts'
import type { EvidenceHealth, EvidenceLog } from '../ports/evidence-log.ts'
import type { CatalogServer, PinnedTool } from '../ports/catalog.ts'

/** A host that declared nothing and hears nothing. */
export const mutedHost: HostLink = {
  capabilities: {},
  logLevel: undefined,
  progress: undefined,
  log: () => undefined,
  ask: () => Promise.reject(new Refusal('CG_HOST_UNREACHABLE')),
}

/** A tools/call as row 0 hands it on. */
export function receivedCall(change: Partial<ReceivedCall> = {}): ReceivedCall {
  const args = change.args ?? { text: 'x' }
  return {
    id: '01ARZ3NDEKTSV4RRFFQ69G5FAV',
    receivedAt: 1_800_000_000_000,
    caller: {
      peer: '127.0.0.1',
      token: 'token',
      endpoint: { server: undefined, resource: 'https://gate.example/mcp' },
      session: undefined,
    },
    requestId: 1,
    era: 'legacy',
    protocolVersion: '2025-11-25',
    method: 'tools/call',
    requested: 'fix__echo',
    args,
    argsBytes: Buffer.from(JSON.stringify(args)),
    exactNumbers: true,
    meta: {},
    traceId: undefined,
    headers: [],
    host: mutedHost,
    retry: undefined,
    idempotencyKey: undefined,
    ...change,
  }
}

export function identifiedCall(change: Partial<IdentifiedCall> = {}): IdentifiedCall {
  return {
    ...receivedCall(change),
    principal: {
      actor: { id: 'agent', type: 'agent' },
      subject: 'alice',
      tenant: 'default',
      clientId: 'client',
      grants: [],
      token: { iss: 'urn:issuer', jtiHash: 'hash', exp: 1_800_000_600, iat: 1_800_000_000 },
    },
    session: { id: 'session', calls: 1, labels: [], key: 'session' },
    chain: 'session',
    ...change,
  }
}

export function resolvedCall(change: Partial<ResolvedCall> = {}): ResolvedCall {
  return {
    ...identifiedCall(change),
    target: { server: 'fix', kind: 'tool', name: 'echo' },
    class: 'write',
    labels: [],
    digest: 'd'.repeat(64),
    schema: { validate: () => null },
    ...change,
  }
}

export function authorizedCall(change: Partial<AuthorizedCall> = {}): AuthorizedCall {
  return {
    ...resolvedCall(change),
    parsed: true,
    decision: { effect: 'allow', reason: 'rule', rules: ['allow'], observed: [], errors: [] },
    facts: {},
    policy: 'p'.repeat(64),
    ...change,
  }
}

export function screenedCall(change: Partial<ScreenedCall> = {}): ScreenedCall {
  return { ...authorizedCall(change), screened: { arguments: {} }, ...change }
}

export function pinnedCall(change: Partial<PinnedCall> = {}): PinnedCall {
  return { ...screenedCall(change), egress: 'judged', ...change }
}

/** A call as row 9 hands it on: without a key. */
export function onceCall(change: Partial<OnceCall> = {}): OnceCall {
  return { ...pinnedCall(change), once: 'any', ...change }
}

/** A log in memory whose health and failures the test sets. */
export class FakeLog implements EvidenceLog {
  health: EvidenceHealth = 'ok'
  fails = false
  readonly records: EvidenceRecord[] = []
  /** Called before a record is taken. */
  onAppend: (record: EvidenceRecord) => void = () => undefined

  append(record: EvidenceRecord): Promise<void> {
    if (this.fails) return Promise.reject(new Error('disk full'))
    this.onAppend(record)
    this.records.push(record)
    return Promise.resolve()
  }
  start(): Promise<void> {
    return Promise.resolve()
  }
  close(): Promise<void> {
    return Promise.resolve()
  }
}

/** A server of the catalogue with these tools pinned and these withheld. */
export function catalogServer(
  id: string,
  tools: readonly string[],
  change: Partial<CatalogServer> = {},
): CatalogServer {
  return {
    id,
    state: 'ready',
    tools: new Map(tools.map((name) => [name, pinnedTool(id, name)])),
    withheld: new Map(),
    capabilities: {},
    ...change,
  }
}

export function pinnedTool(server: string, name: string, definition: JsonObject = { name }): PinnedTool {
  return {
    server,
    name,
    definition,
    digest: 'd'.repeat(64),
    class: 'read',
    labels: [],
    schema: { validate: () => null },
  }
}

/** An answer of a server whose result is this value. */
export function answerOf(value: { readonly [key: string]: Json }): {
  kind: 'result'
  bytes: Buffer
  value: JsonObject
  upstreamMs: number
} {
  return { kind: 'result', bytes: Buffer.from(JSON.stringify(value)), value, upstreamMs: 1 }
}
