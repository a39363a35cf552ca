import type { ArgumentCheck, ToolClass } from '../call/call.ts'
import { type JsonObject, stringMember } from '../call/json.ts'
import type { Catalog, CatalogServer, PinnedTool, ToolState, UnavailableReason } from '../ports/catalog.ts'
import type { Pin, PinStore, ServerPins, Waiting } from '../ports/pin-store.ts'
import type { ServerDescription } from '../ports/upstream.ts'
import { type CatalogEvent, CatalogEvents } from './catalog-events.ts'
import { cut, definitionDigest, judge } from './definition.ts'
import { compareDefinitions } from './drift.ts'
import { instructionRisk } from './instructions.ts'
import { Seat, Shared, Slices, Turns } from './turns.ts'

/** What the operator says of a server's tools. */
export interface CatalogPolicy {
  /** `first-use` approves the first listing of a server and nothing after it; `manual` approves nothing by itself. */
  readonly approve: 'manual' | 'first-use'
  /** Who publishes the server that is configured now. */
  readonly publisher: string
  /** Operator's class and labels of a tool by its bare name; class write when nothing is said. */
  readonly classify: (tool: string) => { class: ToolClass; labels: readonly string[] }
}

/** `__proto__` is a key that objects do not keep: such a tool would be lost, and its pin with it. */
const TOOL_NAME = /^(?!__proto__$)[A-Za-z0-9_.-]{1,128}$/

/** Why a definition waits that scored above the threshold of the injection signal. */
const LIKE_INSTRUCTIONS = 'it reads like instructions to the model'

/** What is known of a server that has listed nothing. */
const NOTHING: ServerPins = { pins: {}, waiting: {} }
const UNKNOWN: Omit<CatalogServer, 'id'> = {
  state: 'starting',
  tools: new Map(),
  withheld: new Map(),
  capabilities: {},
}

/**
 * The catalogue: servers from the configuration, tools pinned by digest (playbook Play 7 inventory, Play 8 pins).
 * What a server says is a proposal; what is served is what was approved.
 */
export class ServerCatalog implements Catalog {
  readonly #policies: ReadonlyMap<string, CatalogPolicy>
  readonly #store: PinStore
  readonly #now: () => number
  readonly #events: CatalogEvents
  readonly #onChange: () => void
  /** By server and digest: the check of a definition's arguments, or why it cannot be served at all. */
  readonly #judged = new Map<string, Map<string, ArgumentCheck | string>>()
  /** By server and digest: the risk of a definition. */
  readonly #risks = new Map<string, Map<string, number | undefined>>()
  readonly #turns = new Turns()
  readonly #seat = new Seat()
  readonly #saves = new Shared(() => this.#save(), this.#seat)
  /** Servers whose pins changed since the last save began, and those that it failed to save. */
  #unsaved = new Set<string>()
  /** What the last save kept the processor, in milliseconds. */
  #saveMs = 0
  #pins: Record<string, ServerPins> = {}
  /** The pins as they were saved last: only these are served. */
  #kept: Record<string, ServerPins> = {}
  #servers = new Map<string, CatalogServer>()

  constructor(options: {
    policies: ReadonlyMap<string, CatalogPolicy>
    store: PinStore
    now: () => number
    onEvent: (event: CatalogEvent) => void
    /** Called after every change of the tools that are served or withheld. */
    onChange: () => void
  }) {
    this.#policies = options.policies
    this.#store = options.store
    this.#now = options.now
    this.#events = new CatalogEvents(options.now, options.onEvent)
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

  /**
   * Loads the pins: approved tools are known before any server answers.
   * @throws Error for a definition that is not the one its digest names: nobody approved that one
   */
  async load(): Promise<void> {
    const loaded = { ...(await this.#store.load()) }
    for (const [id, { pins }] of Object.entries(loaded)) {
      for (const [tool, { definition, digest }] of Object.entries(pins)) {
        if (definitionDigest(definition) === digest) continue
        throw new Error(
          `the pinned definition of \`${id}.${tool}\` is not the approved one (its digest differs); restore the pin file, or remove it to approve every tool anew`,
        )
      }
    }
    this.#pins = loaded
    this.#kept = loaded
    for (const id of this.#policies.keys()) this.#serve(id)
    this.#onChange()
  }

  /** Takes what a server says it offers. Unknown servers are ignored: the catalogue is the configuration. */
  async describe(id: string, description: ServerDescription): Promise<void> {
    if (!this.#policies.has(id)) return
    await this.listed(id, description.tools)
    this.#put(id, { state: 'ready', capabilities: description.capabilities, unavailable: undefined })
  }

  /** A server could not be asked; its approved tools stay listed and their calls fail one by one. */
  failed(id: string, unavailable: UnavailableReason): void {
    if (!this.#policies.has(id)) return
    const ready = this.#servers.get(id)?.state === 'ready'
    this.#put(id, { state: ready ? 'ready' : 'failed', unavailable })
  }

  /**
   * Compares one list of definitions, from the gate's own or from a session's connection, with the pins. What a list
   * costs is the server's choice, so it is read in slices and in turns.
   */
  async listed(id: string, definitions: readonly JsonObject[]): Promise<void> {
    const policy = this.#policies.get(id)
    if (policy === undefined) return
    await this.#turns.take(id, async () => {
      const slices = new Slices(this.#seat)
      for (;;) {
        const known = this.#pins[id] ?? NOTHING
        const next = await slices.run(() => this.#compare(id, policy, known, definitions, slices))
        // Somebody approved a definition meanwhile: compared with other pins, the list means something else.
        if ((this.#pins[id] ?? NOTHING) !== known) continue
        // What could not be saved is the same as before and still has to be.
        if (!this.#unsaved.has(id) && marks(next) === marks(known)) return slices.busyMs
        await this.#replace(id, next)
        return slices.busyMs + this.#saveMs
      }
    })
  }

  async #compare(
    id: string,
    policy: CatalogPolicy,
    known: ServerPins,
    definitions: readonly JsonObject[],
    slices: Slices,
  ): Promise<ServerPins> {
    const pins: Record<string, Pin> = { ...known.pins }
    const waiting: Record<string, Waiting> = stillWaiting(known, definitions)
    const firstUse = policy.approve === 'first-use' && Object.keys(known.pins).length === 0
    const now = new Date(this.#now()).toISOString()
    for (const definition of definitions) {
      await slices.breathe()
      const name = stringMember(definition, 'name')
      if (name === undefined || !TOOL_NAME.test(name)) {
        this.#events.say({
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
      const moved = pin && movedFrom(pin, policy)
      if (pin?.digest === digest && moved === undefined) continue
      const before = Object.hasOwn(known.waiting, name) ? known.waiting[name] : undefined
      // Every connection of every session lists again: what waited already has waited since then.
      const seenAt = before?.digest === digest ? before.seenAt : now
      const judged = this.#judge(id, definition, digest)
      const risk = typeof judged === 'string' ? undefined : this.#risk(id, definition, digest)
      const suspected = risk === undefined ? {} : { risk }
      const because = risk === undefined ? '' : `${LIKE_INSTRUCTIONS} (risk ${risk.toFixed(2)}); `
      if (typeof judged === 'string') {
        waiting[name] = { definition, digest, seenAt, why: judged, serving: false }
        this.#events.say({ event: 'catalog.refused', server: id, tool: name, digest, why: judged })
      } else if (pin !== undefined) {
        const drift = compareDefinitions(pin.definition, definition)
        if (drift.kind === 'same' && moved === undefined) continue
        // A server that began to instruct the model has turned: what it does behind the old definition is in doubt as well.
        const serving = drift.kind === 'compatible' && risk === undefined && moved === undefined
        const change = drift.kind === 'same' ? [] : [`${drift.kind} change: ${drift.changes.join(', ')}`]
        const why = cut(`${because}${[...(moved === undefined ? [] : [moved]), ...change].join('; ')}`)
        waiting[name] = { definition, digest, seenAt, why, serving, ...suspected }
        this.#events.say({
          event: serving ? 'catalog.waiting' : 'catalog.withheld',
          server: id,
          tool: name,
          digest,
          why,
        })
      } else if (firstUse && risk === undefined) {
        const { publisher } = policy
        pins[name] = { definition, digest, approvedAt: seenAt, approvedBy: 'first-use', publisher }
        this.#events.say({ event: 'catalog.approved', server: id, tool: name, digest, why: 'first use' })
      } else {
        const why = `${because}new tool, never approved`
        waiting[name] = { definition, digest, seenAt, why, serving: false, ...suspected }
        this.#events.say({ event: 'catalog.waiting', server: id, tool: name, digest, why })
      }
    }
    return { pins, waiting }
  }

  /** Serves other pins of a server, once they are durable: what is served must be known after a crash. */
  async #replace(id: string, pins: ServerPins): Promise<void> {
    this.#pins = { ...this.#pins, [id]: pins }
    this.#unsaved.add(id)
    await this.#saves.next()
  }

  async #save(): Promise<void> {
    const all = this.#pins
    const changed = this.#unsaved
    this.#unsaved = new Set()
    const began = performance.now()
    const saved = this.#store.save(all)
    const written = performance.now() - began
    try {
      await saved
    } catch (error) {
      for (const id of changed) this.#unsaved.add(id)
      throw error
    }
    const resumed = performance.now()
    this.#kept = all
    for (const id of changed) {
      this.#forget(id)
      this.#serve(id)
    }
    this.#onChange()
    this.#saveMs = written + performance.now() - resumed
  }

  /**
   * Serves a definition from now on, because a person said so.
   * @returns false when no such definition waits: it was approved before, or the server has changed it since
   */
  async approve(id: string, tool: string, digest: string, by: string): Promise<boolean> {
    const known = this.#pins[id] ?? NOTHING
    const policy = this.#policies.get(id)
    if (policy === undefined) return false
    const pinned = Object.hasOwn(known.pins, tool) ? known.pins[tool] : undefined
    // The disk took no pins when it was approved: the word of the operator still stands.
    const unsaved = pinned?.digest === digest && !movedFrom(pinned, policy) && this.#unsaved.has(id)
    const asked = Object.hasOwn(known.waiting, tool) ? known.waiting[tool] : undefined
    if (unsaved) await this.#replace(id, known)
    else {
      // What cannot be served cannot be approved either: hidden characters and refused schemas stay out.
      if (asked?.digest !== digest || typeof this.#judge(id, asked.definition, digest) === 'string')
        return false
      const { [tool]: _, ...waiting } = known.waiting
      const pin: Pin = {
        definition: asked.definition,
        digest,
        approvedAt: new Date(this.#now()).toISOString(),
        approvedBy: by,
        publisher: policy.publisher,
      }
      await this.#replace(id, { pins: { ...known.pins, [tool]: pin }, waiting })
    }
    this.#events.tell({ event: 'catalog.approved', server: id, tool, digest, why: `approved by ${by}` })
    return true
  }

  /** The check of a definition's arguments, or why it cannot be served at all; found out once a digest. */
  #judge(id: string, definition: JsonObject, digest: string): ArgumentCheck | string {
    let known = this.#judged.get(id)
    if (known === undefined) this.#judged.set(id, (known = new Map()))
    let judged = known.get(digest)
    if (judged === undefined) known.set(digest, (judged = judge(definition)))
    return judged
  }

  /** How much a definition reads like instructions to the model; found out once a digest. */
  #risk(id: string, definition: JsonObject, digest: string): number | undefined {
    let known = this.#risks.get(id)
    if (known === undefined) this.#risks.set(id, (known = new Map()))
    if (!known.has(digest)) known.set(digest, instructionRisk(definition))
    return known.get(digest)
  }

  /** Forgets what is neither pinned nor waiting: a server that changes its tools all day must not fill the memory. */
  #forget(id: string): void {
    const { pins, waiting } = this.#pins[id] ?? NOTHING
    const held = new Set([...Object.values(pins), ...Object.values(waiting)].map(({ digest }) => digest))
    for (const known of [this.#judged.get(id), this.#risks.get(id)])
      for (const digest of known?.keys() ?? []) if (!held.has(digest)) known?.delete(digest)
  }

  /** Swaps in a snapshot of one server that differs in this. */
  #put(id: string, change: Partial<CatalogServer>): void {
    const before = this.#servers.get(id) ?? { ...UNKNOWN, id }
    this.#servers = new Map(this.#servers).set(id, { ...before, ...change })
  }

  /** Serves what the pins of one server say. */
  #serve(id: string): void {
    const { pins, waiting } = this.#kept[id] ?? NOTHING
    const policy = this.#policies.get(id)
    const tools = new Map<string, PinnedTool>()
    const withheld = new Map<string, { state: ToolState; why: string }>()
    for (const [name, pin] of Object.entries(pins).sort(([a], [b]) => (a < b ? -1 : 1))) {
      const change = Object.hasOwn(waiting, name) ? waiting[name] : undefined
      const schema = this.#judge(id, pin.definition, pin.digest)
      const moved = policy && movedFrom(pin, policy)
      if (moved !== undefined) withheld.set(name, { state: 'drifted', why: change?.why ?? moved })
      else if (change !== undefined && !change.serving)
        withheld.set(name, { state: 'drifted', why: change.why })
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
        state: typeof this.#judge(id, definition, digest) === 'string' ? 'refused' : 'pending',
        why,
      })
    }
    this.#put(id, { tools, withheld })
  }
}

/** Why a pin counts no longer: the server is another publisher's now, and nobody approved anything of that one. */
function movedFrom({ publisher: was }: Pin, { publisher: is }: CatalogPolicy): string | undefined {
  return was === is ? undefined : `approved of \`${was}\`, and the server is \`${is}\` now`
}

/** What tells two states of a server's pins apart; digests stand for the definitions. */
function marks({ pins, waiting }: ServerPins): string {
  return JSON.stringify([
    Object.entries(pins)
      .map(([name, { digest }]) => [name, digest])
      .sort(),
    Object.entries(waiting)
      .map(([name, { digest, why, serving }]) => [name, digest, why, serving])
      .sort(),
  ])
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
