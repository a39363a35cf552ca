import { assertVouched, type Caller } from './caller.ts'
import { NotOwned } from './refusals.ts'

/** Whose an object is. All that is named must fit the caller, and an owner that names nothing fits nobody. */
export interface Owner {
  readonly tenant?: string
  /** A person: two issuers may use one name for two people, so both count. */
  readonly person?: { readonly issuer: string; readonly subject: string }
  readonly actor?: string
}

/** Finds an object and whose it is; undefined: there is none. */
export type Lookup<Id, Found> = (
  id: Id,
) =>
  | { readonly owner: Owner; readonly object: Found }
  | undefined
  | Promise<{ readonly owner: Owner; readonly object: Found } | undefined>

/**
 * The object of an id, if it is the caller's (OWASP API1:2023, broken object level authorization). Give tools no other way to
 * objects: an id that is looked up without its owner is an id that anybody may name.
 * @throws NotOwned for objects of others and for none, in the same words
 * @throws NotVouched for a caller that no guard made
 */
export async function owned<Id extends string | number, Found>(
  caller: Caller,
  id: Id,
  lookup: Lookup<Id, Found>,
): Promise<Found> {
  assertVouched(caller)
  const found = await lookup(id)
  if (found === undefined || !isOwner(found.owner, caller)) throw new NotOwned()
  return found.object
}

function isOwner({ tenant, person, actor }: Owner, caller: Caller): boolean {
  if (tenant === undefined && person === undefined && actor === undefined) return false
  return (
    (tenant === undefined || tenant === caller.tenant) &&
    (person === undefined || (person.issuer === caller.issuer && person.subject === caller.subject)) &&
    (actor === undefined || actor === caller.actor)
  )
}
