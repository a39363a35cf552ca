import { readFile } from 'node:fs/promises'
import { parse } from 'yaml'
import { z } from 'zod'
import { type Tickets, TicketsDown } from '../../ports/tickets.ts'

const time = z
  .string()
  .regex(/^\d{4}-\d\d-\d\dT/)
  .transform(Date.parse)
  .refine(Number.isFinite)
const listed = z.record(
  z.string(),
  z.strictObject({
    state: z.string(),
    assignees: z.array(z.string()).default([]),
    text: z.string(),
    from: time.optional(),
    until: time.optional(),
  }),
)
/** Longest file, in bytes. */
const MAX_BYTES = 1_048_576

/**
 * Tickets in a YAML file, by id, for those who have no ticket system: read again for each question, so that an edit counts at once.
 * @param approved states that stand for approval
 */
export function createFileTickets(path: string, approved: readonly string[]): Tickets {
  return {
    async read(id) {
      const tickets = await ticketsIn(path)
      const found = Object.hasOwn(tickets, id) ? tickets[id] : undefined
      if (found === undefined) return undefined
      const { from, until, ...ticket } = found
      return { id, ...ticket, from, until, approved: approved.includes(ticket.state) }
    },
    close: () => Promise.resolve(),
  }
}

async function ticketsIn(path: string): Promise<z.infer<typeof listed>> {
  let bytes: Buffer
  try {
    bytes = await readFile(path)
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown error'
    throw new TicketsDown(`\`tickets.file\` cannot be read (${code})`)
  }
  if (bytes.length > MAX_BYTES) throw new TicketsDown(`\`tickets.file\` is longer than ${MAX_BYTES} bytes`)
  try {
    return listed.parse(parse(bytes.toString('utf8'), { maxAliasCount: 0 }) ?? {})
  } catch (cause) {
    const [issue] = cause instanceof z.ZodError ? cause.issues : []
    const place = issue === undefined ? '' : ` at \`${issue.path.join('.')}\``
    throw new TicketsDown(`\`tickets.file\` is no map of tickets${place}`)
  }
}
