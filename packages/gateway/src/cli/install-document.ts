/** A server as it stands in a host's configuration. */
export interface HostEntry {
  readonly name: string
  readonly value: unknown
  /** The whole member or list item, as the file has it. */
  readonly text: string
}

/** A member that holds servers. */
export interface ServerPlace {
  readonly path: readonly string[]
  readonly entries: readonly HostEntry[]
}

/** Whether two paths lead to the same place. */
export function samePath(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((part, index) => part === b[index])
}

/** A server to write: a new one by its value, or one from a backup by the text that it had. */
export type NewEntry =
  { readonly name: string; readonly value: object } | { readonly name: string; readonly text: string }

/** What becomes of one place. Entries that are neither removed nor written stay byte for byte, and so does all the rest. */
export interface PlaceChange {
  readonly path: readonly string[]
  readonly remove: ReadonlySet<string>
  readonly write: readonly NewEntry[]
}

/** A host's configuration, read so that a part of it can be changed. */
export interface HostDocument {
  /** The main place first, there or not. */
  readonly places: readonly ServerPlace[]
  /** The text after the changes. */
  rewrite(changes: readonly PlaceChange[]): string
}

/** What a masked text shows of a value, or undefined for nothing of it. `before` is the item before it in a list. */
export type Shown = (
  path: readonly (string | number)[],
  value: string,
  before: string | undefined,
) => string | undefined

/** Stands for a value that is not shown. */
export const MASK = '***'

/** A file that cannot be used as it is: where and why. */
export class Unusable extends Error {
  override readonly name = 'Unusable'
  /** Offset in the text; undefined: the whole of it. */
  readonly offset: number | undefined

  constructor(message: string, offset?: number) {
    super(message)
    this.offset = offset
  }
}
