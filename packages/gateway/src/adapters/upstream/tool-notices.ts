import type { JsonObject } from '../../call/json.ts'
import type { Connection } from './connection.ts'

/** Least time between two notices of changed tools of one server and session, in milliseconds. */
const NOTICE_MS = 250

type ToolsListener = (server: string, tools?: readonly JsonObject[]) => void

/** Tells the catalogue that the tools of a server changed, and what a session sees of them. */
export class ToolNotices {
  readonly #listeners: ToolsListener[] = []
  readonly #waiting = new Map<string, NodeJS.Timeout>()
  /** Lists on their way; true: the server said meanwhile that its tools changed again. */
  readonly #listing = new Map<string, boolean>()
  readonly #list: (server: string, connection: Connection) => Promise<readonly JsonObject[] | undefined>
  #closed = false

  /** @param list the tools that a connection sees; undefined when they cannot be had */
  constructor(list: (server: string, connection: Connection) => Promise<readonly JsonObject[] | undefined>) {
    this.#list = list
  }

  add(listener: ToolsListener): void {
    this.#listeners.push(listener)
  }

  /** A session has a connection of its own: a server that shows others other tools is found by it (SECURITY.md 3.1 #3). */
  connected(server: string, connection: Connection): void {
    // Behind the call that made the connection.
    setImmediate(() => void this.#tellOf(server, connection))
  }

  /**
   * A server said that its tools changed. Coalesced: one that shouts must not make the gate list in a loop, and one that is slow
   * to list is asked for one list at a time.
   * @param connectionOf the session's own connection by then; undefined: the server was heard without one
   */
  changed(server: string, session: string, connectionOf: () => Connection | undefined): void {
    const key = `${server} ${session}`
    if (this.#closed || this.#waiting.has(key)) return
    if (this.#listing.has(key)) {
      this.#listing.set(key, true)
      return
    }
    const notice = async (): Promise<void> => {
      this.#waiting.delete(key)
      const connection = connectionOf()
      if (connection === undefined) this.#tell(server)
      else if (connection.alive) {
        this.#listing.set(key, false)
        await this.#tellOf(server, connection)
        const again = this.#listing.get(key) === true
        this.#listing.delete(key)
        if (again) this.changed(server, session, connectionOf)
      }
    }
    this.#waiting.set(key, setTimeout(() => void notice(), NOTICE_MS).unref())
  }

  close(): void {
    this.#closed = true
    for (const timer of this.#waiting.values()) clearTimeout(timer)
    this.#waiting.clear()
  }

  async #tellOf(server: string, connection: Connection): Promise<void> {
    const tools = this.#closed ? undefined : await this.#list(server, connection)
    if (tools !== undefined) this.#tell(server, tools)
  }

  #tell(server: string, tools?: readonly JsonObject[]): void {
    for (const listener of this.#listeners) {
      if (tools === undefined) listener(server)
      else listener(server, tools)
    }
  }
}
