import { isJsonObject, type Json, type JsonObject, member, stringMember } from '../../call/json.ts'
import { type Ticket, TicketsDown } from '../../ports/tickets.ts'

/** What a ticket system is asked by, and how it is understood. */
export interface TicketProvider {
  /** Ids that the system knows; others are no tickets and are not asked about. */
  readonly id: RegExp
  /** Path and query behind the base URL. */
  readonly path: (id: string) => string
  readonly headers: (token: string) => Readonly<Record<string, string>>
  /** @returns undefined: no such ticket. @throws TicketsDown for what is no answer of this system */
  readonly read: (body: unknown, approved: readonly string[]) => Ticket | undefined
}

/** What the systems need to know of the operator's account. */
export interface TicketAccount {
  readonly type: TicketSystem
  /** Name that goes with the token, for HTTP Basic; undefined: the token is a bearer token. */
  readonly user: string | undefined
  /** `owner/name` of GitHub, path or number of a project of GitLab. */
  readonly repository: string | undefined
}

/** The ticket systems: a closed list (ARCHITECTURE.md section 3, "extension points"). */
export const TICKET_SYSTEMS = ['jira', 'servicenow', 'github', 'gitlab', 'http'] as const
export type TicketSystem = (typeof TICKET_SYSTEMS)[number]

export function ticketProvider({ type, user, repository = '' }: TicketAccount): TicketProvider {
  const authorization = (token: string) => ({
    authorization:
      user === undefined
        ? `Bearer ${token}`
        : `Basic ${Buffer.from(`${user}:${token}`, 'utf8').toString('base64')}`,
  })
  const providers: Record<TicketSystem, TicketProvider> = {
    // Jira REST API version 2, whose description is plain text: Cloud and Data Center have it.
    jira: {
      id: /^[A-Z][A-Z0-9_]{1,31}-\d{1,12}$/,
      path: (id) => `/rest/api/2/issue/${id}?fields=status,assignee,description`,
      headers: authorization,
      read(body, approved) {
        const fields = objectIn(body, 'fields')
        const state = textIn(objectIn(fields, 'status'), 'name')
        const assignee = member(fields, 'assignee')
        return {
          ...ticket(textIn(objectIn(body), 'key'), state, approved, textOr(fields, 'description')),
          assignees: isJsonObject(assignee)
            ? texts(assignee, ['accountId', 'name', 'emailAddress', 'displayName'])
            : [],
        }
      },
    },
    // ServiceNow Table API on change_request; times of `value` are UTC.
    servicenow: {
      id: /^[A-Z]{2,8}\d{1,15}$/,
      path: (id) =>
        `/api/now/table/change_request?sysparm_query=number%3D${id}&sysparm_limit=2&sysparm_display_value=all&sysparm_fields=number,approval,assigned_to,description,start_date,end_date`,
      headers: authorization,
      read(body, approved) {
        const rows = isJsonObject(body) ? member(body, 'result') : undefined
        if (!Array.isArray(rows)) throw malformed('result')
        const [row, second] = rows
        if (row === undefined) return undefined
        if (second !== undefined || !isJsonObject(row)) throw malformed('result')
        const of = (name: string): JsonObject => objectIn(row, name)
        const assigned = of('assigned_to')
        return {
          ...ticket(
            textIn(of('number'), 'value'),
            textIn(of('approval'), 'value'),
            approved,
            textOr(of('description'), 'value'),
          ),
          assignees: texts(assigned, ['value', 'display_value']),
          from: utcTime(textOr(of('start_date'), 'value')),
          until: utcTime(textOr(of('end_date'), 'value')),
        }
      },
    },
    // GitHub REST API: an open issue is approved by a label.
    github: {
      id: /^#?\d{1,12}$/,
      path: (id) => `/repos/${pathOf(repository)}/issues/${number(id)}`,
      headers: (token) => ({
        ...authorization(token),
        accept: 'application/vnd.github+json',
        'x-github-api-version': '2022-11-28',
        'user-agent': 'callgate',
      }),
      read(body, approved) {
        if (!isJsonObject(body)) throw malformed('issue')
        return {
          ...labelled(body, 'number', 'open', approved, textOr(body, 'body')),
          assignees: listIn(body, 'assignees').flatMap((one) =>
            isJsonObject(one) ? texts(one, ['login']) : [],
          ),
        }
      },
    },
    // GitLab REST API version 4.
    gitlab: {
      id: /^#?\d{1,12}$/,
      path: (id) => `/api/v4/projects/${encodeURIComponent(repository)}/issues/${number(id)}`,
      headers: (token) => ({ 'private-token': token }),
      read(body, approved) {
        if (!isJsonObject(body)) throw malformed('issue')
        const due = textOr(body, 'due_date')
        return {
          ...labelled(body, 'iid', 'opened', approved, textOr(body, 'description')),
          assignees: listIn(body, 'assignees').flatMap((one) =>
            isJsonObject(one) ? texts(one, ['username', 'name']) : [],
          ),
          until: due === '' ? undefined : endOf(due),
        }
      },
    },
    // Our own, small enough to be put in front of any other system: docs/tickets.md.
    http: {
      id: /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/,
      path: (id) => `/${encodeURIComponent(id)}`,
      headers: authorization,
      read(body, approved) {
        if (!isJsonObject(body)) throw malformed('ticket')
        const assignees = listIn(body, 'assignees')
        return {
          ...ticket(textIn(body, 'id'), textIn(body, 'state'), approved, textIn(body, 'text')),
          assignees: assignees.filter((one): one is string => typeof one === 'string'),
          from: timeIn(body, 'from'),
          until: timeIn(body, 'until'),
        }
      },
    },
  }
  return providers[type]
}

function ticket(id: string, state: string, approved: readonly string[], text: string): Ticket {
  const isApproved = approved.includes(state)
  return { id, state, approved: isApproved, assignees: [], text, from: undefined, until: undefined }
}

/** Issues that are open and bear a label of approval. */
function labelled(
  body: JsonObject,
  key: 'number' | 'iid',
  open: string,
  approved: readonly string[],
  text: string,
): Ticket {
  const id = member(body, key)
  if (typeof id !== 'number') throw malformed(key)
  const state = textIn(body, 'state')
  const labels = listIn(body, 'labels').map((label) =>
    isJsonObject(label) ? textOr(label, 'name') : typeof label === 'string' ? label : '',
  )
  const shown = [state, ...labels].filter((word) => word !== '').join(' ')
  return {
    ...ticket(String(id), shown, [], text),
    approved: state === open && labels.some((label) => approved.includes(label)),
  }
}

const malformed = (what: string): TicketsDown =>
  new TicketsDown(`the ticket system answered without \`${what}\` as its API has it`)

/** An object, or the one that a member of it is. */
function objectIn(value: unknown, name?: string): JsonObject {
  const found = name === undefined ? value : isJsonObject(value) ? member(value, name) : undefined
  if (!isJsonObject(found)) throw malformed(name ?? 'an object')
  return found
}

function listIn(value: JsonObject, name: string): readonly Json[] {
  const found = member(value, name) ?? []
  if (!Array.isArray(found)) throw malformed(name)
  return found
}

function textIn(value: JsonObject, name: string): string {
  const found = stringMember(value, name)
  if (found === undefined) throw malformed(name)
  return found
}

/** A member that may be null or absent. */
function textOr(value: JsonObject, name: string): string {
  const found = member(value, name) ?? ''
  if (typeof found !== 'string') throw malformed(name)
  return found
}

function texts(value: JsonObject, names: readonly string[]): string[] {
  return names.map((name) => stringMember(value, name) ?? '').filter((text) => text !== '')
}

/** `owner/name`, each part escaped by itself. */
function pathOf(repository: string): string {
  return repository.split('/').map(encodeURIComponent).join('/')
}

function number(id: string): string {
  return id.replace('#', '')
}

/** RFC 3339. What is no time must not hold a ticket open for ever. */
function timeIn(value: JsonObject, name: string): number | undefined {
  const text = textOr(value, name)
  if (text === '') return undefined
  const time = /^\d{4}-\d\d-\d\dT/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(time)) throw malformed(name)
  return time
}

/** `2026-11-22 10:00:00`, UTC. */
function utcTime(text: string): number | undefined {
  if (text === '') return undefined
  const time = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/.test(text)
    ? Date.parse(`${text.replace(' ', 'T')}Z`)
    : Number.NaN
  if (Number.isNaN(time)) throw malformed('start_date')
  return time
}

/** The end of a day, UTC. */
function endOf(day: string): number {
  const start = /^\d{4}-\d\d-\d\d$/.test(day) ? Date.parse(`${day}T00:00:00Z`) : Number.NaN
  if (Number.isNaN(start)) throw malformed('due_date')
  return start + 86_400_000
}
