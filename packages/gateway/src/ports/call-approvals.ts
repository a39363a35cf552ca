import type { Principal, Target, ToolClass } from '../call/call.ts'
import type { JsonObject } from '../call/json.ts'

/** Name of a role of approvers, in rules and in `approvals.roles` of the configuration. */
export const APPROVER_ROLE = /^[a-z][a-z0-9-]{0,31}$/

/** Roles as people read them: one of each list. */
export function rolesIn(approvers: readonly (readonly string[])[]): string {
  return approvers.map((roles) => roles.join(' or ')).join(', and ')
}

/** What is asked of approvers: one call, by whom, why, and what it would do. */
export interface ApprovalRequest {
  /** Keyed hash of the exact call: its caller, the definition of its tool, its arguments. */
  readonly code: string
  readonly principal: Principal
  readonly target: Target
  readonly class: ToolClass
  /** Each list must be met by somebody with one of its roles. */
  readonly approvers: readonly (readonly string[])[]
  /** The rules that require it, with the reasons of their authors. */
  readonly rules: readonly { readonly id: string; readonly why: string | undefined }[]
  /** What may be shown of the arguments. */
  readonly shown: JsonObject
  /** The call as its host wrote it, so that it can be run later. */
  readonly parked: ParkedCall
}

/** A call that waits for approval. */
export interface ParkedCall {
  /** Server of the endpoint at which it was asked for; null: the aggregated one. */
  readonly server: string | null
  readonly requested: string
  /** Received bytes of the arguments, as text. */
  readonly args: string
  /** Headers of a modern host that repeat arguments, names and values in turn. */
  readonly headers: readonly string[]
  readonly idempotencyKey: string | undefined
  readonly ticket: string | undefined
}

/** Somebody who decides. */
export interface Approver {
  /** As `approvals.roles` names him, such as `cli:anna` or `oidc:anna@corp.example`; what records and pages show. */
  readonly id: string
  /** Every name by which callers' tokens may know him: nobody approves his own call. */
  readonly names: readonly string[]
}

/** One person's word on a request. */
export interface ApprovalDecision {
  readonly by: string
  readonly roles: readonly string[]
  readonly verdict: 'approve' | 'deny'
  readonly comment: string | undefined
  /** Milliseconds since the epoch. */
  readonly at: number
}

/** A request and what became of it, without what only the gate may know. Times in milliseconds since the epoch. */
export interface CallApproval extends Omit<ApprovalRequest, 'principal' | 'parked'> {
  /** 32 hexadecimal digits of a random number: who has not been told it cannot guess it. */
  readonly id: string
  readonly requester: {
    readonly tenant: string
    readonly actor: string
    readonly type: Principal['actor']['type']
    readonly subject: string
  }
  readonly askedAt: number
  /** When it lapses: undecided, or approved and not used. */
  readonly endsAt: number
  readonly decisions: readonly ApprovalDecision[]
  readonly state: 'pending' | 'approved' | 'denied' | 'used' | 'expired'
}

/** A request as it is kept. */
export interface StoredApproval extends Omit<CallApproval, 'state'> {
  /** The parked call, sealed; undefined: it is too large to be kept, and its host must make it again. */
  readonly parked: string | undefined
  readonly usedAt: number | undefined
}

/** Where requests are kept. Contract: durable when a promise resolves; only their owner can read what is kept. */
export interface CallApprovalStore {
  /** @throws Error naming the file that holds no request, or that others may read */
  load(): Promise<readonly StoredApproval[]>
  save(approval: StoredApproval): Promise<void>
  /** Forgets one; nothing happens when there is none of that id. */
  remove(id: string): Promise<void>
}

/** What the stages ask of those who approve. */
export interface CallApprovals {
  /** The request for exactly this call that has neither lapsed nor been used. */
  find(code: string): CallApproval | undefined
  /**
   * Asks for approval; where it was asked already, that is the answer.
   * @throws TooManyApprovals, or the fault of disk or log: then nobody was asked
   */
  ask(request: ApprovalRequest): Promise<CallApproval>
  /** The call that waits under an id, for the caller who asked for it and at the endpoint where he did. */
  parked(id: string, principal: Principal, server: string | undefined): ParkedCall | undefined
  /** Told of an approval whose call is about to be sent. */
  used(id: string): void
  /** Where people decide in a browser; undefined: they cannot. */
  link(id: string): string | undefined
}

/** Too many requests wait. */
export class TooManyApprovals extends Error {
  override readonly name = 'TooManyApprovals'
}
