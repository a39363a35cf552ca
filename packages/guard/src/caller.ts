import { NotVouched } from './refusals.ts'

/** Who calls, as the gate vouches for it, for one call of one tool. */
export interface Caller {
  readonly tenant: string
  /** Issuer of the caller's own identity and the name there: only both together name one person. */
  readonly issuer: string
  readonly subject: string
  /** The agent that acts for the subject. */
  readonly actor: string
  readonly client: string
  /** The tool that is called. */
  readonly tool: string
  /** Seconds since the epoch at which the assertion ends: work that goes on later asks again who calls. */
  readonly expiresAt: number
}

/** What servers of the MCP SDK take beside a message (its `AuthInfo`, version 1 and 2), and hand to every tool. */
export interface AuthInfo {
  token: string
  clientId: string
  scopes: string[]
  expiresAt?: number
  extra?: Record<string, unknown>
}

const EXTRA = 'callgate/caller'

/** Callers that a guard made: an object of the same form from elsewhere is none. */
const vouched = new WeakSet<object>()

/** Marks a caller as one that was verified. Not for users of the package. */
export function vouchFor(caller: Caller): Caller {
  const frozen = Object.freeze({ ...caller })
  vouched.add(frozen)
  return frozen
}

/** @throws NotVouched for what no guard of this process made */
export function assertVouched(caller: Caller): void {
  if (!vouched.has(caller)) throw new NotVouched('missing', 'the caller does not come from a guard')
}

/**
 * A caller in the form in which the SDK carries it to a tool. There is no token in it: the caller's ends at the gate.
 * @param more what another check of the server found, which stays
 */
export function authInfoOf(caller: Caller, more?: AuthInfo): AuthInfo {
  const { client, expiresAt } = caller
  return {
    token: '',
    clientId: client,
    scopes: [],
    expiresAt,
    ...more,
    extra: { ...more?.extra, [EXTRA]: caller },
  }
}

/**
 * The caller of a tool, from what the SDK gives the tool beside its arguments (`extra` of version 1, `ctx` of version 2).
 * @throws NotVouched when the call did not come through a guard: a tool that begins with this cannot be reached around it
 */
export function callerOf(context: {
  readonly authInfo?: Pick<AuthInfo, 'extra'> | undefined
  readonly http?: { readonly authInfo?: Pick<AuthInfo, 'extra'> | undefined } | undefined
}): Caller {
  const found = (context.authInfo ?? context.http?.authInfo)?.extra?.[EXTRA]
  if (!isVouched(found)) throw new NotVouched('missing', 'the call did not come through the guard')
  return found
}

function isVouched(value: unknown): value is Caller {
  return typeof value === 'object' && value !== null && vouched.has(value)
}
