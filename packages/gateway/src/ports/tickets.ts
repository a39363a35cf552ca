/** What a ticket system says of one ticket. */
export interface Ticket {
  /** The system's own id of it: a ticket that goes by several names is one. */
  readonly id: string
  /** In the words of the system. */
  readonly state: string
  readonly approved: boolean
  /** Whom it is assigned to, as the system names them. */
  readonly assignees: readonly string[]
  /** Where it says which call it is for. */
  readonly text: string
  /** Milliseconds since the epoch between which it holds; undefined: the system says nothing. */
  readonly from: number | undefined
  readonly until: number | undefined
}

/** A ticket system. */
export interface Tickets {
  /**
   * @param id as `isTicketId` has it; what the system would not take as an id is no ticket
   * @returns undefined: there is no such ticket, or the gate may not see it
   * @throws TicketsDown when nobody can say
   */
  read(id: string, signal: AbortSignal): Promise<Ticket | undefined>
  close(): Promise<void>
}

/** A ticket system gave no answer that could be read. The message holds no secret and nothing of a ticket. */
export class TicketsDown extends Error {
  override readonly name = 'TicketsDown'
}
