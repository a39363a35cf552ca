import { setTimeout as sleep } from 'node:timers/promises'
import { UpstreamFailed } from '../../ports/upstream.ts'
import { createBackoff, type Backoff } from './backoff.ts'
import { untilAborted, type Connection } from './connection.ts'
import type { UpstreamLimits } from './options.ts'

/** A wait for a failed server up to this long is sat out inside the call; a longer one fails it at once. */
const PATIENCE_MS = 1_000
/** A connection that lived this long before it died is no crash loop. */
const STABLE_MS = 30_000

/** The place of one (server, session) and what lives there. */
interface Slot {
  readonly server: string
  readonly kind: 'stdio' | 'http'
  readonly backoff: Backoff
  connection: Connection | undefined
  connecting: Promise<Connection> | undefined
  connectedAt: number
  lastUsedAt: number
  users: number
}

/** How one slot is filled. */
export interface SlotRequest {
  readonly server: string
  readonly session: string
  readonly kind: 'stdio' | 'http'
  /** Makes the connection; it gets its own deadline, since several calls may wait for it. */
  readonly connect: (signal: AbortSignal) => Promise<Connection>
}

/** Connections of all sessions to all servers, within the caps of the gate. */
export interface Slots {
  /** Runs `use` on the connection of a (server, session), making it when needed. @throws UpstreamFailed */
  use<T>(request: SlotRequest, signal: AbortSignal, run: (connection: Connection) => Promise<T>): Promise<T>
  close(): Promise<void>
}

/**
 * Caps: maxChildren and maxHttpSessions; the least recently used idle one ends first, and with none idle it is `busy`.
 * Where there are several servers of a kind, one alone takes at most half of the places.
 */
export function createSlots(
  limits: UpstreamLimits,
  clock: () => number,
  serverCount: Readonly<Record<'stdio' | 'http', number>>,
): Slots {
  const slots = new Map<string, Slot>()
  const ending = new Set<Promise<void>>()
  /** Starts that fail count for the server: a broken one must not take all children's places, session by session. */
  const starts = new Map<string, Backoff>()
  let closed = false

  const sweep = setInterval(
    () => {
      const now = clock()
      for (const [key, slot] of slots) {
        if (isIdle(slot) && now - slot.lastUsedAt >= limits.idleMs) {
          slots.delete(key)
          void end(slot)
        }
      }
    },
    Math.max(10, Math.min(30_000, limits.idleMs / 2)),
  )
  sweep.unref()

  function end(slot: Slot): Promise<void> {
    const connection = slot.connection
    slot.connection = undefined
    if (connection === undefined) return Promise.resolve()
    const done = connection.close().finally(() => ending.delete(done))
    ending.add(done)
    return done
  }

  /** Finds the slot or makes room for one. The room of an ended child is free only when the child is gone. */
  function place(request: SlotRequest): { slot: Slot; room: Promise<void> } {
    const key = `${request.server} ${request.session}`
    const found = slots.get(key)
    if (found !== undefined) {
      slots.delete(key)
      slots.set(key, found)
      return { slot: found, room: Promise.resolve() }
    }
    let room = Promise.resolve()
    const victim = roomIn(request)
    if (victim !== undefined) {
      const [oldKey, old] = victim
      slots.delete(oldKey)
      room = end(old)
    }
    const slot: Slot = {
      server: request.server,
      kind: request.kind,
      backoff: createBackoff(limits.backoffMinMs, limits.backoffMaxMs),
      connection: undefined,
      connecting: undefined,
      connectedAt: 0,
      lastUsedAt: clock(),
      users: 0,
    }
    slots.set(key, slot)
    return { slot, room }
  }

  /** The slot that must end for another one of this server; undefined: there is room. @throws UpstreamFailed `busy` */
  function roomIn(request: SlotRequest): [string, Slot] | undefined {
    const most = request.kind === 'stdio' ? limits.maxChildren : limits.maxHttpSessions
    // One hanging server must leave places for the calls of the others.
    const share = serverCount[request.kind] > 1 ? Math.ceil(most / 2) : most
    const ofKind = [...slots].filter(([, slot]) => slot.kind === request.kind)
    const ofServer = ofKind.filter(([, slot]) => slot.server === request.server)
    const crowd = ofServer.length >= share ? ofServer : ofKind.length >= most ? ofKind : undefined
    if (crowd === undefined) return undefined
    // Map order is the order of use.
    const victim = crowd.find(([, slot]) => isIdle(slot))
    if (victim !== undefined) return victim
    const whose = crowd === ofServer ? `of server \`${request.server}\`` : 'of the gate'
    throw new UpstreamFailed('busy', `all ${crowd.length} ${request.kind} connections ${whose} are in use`)
  }

  async function connect(slot: Slot, request: SlotRequest, room: Promise<void>): Promise<Connection> {
    const started = startsOf(request.server)
    const wait = Math.max(slot.backoff.waitMs(clock()), started.waitMs(clock()))
    if (wait > PATIENCE_MS) {
      const seconds = Math.ceil(wait / 1_000)
      throw new UpstreamFailed(
        'unavailable',
        `server \`${request.server}\` keeps failing; next try in ${seconds} s`,
      )
    }
    await room
    if (wait > 0) await sleep(wait)
    let connection: Connection
    try {
      connection = await request.connect(AbortSignal.timeout(limits.connectMs))
    } catch (cause) {
      started.failed(clock())
      throw cause
    }
    if (closed) {
      await connection.close()
      throw new UpstreamFailed('unavailable', 'the gate is closing')
    }
    started.recovered()
    slot.connection = connection
    slot.connectedAt = clock()
    return connection
  }

  function startsOf(server: string): Backoff {
    let backoff = starts.get(server)
    if (backoff === undefined) {
      backoff = createBackoff(limits.backoffMinMs, limits.backoffMaxMs)
      starts.set(server, backoff)
    }
    return backoff
  }

  /** The living connection of a slot; one that died on its own counts against the slot. */
  function connectionOf(
    slot: Slot,
    request: SlotRequest,
    room: Promise<void>,
  ): Promise<Connection> | Connection {
    const { connection } = slot
    if (connection?.alive === true) return connection
    if (connection !== undefined) {
      if (clock() - slot.connectedAt >= STABLE_MS) slot.backoff.recovered()
      slot.backoff.failed(clock())
      const gone = end(slot)
      slot.connecting ??= connect(slot, request, gone).finally(() => {
        slot.connecting = undefined
      })
      return slot.connecting
    }
    slot.connecting ??= connect(slot, request, room).finally(() => {
      slot.connecting = undefined
    })
    return slot.connecting
  }

  return {
    async use(request, signal, run) {
      if (closed) throw new UpstreamFailed('unavailable', 'the gate is closing')
      const { slot, room } = place(request)
      slot.users++
      try {
        const connecting = connectionOf(slot, request, room)
        const connection =
          connecting instanceof Promise ? await untilAborted(connecting, signal, request.server) : connecting
        return await run(connection)
      } finally {
        slot.users--
        slot.lastUsedAt = clock()
      }
    },
    async close() {
      closed = true
      clearInterval(sweep)
      const opening = [...slots.values()].flatMap((slot) => slot.connecting ?? [])
      for (const slot of slots.values()) void end(slot)
      slots.clear()
      await Promise.allSettled([...ending, ...opening])
      await Promise.allSettled(ending)
    },
  }
}

/** No call uses or awaits it. */
function isIdle(slot: Slot): boolean {
  return slot.users === 0 && slot.connecting === undefined
}
