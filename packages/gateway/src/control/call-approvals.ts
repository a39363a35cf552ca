import { randomBytes } from 'node:crypto'
import type { Principal } from '../call/call.ts'
import { type JsonObject, isJsonObject } from '../call/json.ts'
import {
  type ApprovalDecision,
  type ApprovalRequest,
  type Approver,
  type CallApproval,
  type CallApprovals,
  type CallApprovalStore,
  type ParkedCall,
  type StoredApproval,
  TooManyApprovals,
  rolesIn,
} from '../ports/call-approvals.ts'
import { type KeyRing, MAX_SEALED_BYTES } from '../ports/key-ring.ts'

/** What the desk needs. */
export interface ApprovalDeskDeps {
  readonly store: CallApprovalStore
  readonly keyRing: KeyRing
  /** Who has which role: ids of approvers by role. */
  readonly roles: Readonly<Record<string, readonly string[]>>
  /** How long a request waits, and how long an approval can be used, in milliseconds. */
  readonly lifeMs: number
  /** Where people decide on a request in a browser; undefined: they cannot. */
  readonly link: (id: string) => string | undefined
  /** Writes to the log of record; durable when it resolves. */
  readonly record: (event: string, detail: JsonObject) => Promise<void>
  readonly onProblem: (problem: string) => void
  readonly now: () => number
}

/** Why a decision is not taken: what, and what to do. The approver reads it. */
export class ApprovalRefused extends Error {
  override readonly name = 'ApprovalRefused'
  readonly reason: 'unknown' | 'over' | 'own' | 'role' | 'busy'

  constructor(reason: ApprovalRefused['reason'], message: string) {
    super(message)
    this.reason = reason
  }
}

const UNKNOWN = (): ApprovalRefused => new ApprovalRefused('unknown', 'there is no such request')
const OWN = (): ApprovalRefused =>
  new ApprovalRefused('own', 'nobody approves a call of his own; ask somebody else')

/** Requests that may wait at once, of all callers and of one: a request is a file, and somebody's attention. */
const MAX_OPEN = 1_000
const MAX_OPEN_OF_ONE = 16
/** How long a request that is over is still shown, in milliseconds: a day. The log of record holds it longer. */
const KEPT_MS = 86_400_000

/**
 * Requests for approval of calls, and what people said to them (SECURITY.md 5, two-person rule: nobody approves his own call, an
 * approval is for the exact call, and lapses).
 */
export class ApprovalDesk implements CallApprovals {
  readonly #deps: ApprovalDeskDeps
  readonly #byId = new Map<string, StoredApproval>()
  readonly #byCode = new Map<string, string>()
  readonly #asking = new Map<string, Promise<CallApproval>>()
  /** Requests that somebody is deciding: of two at once the second must see what the first said. */
  readonly #deciding = new Set<string>()

  private constructor(deps: ApprovalDeskDeps) {
    this.#deps = deps
  }

  /** @throws Error naming the file that cannot be taken */
  static async open(deps: ApprovalDeskDeps): Promise<ApprovalDesk> {
    const desk = new ApprovalDesk(deps)
    const stored = await deps.store.load()
    for (const approval of stored.toSorted((a, b) => a.askedAt - b.askedAt)) desk.#put(approval)
    return desk
  }

  find(code: string): CallApproval | undefined {
    const stored = this.#byId.get(this.#byCode.get(code) ?? '')
    if (stored === undefined) return undefined
    const approval = this.#shown(stored)
    return approval.state === 'used' || approval.state === 'expired' ? undefined : approval
  }

  get(id: string): CallApproval | undefined {
    const stored = this.#byId.get(id)
    return stored === undefined ? undefined : this.#shown(stored)
  }

  /** The newest first. */
  list(): readonly CallApproval[] {
    return [...this.#byId.values()].toSorted((a, b) => b.askedAt - a.askedAt).map((one) => this.#shown(one))
  }

  ask(request: ApprovalRequest): Promise<CallApproval> {
    const open = this.find(request.code)
    if (open !== undefined) return Promise.resolve(open)
    // Calls that are alike and come together ask once.
    let asking = this.#asking.get(request.code)
    if (asking === undefined) {
      asking = this.#ask(request).finally(() => this.#asking.delete(request.code))
      this.#asking.set(request.code, asking)
    }
    return asking
  }

  async #ask({ principal, parked, ...request }: ApprovalRequest): Promise<CallApproval> {
    const { store, keyRing, lifeMs, now, record } = this.#deps
    const askedAt = now()
    const requester = {
      tenant: principal.tenant,
      actor: principal.actor.id,
      type: principal.actor.type,
      subject: principal.subject,
    }
    this.#makeRoom(requester, askedAt)
    const id = randomBytes(16).toString('hex')
    const plain = Buffer.from(JSON.stringify(parked))
    const approval: StoredApproval = {
      ...request,
      id,
      requester,
      askedAt,
      endsAt: askedAt + lifeMs,
      decisions: [],
      parked:
        plain.length > MAX_SEALED_BYTES ? undefined : keyRing.seal('approval', plain, boundTo(id, principal)),
      usedAt: undefined,
    }
    await record('approval.asked', described(approval))
    await store.save(approval)
    this.#put(approval)
    return this.#shown(approval)
  }

  /**
   * Takes one person's word. An approval stands once every rule has its approver; one denial is enough to deny.
   * @throws ApprovalRefused, or the fault of disk or log: then the request stays as it was
   */
  async decide(
    id: string,
    approver: Approver,
    verdict: ApprovalDecision['verdict'],
    comment?: string,
  ): Promise<CallApproval> {
    const stored = this.#byId.get(id)
    const refusal = this.#refusal(stored, approver)
    if (stored === undefined || refusal !== undefined) throw refusal ?? UNKNOWN()
    const roles = this.#rolesOf(approver.id)
    this.#deciding.add(id)
    try {
      const at = this.#deps.now()
      const decision = { by: approver.id, roles, verdict, comment, at }
      const decided = { ...stored, decisions: [...stored.decisions, decision] }
      // From the last word on there is as much time to use it as there was to give it.
      const ends = stateOf(decided) === 'approved' ? { endsAt: at + this.#deps.lifeMs } : {}
      const next = { ...decided, ...ends }
      await this.#deps.record('approval.decided', {
        ...described(next),
        verdict,
        by: approver.id,
        state: stateOf(next),
        ...(comment === undefined ? {} : { comment }),
      })
      await this.#deps.store.save(next)
      this.#put(next)
      return this.#shown(next)
    } finally {
      this.#deciding.delete(id)
    }
  }

  /** Why an approver cannot decide now; undefined: he can. */
  decideRefusal(id: string, approver: Approver): ApprovalRefused | undefined {
    return this.#refusal(this.#byId.get(id), approver)
  }

  /** Why somebody is not shown a request, whatever its state; undefined: it asks for a role of his, and is not his own. */
  lookRefusal(id: string, approver: Approver): ApprovalRefused | undefined {
    const stored = this.#byId.get(id)
    if (stored === undefined) return UNKNOWN()
    return isRequester(stored, approver) ? OWN() : this.#lacksRole(approver, stored.approvers)
  }

  #refusal(stored: StoredApproval | undefined, approver: Approver): ApprovalRefused | undefined {
    if (stored === undefined) return UNKNOWN()
    const { state } = this.#shown(stored)
    if (state !== 'pending') return new ApprovalRefused('over', `this request is ${state} already`)
    if (this.#deciding.has(stored.id))
      return new ApprovalRefused('busy', 'somebody is deciding on this request now; look again')
    return isRequester(stored, approver) ? OWN() : this.#lacksRole(approver, unmet(stored))
  }

  #lacksRole(approver: Approver, wanted: readonly (readonly string[])[]): ApprovalRefused | undefined {
    const roles = this.#rolesOf(approver.id)
    if (wanted.some((list) => list.some((role) => roles.includes(role)))) return undefined
    const needed = `the roles that this request needs: ${rolesIn(wanted)}; see \`approvals.roles\``
    return new ApprovalRefused('role', `${approver.id} has none of ${needed}`)
  }

  parked(id: string, principal: Principal, server: string | undefined): ParkedCall | undefined {
    const stored = this.#byId.get(id)
    if (stored?.parked === undefined || isOver(this.#shown(stored))) return undefined
    const plain = this.#deps.keyRing.open('approval', stored.parked, boundTo(id, principal))
    if (plain === undefined) return undefined
    const parked: unknown = JSON.parse(plain.toString('utf8'))
    // INVARIANT: the seal opens for nothing but what `#ask` put into it.
    return isJsonObject(parked) && parked['server'] === (server ?? null)
      ? (parked as unknown as ParkedCall)
      : undefined
  }

  link(id: string): string | undefined {
    return this.#deps.link(id)
  }

  used(id: string): void {
    const stored = this.#byId.get(id)
    if (stored === undefined || stored.usedAt !== undefined) return
    const used = { ...stored, usedAt: this.#deps.now() }
    this.#put(used)
    // The claim of the approval is durable already: this only spares the next call from finding it.
    this.#deps.store.save(used).catch((error: unknown) => this.#deps.onProblem(String(error)))
  }

  #rolesOf(approver: string): readonly string[] {
    return Object.entries(this.#deps.roles).flatMap(([role, ids]) => (ids.includes(approver) ? [role] : []))
  }

  #put(approval: StoredApproval): void {
    this.#byId.set(approval.id, approval)
    this.#byCode.set(approval.code, approval.id)
  }

  /** A denial, too, is forgotten in the end: the call may be asked for again. */
  #shown(stored: StoredApproval): CallApproval {
    const { parked: _parked, usedAt, ...rest } = stored
    if (usedAt !== undefined) return { ...rest, state: 'used' }
    return { ...rest, state: this.#deps.now() >= rest.endsAt ? 'expired' : stateOf(rest) }
  }

  /** @throws TooManyApprovals */
  #makeRoom(requester: StoredApproval['requester'], now: number): void {
    let open = 0
    let own = 0
    for (const stored of this.#byId.values()) {
      if (!isOver(this.#shown(stored))) {
        open++
        if (isSame(stored.requester, requester)) own++
      } else if (now >= stored.endsAt + KEPT_MS) this.#forget(stored)
    }
    if (open >= MAX_OPEN) throw new TooManyApprovals(`${MAX_OPEN} requests wait already`)
    if (own >= MAX_OPEN_OF_ONE)
      throw new TooManyApprovals(`${MAX_OPEN_OF_ONE} requests of this caller wait already`)
  }

  #forget({ id, code }: StoredApproval): void {
    this.#byId.delete(id)
    if (this.#byCode.get(code) === id) this.#byCode.delete(code)
    this.#deps.store.remove(id).catch((error: unknown) => this.#deps.onProblem(String(error)))
  }
}

/** What people have said, whatever the time. */
function stateOf(
  approval: Pick<StoredApproval, 'approvers' | 'decisions'>,
): 'pending' | 'approved' | 'denied' {
  if (approval.decisions.some(({ verdict }) => verdict === 'deny')) return 'denied'
  return unmet(approval).length === 0 ? 'approved' : 'pending'
}

/** Lists of roles that nobody has met yet. */
function unmet({
  approvers,
  decisions,
}: Pick<StoredApproval, 'approvers' | 'decisions'>): readonly (readonly string[])[] {
  return approvers.filter(
    (wanted) => !decisions.some(({ roles }) => roles.some((role) => wanted.includes(role))),
  )
}

const isOver = ({ state }: CallApproval): boolean => state === 'used' || state === 'expired'

function isSame(a: StoredApproval['requester'], b: StoredApproval['requester']): boolean {
  return a.tenant === b.tenant && a.actor === b.actor && a.subject === b.subject
}

function isRequester({ requester }: StoredApproval, { names }: Approver): boolean {
  const own = [requester.actor, requester.subject].map((name) => name.toLowerCase())
  return names.some((name) => own.includes(name.toLowerCase()))
}

/** What a parked call is sealed for: nobody else's hands open it. */
function boundTo(id: string, { tenant, actor, subject }: Principal): string {
  return JSON.stringify([id, tenant, actor.id, subject])
}

/** What records say of a request. */
function described({
  id,
  requester,
  target,
  class: class_,
  approvers,
  rules,
  endsAt,
}: StoredApproval): JsonObject {
  return {
    id,
    ...requester,
    target: `${target.server}.${target.name}`.slice(0, 300),
    class: class_,
    approvers: approvers.map((roles) => [...roles]),
    rules: rules.map((rule) => rule.id).slice(0, 16),
    ends: new Date(endsAt).toISOString(),
  }
}
