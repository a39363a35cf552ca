import { z } from 'zod'
import type { Principal } from '../call/call.ts'
import { globMatcher } from '../text/glob.ts'
import { word } from './forms.ts'

/** Controls beside rules that can be on trial. */
export const TRIAL_CONTROLS = ['dlp', 'egress', 'ownership'] as const
export type TrialControl = (typeof TRIAL_CONTROLS)[number]

const group = word('a name of at most 32 lower-case letters, digits, `_` and `-`', /^[a-z][a-z0-9_-]{0,31}$/)
const globs = (what: string) =>
  z
    .array(z.string().min(1).max(256))
    .min(1)
    .max(256)
    .exactOptional()
    .describe(`${what}, by name or glob. Default: all.`)

/** `rollout`: for whom, and where, what is on trial is enforced already. */
export const rollout = z.strictObject({
  groups: z
    .record(
      group,
      z.strictObject({
        actors: globs('Ids of actors'),
        subjects: globs('Subjects, the people in whose name actors act'),
        tenants: globs('Tenants'),
      }),
    )
    .default({})
    .describe('Groups of callers; who is in one fits all that is said of it.'),
  enforce: z
    .array(
      z.strictObject({
        rules: z
          .array(z.string().min(1).max(128))
          .min(1)
          .max(256)
          .exactOptional()
          .describe('Rules with `mode: observe`, by id or glob.'),
        controls: z
          .array(z.enum(TRIAL_CONTROLS))
          .min(1)
          .exactOptional()
          .describe('Controls with `mode: observe`.'),
        groups: z.array(group).min(1).max(64).exactOptional().describe('For these groups. Default: for all.'),
        servers: z
          .array(z.string().min(1).max(16))
          .min(1)
          .max(256)
          .exactOptional()
          .describe('At these servers. Default: at all.'),
      }),
    )
    .max(256)
    .default([])
    .describe('What is enforced for some while it is on trial for the others.'),
})

export type Rollout = z.output<typeof rollout>

/** Who calls, as groups look at it. */
export type Member = Pick<Principal, 'subject' | 'tenant'> & { readonly actor: { readonly id: string } }

/**
 * Whether something that is on trial is enforced for a caller at a server.
 * @param caller undefined: nobody knows yet who; then it is enforced where it is for anybody
 */
export type EnforcedFor = (caller: Member | undefined, server: string) => boolean

/**
 * For whom a rule or control on trial is enforced already.
 * @returns undefined: for nobody
 */
export function enforcedEarly(
  { groups, enforce }: Rollout,
  what: { readonly rule: string } | { readonly control: TrialControl },
): EnforcedFor | undefined {
  const about = enforce.filter((entry) =>
    'rule' in what
      ? entry.rules?.some((glob) => globMatcher(glob)(what.rule))
      : entry.controls?.includes(what.control),
  )
  if (about.length === 0) return undefined
  const members = new Map(Object.entries(groups).map(([name, of]) => [name, membersOf(of)] as const))
  return (caller, server) =>
    about.some(
      ({ groups: names, servers }) =>
        (servers === undefined || servers.includes(server)) &&
        (names === undefined ||
          caller === undefined ||
          names.some((name) => members.get(name)?.(caller) === true)),
    )
}

/** The mode of a control for a caller at a server, from the mode that it has for all. */
export function modeOf(rollout: Rollout, control: TrialControl) {
  const early = enforcedEarly(rollout, { control })
  return <Mode extends string>(mode: Mode, ...who: Parameters<EnforcedFor>): Mode | 'enforce' =>
    early?.(...who) === true ? 'enforce' : mode
}

/** In words, such as `group pilots at crm`; empty: nowhere. */
export function earlyIn({ enforce }: Rollout, what: Parameters<typeof enforcedEarly>[1]): string[] {
  return enforce.flatMap((entry) => {
    if (enforcedEarly({ groups: {}, enforce: [entry] }, what) === undefined) return []
    const { groups, servers } = entry
    const who = groups === undefined ? 'everybody' : `group ${groups.join(', ')}`
    return [servers === undefined ? who : `${who} at ${servers.join(', ')}`]
  })
}

function membersOf({ actors, subjects, tenants }: Rollout['groups'][string]): (caller: Member) => boolean {
  const fits = (patterns: readonly string[] | undefined) => {
    const matchers = patterns?.map(globMatcher)
    return (text: string): boolean => matchers?.some((matches) => matches(text)) ?? true
  }
  const [isActor, isSubject, isTenant] = [fits(actors), fits(subjects), fits(tenants)]
  return ({ actor, subject, tenant }) => isActor(actor.id) && isSubject(subject) && isTenant(tenant)
}
