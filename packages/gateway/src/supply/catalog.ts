import { createHash } from 'node:crypto'
import { canonicalize } from '@callgate/evidence'
import type { ArgumentCheck, ToolClass } from '../call/call.ts'
import { type JsonObject, isJsonObject, member, stringMember } from '../call/json.ts'
import { SchemaRefused, compileSchema } from '../json-schema/compile.ts'
import type { Catalog, CatalogServer, PinnedTool, ToolState } from '../ports/catalog.ts'
import type { Pin, PinStore, ServerPins, Waiting } from '../ports/pin-store.ts'
import type { ServerDescription } from '../ports/upstream.ts'
import { compareDefinitions, hiddenCharacters } from './drift.ts'

/** What the operator says of a server's tools. */
export interface CatalogPolicy {
  /** `first-use` approves the first listing of a server and nothing after it; `manual` approves nothing by itself. */
  readonly approve: 'manual' | 'first-use'
  /** Operator's class and labels of a tool by its bare name; class write when nothing is said. */
  readonly classify: (tool: string) => { class: ToolClass; labels: readonly string[] }
}

/** A change that the operator must know of, for the record and the terminal. */
export interface CatalogEvent {
  readonly event: 'catalog.approved' | 'catalog.waiting' | 'catalog.withheld' | 'catalog.refused'
  readonly server: string
  readonly tool: string
  readonly digest: string
  readonly why: string
}

/** Longest reason that is recorded, in UTF-16 units: it holds member names that the server chose, and must fit a record. */
const MAX_WHY = 500
/** `__proto__` is a key that objects do not keep: such a tool would be lost, and its pin with it. */
const TOOL_NAME = /^(?!__proto__$)[A-Za-z0-9_.-]{1,128}$/

/** SHA-256 (hex) of a definition in canonical JSON (RFC 8785): what a pin pins. */
export function definitionDigest(definition: JsonObject): string {
  return createHash('sha256').update(canonicalize(definition)).digest('hex')
}

/**
 * The catalogue: servers from the configuration, tools pinned by digest (playbook Play 7 inventory, Play 8 pins).
 * What a server says is a proposal; what is served is what was approved.
 */
export class ServerCatalog implements Catalog {
  readonly #policies: ReadonlyMap<string, CatalogPolicy>
  readonly #store: PinStore
  readonly #now: () => number
  readonly #onEvent: (event: CatalogEvent) => void
  readonly #onChange: () => void
  readonly #schemas = new Map<string, ArgumentCheck | string>()
  readonly #said = new Set<string>()
  /** Counts the changes of the pins, and up to which of them they were saved. */
  #changed = 0
  #saved = 0
  #pins: Record<string, ServerPins> = {}
  #servers = new Map<string, CatalogServer>()

  constructor(options: {
    policies: ReadonlyMap<string, CatalogPolicy>
    store: PinStore
    now: () => number
    onEvent: (event: CatalogEvent) => void
    /** Called after every change of what is served. */
    onChange: () => void
  }) {
    this.#policies = options.policies
    this.#store = options.store
    this.#now = options.now
    this.#onEvent = options.onEvent
    this.#onChange = options.onChange
  }

  server(id: string): CatalogServer | undefined {
    return this.#servers.get(id)
  }

  servers(): readonly CatalogServer[] {
    return [...this.#servers.values()]
  }

  /** Pins and waiting definitions as they stand, for `callgate servers`. */
  pins(): Readonly<Record<string, ServerPins>> {
    return this.#pins
  }

  /** Loads the pins: approved tools are known before any server answers. */
  async load(): Promise<void> {
    this.#pins = { ...(await this.#store.load()) }
    for (const id of this.#policies.keys()) {
      this.#serve(id, { state: this.#servers.get(id)?.state ?? 'starting' })
    }
    this.#onChange()
  }

  /** Takes what a server says it offers. Unknown servers are ignored: the catalogue is the configuration. */
  async describe(id: string, description: ServerDescription): Promise<void> {
    await this.listed(id, description.tools)
    this.#serve(id, { state: 'ready', capabilities: description.capabilities })
    this.#onChange()
  }

  /** A server could not be asked; its approved tools stay listed and their calls fail one by one. */
  failed(id: string): void {
    if (this.#servers.get(id)?.state !== 'ready') this.#serve(id, { state: 'failed' })
    this.#onChange()
  }

  /** Compares one list of definitions, from the gate's own or from a session's connection, with the pins. */
  async listed(id: string, definitions: readonly JsonObject[]): Promise<void> {
    const policy = this.#policies.get(id)
    if (policy === undefined) return
    const known = this.#pins[id] ?? { pins: {}, waiting: {} }
    const pins: Record<string, Pin> = { ...known.pins }
    const waiting: Record<string, Waiting> = stillWaiting(known, definitions)
    const firstUse = policy.approve === 'first-use' && Object.keys(known.pins).length === 0
    const now = new Date(this.#now()).toISOString()
    for (const definition of definitions) {
      const name = stringMember(definition, 'name')
      if (name === undefined || !TOOL_NAME.test(name)) {
        this.#say({
          event: 'catalog.refused',
          server: id,
          tool: '(unnamed)',
          digest: '',
          why: 'the tool has no valid name',
        })
        continue
      }
      const digest = definitionDigest(definition)
      const pin = Object.hasOwn(pins, name) ? pins[name] : undefined
      if (pin?.digest === digest) continue
      const before = Object.hasOwn(known.waiting, name) ? known.waiting[name] : undefined
      // Every connection of every session lists again: what waited already has waited since then.
      const seenAt = before?.digest === digest ? before.seenAt : now
      const fault = this.#fault(definition, digest)
      if (fault !== undefined) {
        waiting[name] = { definition, digest, seenAt, why: fault, serving: false }
        this.#say({ event: 'catalog.refused', server: id, tool: name, digest, why: fault })
      } else if (pin !== undefined) {
        const drift = compareDefinitions(pin.definition, definition)
        if (drift.kind === 'same') continue
        const serving = drift.kind === 'compatible'
        const why = cut(`${drift.kind} change: ${drift.changes.join(', ')}`)
        waiting[name] = { definition, digest, seenAt, why, serving }
        this.#say({
          event: serving ? 'catalog.waiting' : 'catalog.withheld',
          server: id,
          tool: name,
          digest,
          why,
        })
      } else if (firstUse) {
        pins[name] = { definition, digest, approvedAt: seenAt, approvedBy: 'first-use' }
        this.#say({ event: 'catalog.approved', server: id, tool: name, digest, why: 'first use' })
      } else {
        const why = 'new tool, never approved'
        waiting[name] = { definition, digest, seenAt, why, serving: false }
        this.#say({ event: 'catalog.waiting', server: id, tool: name, digest, why })
      }
    }
    // What could not be saved is the same as before and still has to be.
    if (this.#saved === this.#changed && canonicalize({ pins, waiting }) === canonicalize({ ...known }))
      return
    await this.#replace(id, { pins, waiting })
  }

  /** Serves other pins of a server, once they are durable: what is served must be known after a crash. */
  async #replace(id: string, pins: ServerPins): Promise<void> {
    this.#pins = { ...this.#pins, [id]: pins }
    const change = ++this.#changed
    await this.#store.save(this.#pins)
    this.#saved = Math.max(this.#saved, change)
    this.#serve(id, {})
    this.#onChange()
  }

  /**
   * Serves a definition from now on, because a person said so.
   * @returns false when no such definition waits: it was approved before, or the server has changed it since
   */
  async approve(id: string, tool: string, digest: string, by: string): Promise<boolean> {
    const known = this.#pins[id]
    const asked = known !== undefined && Object.hasOwn(known.waiting, tool) ? known.waiting[tool] : undefined
    if (known === undefined || asked?.digest !== digest) return false
    // What cannot be served cannot be approved either: hidden characters and refused schemas stay out.
    if (this.#fault(asked.definition, digest) !== undefined) return false
    const { [tool]: _, ...waiting } = known.waiting
    const pin: Pin = {
      definition: asked.definition,
      digest,
      approvedAt: new Date(this.#now()).toISOString(),
      approvedBy: by,
    }
    await this.#replace(id, { pins: { ...known.pins, [tool]: pin }, waiting })
    this.#onEvent({ event: 'catalog.approved', server: id, tool, digest, why: `approved by ${by}` })
    return true
  }

  /** Why a definition cannot be served at all, undefined when it can. */
  #fault(definition: JsonObject, digest: string): string | undefined {
    const hidden = hiddenCharacters(definition)
    if (hidden.length > 0) return cut(hidden.slice(0, 3).join(', '))
    const schema = this.#schema(definition, digest)
    return typeof schema === 'string' ? cut(schema) : undefined
  }

  /** The compiled schema of a definition, or why it is refused; compiled once a digest. */
  #schema(definition: JsonObject, digest: string): ArgumentCheck | string {
    const cached = this.#schemas.get(digest)
    if (cached !== undefined) return cached
    let compiled: ArgumentCheck | string
    const schema = member(definition, 'inputSchema')
    if (!isJsonObject(schema)) compiled = 'the tool has no `inputSchema` object'
    else {
      try {
        compiled = compileSchema(schema)
      } catch (error) {
        if (!(error instanceof SchemaRefused)) throw error
        compiled = `input schema refused at \`${error.pointer}\`: ${error.message}`
      }
    }
    if (this.#schemas.size > 10_000) this.#schemas.clear()
    this.#schemas.set(digest, compiled)
    return compiled
  }

  /** Builds the snapshot of one server from its pins and swaps it in whole. */
  #serve(id: string, change: { state?: CatalogServer['state']; capabilities?: JsonObject }): void {
    const before = this.#servers.get(id)
    const { pins, waiting } = this.#pins[id] ?? { pins: {}, waiting: {} }
    const policy = this.#policies.get(id)
    const tools = new Map<string, PinnedTool>()
    const withheld = new Map<string, { state: ToolState; why: string }>()
    for (const [name, pin] of Object.entries(pins).sort(([a], [b]) => (a < b ? -1 : 1))) {
      const change = Object.hasOwn(waiting, name) ? waiting[name] : undefined
      const schema = this.#schema(pin.definition, pin.digest)
      if (change !== undefined && !change.serving) withheld.set(name, { state: 'drifted', why: change.why })
      else if (typeof schema === 'string') withheld.set(name, { state: 'refused', why: schema })
      else if (policy !== undefined) {
        tools.set(name, {
          server: id,
          name,
          definition: pin.definition,
          digest: pin.digest,
          schema,
          ...policy.classify(name),
        })
      }
    }
    for (const [name, { why, definition, digest }] of Object.entries(waiting)) {
      if (Object.hasOwn(pins, name)) continue
      withheld.set(name, {
        state: this.#fault(definition, digest) === undefined ? 'pending' : 'refused',
        why,
      })
    }
    this.#servers = new Map(this.#servers).set(id, {
      id,
      state: change.state ?? before?.state ?? 'starting',
      tools,
      withheld,
      capabilities: change.capabilities ?? before?.capabilities ?? {},
    })
  }

  /** Says each thing once a process, because every connection of every session lists again. */
  #say(event: CatalogEvent): void {
    const key = JSON.stringify([event.event, event.server, event.tool, event.digest])
    if (this.#said.has(key)) return
    if (this.#said.size > 10_000) this.#said.clear()
    this.#said.add(key)
    this.#onEvent(event)
  }
}

/**
 * What goes on waiting although a list says nothing of it. A changed tool is not served again because one connection of
 * its server leaves it out; a new tool that is gone waits for nothing.
 */
function stillWaiting(known: ServerPins, listed: readonly JsonObject[]): Record<string, Waiting> {
  const names = new Set(listed.map((definition) => stringMember(definition, 'name')))
  return Object.fromEntries(
    Object.entries(known.waiting).filter(([name]) => !names.has(name) && Object.hasOwn(known.pins, name)),
  )
}

const cut = (why: string): string => (why.length <= MAX_WHY ? why : `${why.slice(0, MAX_WHY)}...`)
