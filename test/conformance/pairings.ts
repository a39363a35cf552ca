import { ERAS, type Eras } from './backend.ts'
import type { HostEra } from './suite.ts'

/** A host of one era before a server of one or both; the host always comes over Streamable HTTP. */
export interface Pairing {
  readonly host: HostEra
  readonly server: Eras
  readonly transport: 'http' | 'stdio'
}

/** Every host before every server, over HTTP first. */
export const PAIRINGS: readonly Pairing[] = (['http', 'stdio'] as const).flatMap((transport) =>
  (['legacy', 'modern'] as const).flatMap((host) => ERAS.map((server) => ({ host, server, transport }))),
)

/** `legacy-to-modern` is a legacy host before a modern server, `legacy-to-modern-stdio` the same over stdio. */
export function nameOf({ host, server, transport }: Pairing): string {
  return `${host}-to-${server}${transport === 'http' ? '' : '-stdio'}`
}

/** What the host's era is measured by: the same server without the gate, and with that era where it lacks it. */
export function yardstickOf({ host, server }: Pairing): Yardstick {
  return { host, server: server === host ? server : 'both' }
}

/** A server without the gate. */
export interface Yardstick {
  readonly host: HostEra
  readonly server: Eras
}

/** What cannot pass in some pairings, and why nobody could make it. */
export interface Exception {
  readonly host: HostEra
  readonly servers: readonly Eras[]
  readonly scenario: string
  readonly checks: readonly string[]
  /** A failure of the suite, or only that it differs from the run without the gate. */
  readonly allows: 'failure' | 'difference'
  readonly reason: string
}

/**
 * Every exception; what passes although it stands here fails the run. Where host and server share an era none allows a
 * failure.
 */
export const EXCEPTIONS: readonly Exception[] = [
  {
    host: 'legacy',
    servers: ['legacy', 'modern', 'both'],
    scenario: 'server-sse-multiple-streams',
    checks: ['server-sse-streams-functional'],
    allows: 'difference',
    reason:
      'the fixture answers everything with a stream, the gate only what has notifications; which it is, a server may choose (2025-11-25, basic/transports, sending messages to the server 5)',
  },
  {
    host: 'modern',
    servers: ['legacy'],
    scenario: 'server-stateless',
    checks: ['sep-2575-server-rejects-undeclared-capability', 'sep-2575-missing-capability-http-400'],
    allows: 'failure',
    reason:
      'a legacy server says in a text of its own that it lacks a capability: the error that names it is new in 2026-07-28',
  },
  {
    host: 'modern',
    servers: ['legacy'],
    scenario: 'input-required-result-basic-elicitation',
    checks: ['sep-2322-elicitation-incomplete', 'sep-2322-elicitation-complete'],
    allows: 'failure',
    reason:
      'the suite wants the question under the key `user_name`, and a question of a legacy server has no key: the gate gives it one of its own',
  },
  {
    host: 'modern',
    servers: ['legacy'],
    scenario: 'input-required-result-ignore-extra-params',
    checks: ['sep-2322-ignore-unexpected-params'],
    allows: 'failure',
    reason:
      'the suite answers a question that was not asked yet, without requestState; a legacy server takes answers only while it waits for them',
  },
  {
    host: 'modern',
    servers: ['modern', 'both'],
    scenario: 'input-required-result-basic-list-roots',
    checks: ['sep-2322-list-roots-complete'],
    allows: 'difference',
    reason:
      'the server is told the roots of the operator in place of those of the host (ARCHITECTURE.md section 2)',
  },
  {
    host: 'modern',
    servers: ['modern', 'both'],
    scenario: 'input-required-result-multiple-input-requests',
    checks: ['sep-2322-multiple-inputs-complete'],
    allows: 'difference',
    reason:
      'the server is told the roots of the operator in place of those of the host (ARCHITECTURE.md section 2)',
  },
  {
    host: 'modern',
    servers: ['legacy'],
    scenario: 'input-required-result-basic-list-roots',
    checks: ['sep-2322-list-roots-incomplete', 'sep-2322-list-roots-complete'],
    allows: 'failure',
    reason:
      'a legacy server that asks for roots is answered by the gate, with those of the operator: nothing is left to ask the host',
  },
  {
    host: 'modern',
    servers: ['legacy'],
    scenario: 'input-required-result-multiple-input-requests',
    checks: ['sep-2322-multiple-inputs-incomplete', 'sep-2322-multiple-inputs-complete'],
    allows: 'failure',
    reason:
      'a legacy server asks in one message each and says of none that it is the last: the gate hands each on as it comes, and answers for roots itself',
  },
]
