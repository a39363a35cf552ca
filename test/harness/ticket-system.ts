import { createServer, type IncomingMessage } from 'node:http'

/** A ticket of any system. */
export interface FixtureTicket {
  readonly id: string
  readonly state: string
  readonly text: string
  readonly assignee?: string
  readonly from?: string
  readonly until?: string
}

type System = 'jira' | 'servicenow' | 'github' | 'gitlab' | 'http'

/**
 * A fixture of the published APIs of ticket systems, strict about path, query, method and account. It answers what the test
 * says, once or always.
 */
export class TicketSystem {
  readonly system: System
  tickets: FixtureTicket[] = []
  token = 'good-token'
  /** What is answered instead, for as many requests as there are. */
  readonly failures: { status: number; body?: string; headers?: Record<string, string>; afterMs?: number }[] =
    []
  readonly asked: string[] = []
  readonly #server = createServer((request, response) => {
    this.asked.push(request.url ?? '')
    const failure = this.failures.shift()
    if (failure !== undefined) {
      setTimeout(() => {
        response.writeHead(failure.status, { 'content-type': 'application/json', ...failure.headers })
        response.end(failure.body ?? '{}')
      }, failure.afterMs ?? 0).unref()
      return
    }
    const [status, body] = this.#answer(request)
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(JSON.stringify(body))
  })

  constructor(system: System) {
    this.system = system
  }

  /** @returns its base URL */
  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    const address = this.#server.address()
    return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
  }

  close(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }

  #answer({ method, url = '', headers }: IncomingMessage): [number, unknown] {
    const given = headers.authorization ?? headers['private-token']
    const basic = `Basic ${Buffer.from(`gate@acme.example:${this.token}`).toString('base64')}`
    const expected = {
      jira: basic,
      servicenow: basic,
      github: `Bearer ${this.token}`,
      gitlab: this.token,
      http: `Bearer ${this.token}`,
    }[this.system]
    if (given !== expected) return [401, { message: 'Unauthorized' }]
    if (method !== 'GET') return [405, {}]
    if (this.system === 'github' && headers['user-agent'] === undefined) return [403, {}]
    const forms = {
      jira: /^\/rest\/api\/2\/issue\/([^/?]+)\?fields=status,assignee,description$/,
      servicenow:
        /^\/api\/now\/table\/change_request\?sysparm_query=number%3D([^&]+)&sysparm_limit=2&sysparm_display_value=all&sysparm_fields=number,approval,assigned_to,description,start_date,end_date$/,
      github: /^\/repos\/acme\/changes\/issues\/(\d+)$/,
      gitlab: /^\/api\/v4\/projects\/acme%2Fchanges\/issues\/(\d+)$/,
      http: /^\/([^/?]+)$/,
    }
    const [, id] = forms[this.system].exec(url) ?? []
    if (id === undefined) return [400, { message: 'no such resource' }]
    // Systems know one ticket by several spellings.
    const found = this.tickets.find((one) => one.id.replace(/-0+/, '-') === id.replace(/-0+/, '-'))
    if (found === undefined) return this.system === 'servicenow' ? [200, { result: [] }] : [404, {}]
    return [200, this.#shown(found)]
  }

  #shown({ id, state, text, assignee, from, until }: FixtureTicket): unknown {
    switch (this.system) {
      case 'jira':
        return {
          key: id,
          fields: {
            status: { name: state },
            description: text,
            assignee: assignee === undefined ? null : { accountId: `id-${assignee}`, displayName: assignee },
          },
        }
      case 'servicenow': {
        const both = (value: string) => ({ value, display_value: value })
        return {
          result: [
            {
              number: both(id),
              approval: { value: state, display_value: 'Shown' },
              description: both(text),
              assigned_to: { value: 'a1b2', display_value: assignee ?? '', link: 'https://x' },
              start_date: both(from ?? ''),
              end_date: both(until ?? ''),
            },
          ],
        }
      }
      case 'github':
        return {
          number: Number(id),
          state: state === 'closed' ? 'closed' : 'open',
          labels: [{ name: 'change' }, { name: state }],
          body: text,
          assignees: assignee === undefined ? [] : [{ login: assignee }],
        }
      case 'gitlab':
        return {
          iid: Number(id),
          state: state === 'closed' ? 'closed' : 'opened',
          labels: ['change', state],
          description: text,
          assignees: assignee === undefined ? [] : [{ username: assignee, name: 'A Name' }],
          due_date: until ?? null,
        }
      case 'http':
        return { id, state, text, assignees: assignee === undefined ? [] : [assignee], from, until }
    }
  }
}
