import type { Principal } from '../../call/call.ts'
import type { Owners } from '../../ports/owners.ts'

/** What of a caller an id may be compared with. */
export type CallerWord = 'subject' | 'tenant' | 'actor'

/**
 * Ids that say themselves whose they are: one that is a word of the caller's token, or begins with one.
 * @param equals words of which one must be the whole id
 * @param prefix what the id must begin with, `{subject}`, `{tenant}` and `{actor}` filled in
 */
export function createClaimsOwners(equals: readonly CallerWord[], prefix: string | undefined): Owners {
  return {
    owned(ids, principal) {
      const words = wordsOf(principal)
      const whole = equals.map((word) => words[word])
      const begin = prefix?.replaceAll(/\{(subject|tenant|actor)\}/g, (_, word: CallerWord) => words[word])
      const isOwn = (id: string): boolean =>
        whole.includes(id) || (begin !== undefined && id.startsWith(begin) && id.length > begin.length)
      return Promise.resolve(new Set(ids.filter(isOwn)))
    },
    close: () => Promise.resolve(),
  }
}

export function wordsOf({ subject, tenant, actor }: Principal): Record<CallerWord, string> {
  return { subject, tenant, actor: actor.id }
}
