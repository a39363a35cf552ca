import type { Principal } from '../call/call.ts'

/** What an operator says of ids of one type, and where it is asked. */
export interface Owners {
  /**
   * Of some ids of a type, those that a caller may use. What the source does not know is nobody's.
   * @param relation what the caller is about to do with them, for sources that tell it apart; undefined: their own default
   * @throws OwnersDown when nobody can say
   */
  owned(
    ids: readonly string[],
    principal: Principal,
    relation: string | undefined,
    signal: AbortSignal,
  ): Promise<ReadonlySet<string>>
  close(): Promise<void>
}

/** A source of owners gave no answer that could be read. The message holds no secret and no id. */
export class OwnersDown extends Error {
  override readonly name = 'OwnersDown'
}
