import type { AuthorizationDetail } from './authorization.ts'
import type { Redaction, Requirements } from './decision.ts'
import type { HostLink } from './input.ts'
import type { JsonObject } from './json.ts'
import type { Judgement, Refusal, Target } from './refusal.ts'

export type { Target } from './refusal.ts'

/** legacy = protocol versions with `initialize` (<= 2025-11-25), modern = per-request metadata (2026-07-28). */
export type Era = 'legacy' | 'modern'

/** Methods that run through the pipeline as calls; everything else the gate answers itself or refuses. */
export type CallMethod = 'tools/call' | 'resources/read' | 'prompts/get' | TaskMethod

/** Methods of a host that holds a task of a tool (2026-07-28, extension `io.modelcontextprotocol/tasks`). */
export type TaskMethod = 'tasks/get' | 'tasks/update' | 'tasks/cancel'

/** Operator's class of a tool. Set by the operator, never by the server: its annotations are untrusted. */
export type ToolClass = 'read' | 'write' | 'destructive' | 'egress' | 'memory' | 'poll'

/** Where the host asked: `/mcp` with prefixed names, or `/mcp/<server>` with bare ones. */
export interface Endpoint {
  /** Undefined on the aggregated `/mcp`. */
  readonly server: string | undefined
  /** Canonical URI of the endpoint: the audience that a token must name (RFC 8707). */
  readonly resource: string
}

/** Who speaks on the wire, before anyone is authenticated. */
export interface Caller {
  /** Socket address, or the right-most untrusted hop behind a trusted proxy. */
  readonly peer: string
  /** Access token as received; undefined when there was none. Never recorded, never sent upstream. */
  readonly token: string | undefined
  /** Scheme that the token came under. Default Bearer. */
  readonly scheme?: 'Bearer' | 'DPoP' | undefined
  /** Proof of possession that came with the token; one object for one HTTP request. Undefined: none. */
  readonly proof?: Proof | undefined
  /** Whether the request carries a message signature (RFC 9421). */
  readonly signed?: boolean | undefined
  /** What TLS proved of the other side; undefined: it showed no certificate. */
  readonly certificate?: PeerCertificate | undefined
  readonly endpoint: Endpoint
  /** Session that a legacy session id was given to; undefined: none was sent. The token says who calls, and must agree. */
  readonly session?: string | undefined
}

/** A DPoP proof (RFC 9449) and the request that it must have been made for. */
export interface Proof {
  /** The header as received. */
  readonly jwt: string
  readonly httpMethod: string
  /** Public URL of the endpoint, without query and fragment. */
  readonly url: string
  /** Headers of the request as they came, names and values in turn, and its body; undefined: it has none. */
  readonly headers: readonly string[]
  readonly body: Uint8Array | undefined
}

/** A client certificate whose chain TLS has verified. */
export interface PeerCertificate {
  /** SHA-256 over its DER form in base64url: `x5t#S256` of RFC 8705 section 3.1. */
  readonly thumbprint: string
  /** URIs of its subject alternative name; at most one of them is a SPIFFE id. */
  readonly uris: readonly string[]
  /** DNS names of its subject alternative name, in lower case. */
  readonly dns: readonly string[]
  /** Distinguished name, one relative name a line (node:crypto X509Certificate.subject). */
  readonly subject: string
  /** Seconds since the epoch. */
  readonly notBefore: number
  readonly notAfter: number
}

/** Row 0: parsed, unambiguous, not yet trusted in any way. */
export interface ReceivedCall {
  /** Call id and evidence id (call/id.ts). */
  readonly id: string
  /** Milliseconds since the epoch. */
  readonly receivedAt: number
  readonly caller: Caller
  /** JSON-RPC id that the host gave: unique to its connection at best, never a key across callers. */
  readonly requestId: string | number
  readonly era: Era
  readonly protocolVersion: string
  readonly method: CallMethod
  /** Name of the tool or prompt as the host wrote it, the resource's URI, or the id of a task. */
  readonly requested: string
  /** What the host wrote, where it asked for a call that had waited; undefined: the call itself. */
  readonly asked?: { readonly requested: string; readonly args: JsonObject } | undefined
  /** Parsed arguments; an empty object when there were none. */
  readonly args: JsonObject
  /** The received bytes of `arguments`, proven unambiguous by the scanner; what is sent is what was checked. */
  readonly argsBytes: Uint8Array
  /** False when a number in the arguments does not survive parse and stringify by value. */
  readonly exactNumbers: boolean
  /** What of the host's `_meta` goes on to the server: its trace context. */
  readonly meta: JsonObject
  /** W3C trace id of the host, when it sent a valid traceparent. */
  readonly traceId: string | undefined
  /** Raw headers of a modern request, names and values in turn; empty for a legacy one, which repeats nothing in them. */
  readonly headers: readonly string[]
  /** Ticket that the caller names for this call; nobody has confirmed it. */
  readonly ticket?: string | undefined
  /** The host's end of this call. */
  readonly host: HostLink
  /** Undefined for a call that begins. */
  readonly retry: Continuation | undefined
  /** Key under which the host wants the call to run once; undefined: it gave none. */
  readonly idempotencyKey: string | undefined
}

/** How a modern host goes on with a call that was answered by questions (2026-07-28, MRTR). */
export interface Continuation {
  /** The host's answers as it gave them; undefined: none. */
  readonly responses: JsonObject | undefined
  /** The state that the gate sealed with the questions; undefined: the host answers what it knows will be asked. */
  readonly requestState: string | undefined
}

export interface Actor {
  readonly id: string
  readonly type: 'agent' | 'human' | 'service'
}

/** What the caller's token proved (ARCHITECTURE.md section 3: actor, subject, tenant). */
export interface Principal {
  readonly actor: Actor
  readonly subject: string
  readonly tenant: string
  readonly clientId: string
  readonly grants: readonly string[]
  /** What the token is for; undefined: it says nothing narrower than its grants. */
  readonly details?: readonly AuthorizationDetail[] | undefined
  readonly token: {
    readonly iss: string
    readonly jtiHash: string
    readonly exp: number
    readonly iat: number
  }
}

/** (tenant, actor, subject, client_id, sid) by its hash, and what the gate remembers of it. */
export interface Session {
  readonly id: string
  /** Calls of this session so far, this one included. */
  readonly calls: number
  /** What the session has seen, such as `injection`. */
  readonly labels: readonly string[]
  /** What labels hang on: the tuple and sid by their hash, the same however long the session was idle. */
  readonly key: string
}

/** Row 1. */
export interface IdentifiedCall extends ReceivedCall {
  readonly principal: Principal
  readonly session: Session
  /** Inbound W3C trace id, else the session's id. */
  readonly chain: string
}

/** Checks a value against a tool's pinned schema. */
export interface ArgumentCheck {
  validate(value: unknown): { pointer: string; keyword: string; expected: string } | null
  /** Absent: the schema asks for no headers. */
  readonly headers?: ArgumentHeaders | undefined
}

/** Arguments that a modern request repeats as `Mcp-Param-*` headers (2026-07-28, SEP-2243). Lists are names and values in turn. */
export interface ArgumentHeaders {
  /** What is wrong with the headers that a host sent, without any value; undefined: they say what the arguments say. */
  check(args: JsonObject, received: readonly string[]): string | undefined
  /** What the server gets, made from the arguments that were checked. */
  of(args: JsonObject): readonly string[]
}

/** Row 2. */
export interface ResolvedCall extends IdentifiedCall {
  readonly target: Target
  readonly class: ToolClass
  readonly labels: readonly string[]
  /** SHA-256 (hex) of the pinned canonical definition; undefined for resources and prompts. */
  readonly digest: string | undefined
  /** Undefined for resources and prompts, whose parameters the protocol types. */
  readonly schema: ArgumentCheck | undefined
  /** Row 4b: how many values of which class were put back in the place of their placeholders. */
  readonly restored?: Readonly<Record<string, number>> | undefined
  /** The arguments as the host wrote them, where something was put back: what its headers repeat. */
  readonly written?: JsonObject | undefined
  /** The task that is polled, answered or stopped; undefined for calls that begin. */
  readonly task?: TaskCall | undefined
}

/** A task as the catalogue found it. */
export interface TaskCall {
  /** The server's own id. */
  readonly taskId: string
  /** Class of its tool: what policy judges. A poll is a read, whatever it polls for. */
  readonly class: ToolClass
}

/** Row 5: arguments fit the tool's own pinned schema, strictly. */
export interface ParsedCall extends ResolvedCall {
  readonly parsed: true
}

/** What policy requires of a call beside being allowed. */
export interface StepUp extends Requirements {
  /** The ticket without which policy would require more; undefined: the caller names none. */
  readonly named: string | undefined
}

/** What stands for one call: a ticket, as its system says, or the approval that people gave. */
export interface Confirmed {
  readonly id: string
  /** Seconds since the epoch until which it must not be used again. */
  readonly exp: number
}

/** Row 6. */
export interface AuthorizedCall extends ParsedCall, Judgement {
  /** What rules take out of the call beside the operator's `dlp`; undefined: nothing. */
  readonly redactions?: readonly Redaction[] | undefined
  /** What must be confirmed before the call goes on; undefined: policy allows it as it is. */
  readonly stepUp?: StepUp | undefined
  /** Row 6b: the ticket that was confirmed for this very call, and must be claimed before it is sent. */
  readonly confirmed?: Confirmed | undefined
  /** Row 6b: the approval that was given to this very call, and must be claimed before it is sent. */
  readonly approved?: Confirmed | undefined
  /** Takes back what the call added to windowed facts: of all rules, for one that is stopped before it is sent, or of those on trial. */
  readonly takeBack?: ((of: 'all' | 'on trial') => void) | undefined
  /** A later row on trial would have refused it. */
  readonly wouldRefuse?: true | undefined
}

/** Row 7: what the server gets, and what of that was found in it. */
export interface ScreenedCall extends AuthorizedCall {
  readonly screened: FoundData
}

/** How much of which class was found, whatever became of it. */
export interface FoundData {
  readonly arguments: Readonly<Record<string, number>>
  /** Row 12. */
  readonly result?: Readonly<Record<string, number>>
  /** Where it was changed or refused: direction, JSON pointer and class, at most 8 of each direction. */
  readonly places?: readonly string[]
  /** How much of it an exception of the operator let pass. */
  readonly excepted?: Readonly<Record<string, number>>
}

/** Row 8: no URL in what the server gets leads where it must not. */
export interface PinnedCall extends ScreenedCall {
  readonly egress: 'judged'
}

/** Row 9. */
export interface OnceCall extends PinnedCall {
  /**
   * `any`: the call has no key, and runs as often as it is asked for. `first`: no call began its key before. Otherwise the call
   * that did has ended, and this one gets its answer instead of running.
   */
  readonly once: 'any' | 'first' | Repeat
}

/** What the first call of a key was answered. */
export interface Repeat {
  /** Id of that call. */
  readonly of: string
  readonly answer: Answer
}

/** Row 10. INVARIANT: forward takes nothing less, so no path reaches an upstream without a durable intent. */
export interface RecordedCall extends OnceCall {
  readonly recorded: 'intent' | 'outcome-only'
}

/** What the server said, proven unambiguous. */
export interface Answer {
  readonly kind: 'result' | 'error'
  /** The received bytes of `result` or `error`. */
  readonly bytes: Uint8Array
  readonly value: JsonObject
  readonly upstreamMs: number
}

/** Row 11. */
export interface AnsweredCall extends RecordedCall {
  readonly answer: Answer
}

/** How a call ended. `unknown`: it was sent and nobody can say whether it took effect. */
export type Outcome =
  | { readonly kind: 'answered'; readonly answer: Answer }
  | { readonly kind: 'refused' | 'failed' | 'cancelled' | 'unknown'; readonly refusal: Refusal }

/** A call at any height of its growth, as settle and the record see it. */
export type GrowingCall = ReceivedCall & Partial<Omit<AnsweredCall, keyof ReceivedCall>>
