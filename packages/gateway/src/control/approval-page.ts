import { member } from '../call/json.ts'
import type { CallApproval } from '../ports/call-approvals.ts'
import type { KeyRing } from '../ports/key-ring.ts'
import { type SignInProvider, SignInFailed } from '../ports/sign-in.ts'
import { messageHtml, requestHtml } from './approval-html.ts'
import { DECISION_STATUS } from './approval-verbs.ts'
import { type ApproverClaim, type SignedIn, approverOf } from './approver.ts'
import { type ApprovalDesk, ApprovalRefused } from './call-approvals.ts'
import { verifyIdToken } from './id-token.ts'
import { type PageAnswer, type PageRequest, PageRefused } from './page-server.ts'
import { type PageSession, PageSessions, SIGN_IN_MS } from './page-session.ts'

/** What the page needs. */
export interface ApprovalPageDeps {
  readonly desk: Pick<ApprovalDesk, 'get' | 'decide' | 'lookRefusal' | 'decideRefusal'>
  readonly provider: SignInProvider
  readonly keyRing: KeyRing
  /** Origin under which browsers reach it. */
  readonly publicUrl: string
  readonly issuer: string
  readonly clientId: string
  readonly claim: ApproverClaim
  readonly tenantClaim: string | undefined
  /** Seconds that a proof of who somebody is counts; undefined: the whole session. */
  readonly maxAgeS: number | undefined
  /** Told why a sign-in failed. */
  readonly onProblem: (problem: string) => void
  readonly now: () => number
}

/** Path that the provider leads back to. */
export const CALLBACK_PATH = '/callback'
const REQUEST_PATH = /^\/approvals\/([0-9a-f]{32})(\/sign-in)?$/
/** Codes that are redeemed at a time: each is a question to the provider. */
const MAX_REDEEMING = 16
/** Sign-ins that were answered and are remembered, so that none is answered twice. */
const MAX_ANSWERED = 10_000

/**
 * The page on which approvers decide, each signed in at the operator's OpenID provider (SECURITY.md 5, two-person rule). Who has
 * the link sees nothing by it: what is shown needs a role that the request asks for.
 * @returns answers one request of a browser
 */
export function createApprovalPage(deps: ApprovalPageDeps): (request: PageRequest) => Promise<PageAnswer> {
  const { desk, provider, publicUrl, issuer, clientId, claim, tenantClaim, maxAgeS, now } = deps
  const bound = JSON.stringify([issuer, clientId, claim, tenantClaim ?? null])
  const sessions = new PageSessions(deps.keyRing, bound, now)
  const redirectUri = `${publicUrl}${CALLBACK_PATH}`
  const secure = publicUrl.startsWith('https:')
  /** `__Host-`: no other host, and nobody on the way, can set it (RFC 6265bis section 4.1.3.2). Plain http has no such cookies. */
  const prefix = secure ? '__Host-' : ''
  const sessionCookie = `${prefix}callgate-session`
  const signInCookie = (state: string): string => `${prefix}callgate-sign-in-${state.slice(0, 12)}`
  const cookie = (name: string, value: string, maxAgeMs: number): string =>
    `${name}=${value}; Path=/; Max-Age=${Math.max(0, Math.floor(maxAgeMs / 1_000))}; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`
  /** Answered states, each with when it ends. */
  const answered = new Map<string, number>()
  let redeeming = 0
  /** What is being decided, by request and person: the second of two clicks gets the answer of the first. */
  const deciding = new Map<string, Promise<unknown>>()

  return async function serve(request: PageRequest): Promise<PageAnswer> {
    if (request.path === CALLBACK_PATH && request.method === 'GET') return signedIn(request)
    const [, id, anew] = REQUEST_PATH.exec(request.path) ?? []
    if (id === undefined) throw new PageRefused(404, 'There is nothing here.')
    if (request.method === 'POST') {
      if (anew !== undefined) throw new PageRefused(405, 'Signing in is a link.')
      return clicked(request, id)
    }
    if (anew !== undefined) return signIn(id, true)
    const session = sessionOf(request)
    return session === undefined ? signIn(id, false) : shown(session, id)
  }

  function sessionOf({ cookies }: PageRequest): PageSession | undefined {
    const sealed = cookies.get(sessionCookie)
    return sealed === undefined ? undefined : sessions.openSession(sealed)
  }

  // ── Signing in ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

  async function signIn(id: string, anew: boolean): Promise<PageAnswer> {
    try {
      const { url, state, nonce, verifier } = await provider.begin({ redirectUri, anew })
      const sealed = sessions.sealSignIn({ state, nonce, verifier, request: id })
      return { status: 303, location: url, cookies: [cookie(signInCookie(state), sealed, SIGN_IN_MS)] }
    } catch (error) {
      return failed(error, id)
    }
  }

  async function signedIn({ query, cookies }: PageRequest): Promise<PageAnswer> {
    const isPlain = ['state', 'code', 'iss', 'error'].every((name) => query.getAll(name).length <= 1)
    const state = (isPlain ? only(query, 'state') : undefined) ?? ''
    const sealed = /^[\w-]{43}$/.test(state) ? cookies.get(signInCookie(state)) : undefined
    const begun = sealed === undefined ? undefined : sessions.openSignIn(sealed, state)
    // Login CSRF: an answer that this browser did not ask for signs nobody in.
    if (begun === undefined || !isFirst(state))
      return page(
        400,
        'This is no answer that is waited for',
        'Open the link of the request again to sign in.',
      )
    const over = cookie(signInCookie(state), '', 0)
    const code = only(query, 'code')
    if (code === undefined || !/^[\x21-\x7e]{1,2048}$/.test(code)) {
      const error = only(query, 'error') ?? ''
      const named = /^[a-z_]{1,64}$/.test(error) ? `: ${error}` : ''
      const message = `The provider did not sign you in${named}.`
      return { ...page(403, 'You are not signed in', message, begun.request), cookies: [over] }
    }
    if (redeeming >= MAX_REDEEMING)
      return page(503, 'Too many sign in now', 'Wait a moment, then open the link again.', begun.request)
    redeeming++
    try {
      const { idToken, userInfo } = await provider.redeem(begun, redirectUri, {
        code,
        issuer: only(query, 'iss'),
      })
      const expected = { issuer, clientId, nonce: begun.nonce, maxAgeS }
      const claims = await verifyIdToken(idToken, (kid) => provider.key(kid), expected, now())
      const person = approverOf(claims, await userInfo(), claim, tenantClaim)
      const age = maxAgeS === undefined ? [] : [Number(member(claims, 'auth_time')) * 1_000, maxAgeS * 1_000]
      const session = sessions.begin(person, ...age)
      if (session === undefined) throw new SignInFailed('refused', 'the names of the person are too long')
      const held = cookie(sessionCookie, session.sealed, session.endsAt - now())
      return { status: 303, location: `/approvals/${begun.request}`, cookies: [over, held] }
    } catch (error) {
      return { ...failed(error, begun.request), cookies: [over] }
    } finally {
      redeeming--
    }
  }

  /** Whether an answer is the first one to its sign-in: what is sealed in a browser would be true again. */
  function isFirst(state: string): boolean {
    const at = now()
    // The oldest come first, for all live equally long.
    for (const [old, endsAt] of answered) {
      if (endsAt > at) break
      answered.delete(old)
    }
    if (answered.has(state)) return false
    // Of one that is forgotten the provider still takes the code once alone; a full memory must not keep people out.
    const [oldest] = answered.size < MAX_ANSWERED ? [] : answered.keys()
    if (oldest !== undefined) answered.delete(oldest)
    answered.set(state, at + SIGN_IN_MS)
    return true
  }

  /** What went wrong is for the operator; the person is told whether to try again. */
  function failed(error: unknown, id: string): PageAnswer {
    if (!(error instanceof SignInFailed)) throw error
    deps.onProblem(`sign-in at the page of approvals: ${error.message}`)
    return error.kind === 'down'
      ? page(
          502,
          'Nobody can sign in now',
          'The provider gives no answer that counts. Try again later, or decide by `callgate approvals`.',
          id,
        )
      : page(
          403,
          'You are not signed in',
          'What the provider says of you does not hold here; the log of the gate says why.',
          id,
        )
  }

  // ── Looking and deciding ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The request as this person may see it. A request of another tenant reads like none. @throws ApprovalRefused */
  function lookedAt(person: SignedIn, id: string): CallApproval {
    const approval = desk.get(id)
    if (
      approval === undefined ||
      (person.tenant !== undefined && approval.requester.tenant !== person.tenant)
    )
      throw new ApprovalRefused('unknown', 'there is no such request')
    const refusal = desk.lookRefusal(id, person)
    if (refusal !== undefined) throw refusal
    return approval
  }

  function shown(session: PageSession, id: string): PageAnswer {
    const { person } = session
    try {
      const approval = lookedAt(person, id)
      const refusal = desk.decideRefusal(id, person)
      const click = refusal === undefined ? sessions.sealClick(session, approval) : undefined
      // What is over says so itself.
      const why = refusal === undefined || refusal.reason === 'over' ? undefined : `${refusal.message}.`
      const html = requestHtml({ approval, by: person.id, click, why, now: now() })
      return { status: 200, html, form: click !== undefined }
    } catch (error) {
      return refused(error, id, person)
    }
  }

  async function clicked(request: PageRequest, id: string): Promise<PageAnswer> {
    if (!request.isOwn)
      return page(
        403,
        'This click came from another site',
        'Nothing was decided. Open the link of the request yourself.',
      )
    const session = sessionOf(request)
    if (session === undefined)
      return page(
        401,
        'You are not signed in any more',
        'Nothing was decided. Sign in, then decide again.',
        id,
      )
    const { person } = session
    const form = await request.form()
    try {
      const approval = lookedAt(person, id)
      const verdict = only(form, 'verdict')
      const comment = (only(form, 'comment') ?? '').trim()
      if (verdict !== 'approve' && verdict !== 'deny')
        return page(400, 'This is no decision', 'Click on Approve or Deny.', id, person)
      if (comment.length > 500 || /\p{C}/u.test(comment))
        return page(
          400,
          'The comment cannot be kept',
          'Nothing was decided. A comment has at most 500 characters and no hidden ones.',
          id,
          person,
        )
      const key = JSON.stringify([id, person.id])
      const first = deciding.get(key)
      if (!sessions.isClick(only(form, 'click') ?? '', session, approval)) {
        // The second of two clicks comes when the first has changed what the page showed: both lead to what came of it.
        if (approval.decisions.some(({ by }) => by === person.id))
          return { status: 303, location: `/approvals/${id}` }
        return page(
          409,
          'The request is not as you saw it',
          'Nothing was decided: the request has changed since, or the click is not from its page.',
          id,
          person,
        )
      }
      const decision =
        first ??
        desk
          .decide(id, person, verdict, comment === '' ? undefined : comment)
          .finally(() => deciding.delete(key))
      if (first === undefined) deciding.set(key, decision)
      await decision
      return { status: 303, location: `/approvals/${id}` }
    } catch (error) {
      return refused(error, id, person)
    }
  }

  function refused(error: unknown, id: string, { id: by }: SignedIn): PageAnswer {
    if (!(error instanceof ApprovalRefused)) throw error
    const status = DECISION_STATUS[error.reason]
    if (error.reason === 'unknown')
      return page(
        status,
        'There is no such request',
        'It may be more than a day old, or the link is not whole.',
      )
    return { status, html: messageHtml('You cannot decide on this request', `${error.message}.`, id, by) }
  }

  function page(status: number, title: string, message: string, id?: string, person?: SignedIn): PageAnswer {
    return { status, html: messageHtml(title, message, id, person?.id) }
  }
}

/** A parameter that stands there once; twice, two readers would take one each. */
function only(query: URLSearchParams, name: string): string | undefined {
  const [value, ...more] = query.getAll(name)
  return more.length === 0 ? value : undefined
}
