import type { Principal } from '../../call/call.ts'
import { setTimeout as sleep } from 'node:timers/promises'
import { CredentialsMissing, CredentialsRefused } from '../../ports/credentials.ts'
import { UpstreamFailed } from '../../ports/upstream.ts'
import { createBackoff, type Backoff } from './backoff.ts'
import { untilAborted, type Connection } from './connection.ts'
import type { UpstreamLimits } from './options.ts'

/** A wait for a failed server up to this long is sat out inside the call; a longer one fails it at once. */
const PATIENCE_MS = 1_000
/** A connection that lived this long before it died is no crash loop. */
const STABLE_MS = 30_000

/** Whose connection it is. */
export interface Address {
  readonly server: string
  readonly session: string
  /** Canonical text of the capabilities that the server is told when it is greeted; undefined: any will do. */
  readonly capabilities: string | undefined
  /** Who shares credentials towards the server (ports/credentials.ts): nobody else's connection carries a request. */
  readonly credential: string
  /** Whose request it is; no part of the place. */
  readonly principal: Principal | undefined
}

/** What the slots need to know of the world. */
export interface SlotsOptions {
  readonly limits: UpstreamLimits
  readonly clock: () => number
  readonly kindOf: (server: string) => 'stdio' | 'http'
  /** How many servers there are of each kind. */
  readonly serverCount: Readonly<Record<'stdio' | 'http', number>>
  /** Makes a connection; it gets its own deadline, since several calls may wait for it. */
  readonly connect: (address: Address, signal: AbortSignal) => Promise<Connection>
}

/** The place of one address and what lives there. */
export class Slot {
  readonly address: Address
  readonly kind: 'stdio' | 'http'
  readonly backoff: Backoff
  /** Settled once what had to end for this place has ended. */
  readonly room: Promise<void>
  connection: Connection | undefined
  connecting: Promise<Connection> | undefined
  connectedAt = 0
  lastUsedAt: number
  /** Calls that use or await it. */
  users = 0
  /** Those who hear it: they keep it from idling away, and give way to calls when places run out. */
  listeners = 0

  constructor(address: Address, kind: 'stdio' | 'http', backoff: Backoff, room: Promise<void>, now: number) {
    this.address = address
    this.kind = kind
    this.backoff = backoff
    this.room = room
    this.lastUsedAt = now
  }

  get isIdle(): boolean {
    return this.users === 0 && this.connecting === undefined
  }
}

/**
 * Connections of all sessions to all servers, within the caps of the gate: maxChildren and maxHttpSessions. The least recently used
 * idle one ends first, one that is only listened to after those, and with none left it is `busy`. Where there are several servers of
 * a kind, one alone takes at most half of the places.
 */
export class Slots {
  readonly #options: SlotsOptions
  readonly #slots = new Map<string, Slot>()
  readonly #ending = new Set<Promise<void>>()
  /** Starts that fail count for the server: a broken one must not take all children's places, session by session. */
  readonly #starts = new Map<string, Backoff>()
  readonly #sweep: NodeJS.Timeout
  #closed = false

  constructor(options: SlotsOptions) {
    this.#options = options
    const { idleMs } = options.limits
    this.#sweep = setInterval(() => this.#endIdle(), Math.max(10, Math.min(30_000, idleMs / 2)))
    this.#sweep.unref()
  }

  /** Counts a call into its slot, which `leave` must follow. @throws UpstreamFailed `busy`, `unavailable` */
  enter(address: Address): Slot {
    const slot = this.#place(address, false)
    slot.users++
    return slot
  }

  leave(slot: Slot): void {
    slot.users--
    slot.lastUsedAt = this.#options.clock()
  }

  /** The slot's connection, made when needed. @throws UpstreamFailed */
  connection(slot: Slot, signal: AbortSignal): Connection | Promise<Connection> {
    const { connection } = slot
    if (connection?.alive === true) return connection
    return untilAborted(this.#connecting(slot), signal, slot.address.server)
  }

  /** Runs what listens to a connection. @throws UpstreamFailed `busy` also where something idle would have to end for it */
  async hear<T>(
    address: Address,
    signal: AbortSignal,
    run: (connection: Connection) => Promise<T>,
  ): Promise<T> {
    const slot = this.#place(address, true)
    slot.listeners++
    try {
      return await run(await this.connection(slot, signal))
    } finally {
      slot.listeners--
      slot.lastUsedAt = this.#options.clock()
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#sweep)
    const opening = [...this.#slots.values()].flatMap((slot) => slot.connecting ?? [])
    for (const slot of this.#slots.values()) void this.#end(slot)
    this.#slots.clear()
    await Promise.allSettled([...this.#ending, ...opening])
    await Promise.allSettled(this.#ending)
  }

  #endIdle(): void {
    const now = this.#options.clock()
    for (const [key, slot] of this.#slots) {
      const unused = slot.isIdle && slot.listeners === 0
      if (unused && now - slot.lastUsedAt >= this.#options.limits.idleMs) {
        this.#slots.delete(key)
        void this.#end(slot)
      }
    }
  }

  #end(slot: Slot): Promise<void> {
    const { connection } = slot
    slot.connection = undefined
    if (connection === undefined) return Promise.resolve()
    const done = connection.close().finally(() => this.#ending.delete(done))
    this.#ending.add(done)
    return done
  }

  /** Finds the slot or makes room for one. The room of an ended child is free only when the child is gone. */
  #place(address: Address, listens: boolean): Slot {
    if (this.#closed) throw new UpstreamFailed('unavailable', 'the gate is closing')
    const key = this.#keyOf(address)
    const found = this.#slots.get(key)
    if (found !== undefined) return found
    const { limits, clock, kindOf } = this.#options
    const kind = kindOf(address.server)
    const victim = this.#victimFor(address.server, kind, listens)
    let room = Promise.resolve()
    if (victim !== undefined) {
      this.#slots.delete(this.#keyOf(victim.address))
      room = this.#end(victim)
    }
    const backoff = createBackoff(limits.backoffMinMs, limits.backoffMaxMs)
    const slot = new Slot(address, kind, backoff, room, clock())
    this.#slots.set(key, slot)
    return slot
  }

  #keyOf({ server, session, capabilities, credential }: Address): string {
    // Neither server ids, credentials nor canonical capabilities hold a space, so no session id can make its key that of another.
    if (capabilities !== undefined) return `${server} ${credential} ${capabilities} ${session}`
    for (const [key, { address }] of this.#slots) {
      const same = address.server === server && address.session === session
      if (same && address.credential === credential) return key
    }
    return `${server} ${credential} {} ${session}`
  }

  /** The slot that must end for another one of this server; undefined: there is room. @throws UpstreamFailed `busy` */
  #victimFor(server: string, kind: 'stdio' | 'http', listens: boolean): Slot | undefined {
    const { limits, serverCount } = this.#options
    const most = kind === 'stdio' ? limits.maxChildren : limits.maxHttpSessions
    // One hanging server must leave places for the calls of the others.
    const share = serverCount[kind] > 1 ? Math.ceil(most / 2) : most
    const ofKind = [...this.#slots.values()].filter((slot) => slot.kind === kind)
    const ofServer = ofKind.filter((slot) => slot.address.server === server)
    const crowd = ofServer.length >= share ? ofServer : ofKind.length >= most ? ofKind : undefined
    if (crowd === undefined) return undefined
    // Who listens takes free places alone: it would end what the next call needs, and two of them would end each other for ever.
    const idle = listens ? [] : crowd.filter((slot) => slot.isIdle)
    idle.sort((a, b) => a.lastUsedAt - b.lastUsedAt)
    const victim = idle.find((slot) => slot.listeners === 0) ?? idle[0]
    if (victim !== undefined) return victim
    const whose = crowd === ofServer ? `of server \`${server}\`` : 'of the gate'
    throw new UpstreamFailed('busy', `all ${crowd.length} ${kind} connections ${whose} are in use`)
  }

  /** The connection that is being made; one that died on its own counts against the slot. */
  #connecting(slot: Slot): Promise<Connection> {
    const { clock } = this.#options
    let { room } = slot
    if (slot.connection !== undefined) {
      // A child that dies is a crash; an HTTP server that forgot a session was only started again.
      if (clock() - slot.connectedAt >= STABLE_MS) slot.backoff.recovered()
      if (slot.kind === 'stdio') slot.backoff.failed(clock())
      room = this.#end(slot)
    }
    slot.connecting ??= this.#connect(slot, room).finally(() => {
      slot.connecting = undefined
    })
    return slot.connecting
  }

  async #connect(slot: Slot, room: Promise<void>): Promise<Connection> {
    const { clock, connect, limits } = this.#options
    const { server } = slot.address
    const started = this.#startsOf(server)
    const wait = Math.max(slot.backoff.waitMs(clock()), started.waitMs(clock()))
    if (wait > PATIENCE_MS) {
      const seconds = Math.ceil(wait / 1_000)
      throw new UpstreamFailed('unavailable', `server \`${server}\` keeps failing; next try in ${seconds} s`)
    }
    await room
    if (wait > 0) await sleep(wait)
    let connection: Connection
    try {
      connection = await connect(slot.address, AbortSignal.timeout(limits.connectMs))
    } catch (cause) {
      // A caller with nothing to show was not brought to the server, and one that it refuses must not hold up the others.
      if (cause instanceof CredentialsRefused && slot.address.credential !== '') slot.backoff.failed(clock())
      else if (!(cause instanceof CredentialsMissing)) started.failed(clock())
      throw cause
    }
    if (this.#closed) {
      await connection.close()
      throw new UpstreamFailed('unavailable', 'the gate is closing')
    }
    started.recovered()
    slot.connection = connection
    slot.connectedAt = clock()
    return connection
  }

  #startsOf(server: string): Backoff {
    const { limits } = this.#options
    let backoff = this.#starts.get(server)
    if (backoff === undefined) {
      backoff = createBackoff(limits.backoffMinMs, limits.backoffMaxMs)
      this.#starts.set(server, backoff)
    }
    return backoff
  }
}
