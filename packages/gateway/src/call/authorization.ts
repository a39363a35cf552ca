import type { Target } from './refusal.ts'

/**
 * What a token is for (RFC 9396 `authorization_details`, type `mcp_tool_call`): these actions on these servers, with tools that
 * touch no more than these kinds of data, for one purpose.
 */
export interface AuthorizationDetail {
  /** Server ids. */
  readonly locations: readonly string[]
  /** `tools/call:<server>.<tool>`, `prompts/get:<server>.<prompt>` or `resources/read:<server>`. */
  readonly actions: readonly string[]
  /** Labels that a tool may have, and one of them it must: undefined: any, or none. */
  readonly datatypes: readonly string[] | undefined
  readonly purpose: string | undefined
  /** Ticket that the token was given for; nobody has confirmed it. */
  readonly ticket?: string | undefined
}

/** `type` of such details; those of other types are for other services. */
export const DETAIL_TYPE = 'mcp_tool_call'

/** How a detail names what is done with a target. */
export function actionOf({ kind, server, name }: Target): string {
  if (kind === 'resource') return `resources/read:${server}`
  return `${kind === 'tool' ? 'tools/call' : 'prompts/get'}:${server}.${name}`
}

/**
 * The first detail that covers a target, whose purpose then is that of the call.
 * @param labels the operator's labels of the tool
 * @returns undefined when none does
 */
export function detailFor(
  details: readonly AuthorizationDetail[],
  target: Target,
  labels: readonly string[],
): AuthorizationDetail | undefined {
  const action = actionOf(target)
  return details.find(
    ({ locations, actions, datatypes }) =>
      locations.includes(target.server) &&
      actions.includes(action) &&
      (datatypes === undefined || (labels.length > 0 && labels.every((label) => datatypes.includes(label)))),
  )
}

/** Whether a text may be the id of a ticket in any system; what it means is asked of the system. */
export function isTicketId(text: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._#/-]{0,127}$/.test(text)
}
