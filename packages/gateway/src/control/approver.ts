import { type JsonObject, member, stringMember } from '../call/json.ts'
import type { Approver } from '../ports/call-approvals.ts'
import { SignInFailed } from '../ports/sign-in.ts'

/** Claim by which `approvals.roles` names approvers. */
export type ApproverClaim = 'email' | 'sub' | 'preferred_username'

/** Somebody who signed in. */
export interface SignedIn extends Approver {
  /** Of whose tenant he sees requests; undefined: of all. */
  readonly tenant: string | undefined
}

/** Claims by which callers' tokens may know a person, those of Entra among them. */
const NAME_CLAIMS = ['sub', 'email', 'preferred_username', 'upn', 'unique_name', 'oid'] as const

/**
 * Who the claims of a verified id_token speak of.
 * @param more what the user info endpoint says; it counts for the same `sub` alone (OpenID Connect Core 1.0 section 5.3.4)
 * @throws SignInFailed
 */
export function approverOf(
  claims: JsonObject,
  more: JsonObject | undefined,
  claim: ApproverClaim,
  tenantClaim: string | undefined,
): SignedIn {
  if (more !== undefined && member(more, 'sub') !== member(claims, 'sub'))
    throw new SignInFailed('refused', 'the user info is that of another person')
  const sources = more === undefined ? [claims] : [claims, more]
  // Both from one source: a verified mark of one says nothing of the address of another.
  const source = sources.find((one) => stringMember(one, claim) !== undefined)
  const value = source === undefined ? undefined : stringMember(source, claim)
  if (source === undefined || value === undefined || !/^[^\s\p{C}]{1,255}$/u.test(value))
    throw new SignInFailed(
      'refused',
      `the provider names no \`${claim}\` of 1 to 255 characters without spaces; see \`approvals.page.oidc.scope\` and \`claim\``,
    )
  // An address that nobody verified is whatever its holder typed.
  if (claim === 'email' && member(source, 'email_verified') !== true)
    throw new SignInFailed('refused', 'the provider has not verified the e-mail address (`email_verified`)')
  const names = new Set(
    sources.flatMap((one) => NAME_CLAIMS.map((name) => stringMember(one, name) ?? '')).filter(Boolean),
  )
  return {
    id: `oidc:${value}`,
    names: [...names],
    tenant: tenantClaim === undefined ? undefined : tenantOf(sources, tenantClaim),
  }
}

function tenantOf(sources: readonly JsonObject[], claim: string): string {
  const [tenant] = sources.flatMap((one) => stringMember(one, claim) ?? [])
  if (tenant !== undefined && tenant !== '') return tenant
  throw new SignInFailed('refused', `the provider names no tenant (\`${claim}\`)`)
}
