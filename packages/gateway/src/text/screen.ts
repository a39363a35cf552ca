import { isUtf8 } from 'node:buffer'
import { exactJson } from '../call/exact-json.ts'
import { type Json, type JsonObject, isJsonObject } from '../call/json.ts'
import { MISMATCH } from './binary.ts'
import {
  type BinaryContent,
  type BinaryItem,
  DATA_URI_OR_RUN,
  binaryItem,
  binaryRun,
  binaryText,
  dataUri,
  noticeOf,
} from './binary-item.ts'
import { DATA_CLASSES } from './data-class.ts'
import type { Finding } from './finding.ts'
import { runsIn } from './runs.ts'
import { DIGITS, LETTERS, signs } from './signs.ts'

/**
 * What becomes of something that was found. `count` records it; `placeholder` puts its class in its place, `hash` a keyed hash
 * beside that, so that equal values stay equal; `reversible` puts `<CLASS_1>` there, which a tool that may have it gets back; `mask` stars out its letters and digits; `drop` takes it away; `deny` refuses.
 */
export const SCREEN_ACTIONS = ['count', 'placeholder', 'reversible', 'hash', 'mask', 'drop', 'deny'] as const
export type ScreenAction = (typeof SCREEN_ACTIONS)[number]

/** How a value is screened. */
export interface Screening {
  /** @param isFile the text is base64 of a file as a whole */
  readonly scan: (text: string, isFile: boolean) => readonly Finding[]
  /** @param path members and items that lead to the text, from the value that is screened */
  readonly actionOf: (found: string, path: readonly string[]) => ScreenAction
  /** Keyed hash of a text, for `hash`. */
  readonly hash: (text: string) => string
  /** The placeholder of a value that can be had back, for `reversible`. */
  readonly keep: (found: string, text: string) => string
  /**
   * Whether what is put in the place of a whole value keeps its type and format, so that it fits a schema: a number becomes 0, an
   * address of mail one that nobody has (RFC 2606, RFC 5737). Default false.
   */
  readonly typed?: boolean
}

/** What screening made of a value. */
export interface Screened {
  /** The value itself where nothing was changed. */
  readonly value: Json
  readonly changed: boolean
  /** Findings by class, whatever became of them. */
  readonly counts: Readonly<Record<string, number>>
  /** Classes of `deny` that were found. */
  readonly denied: readonly string[]
  /** What was done or refused: action and class. */
  readonly acted: readonly string[]
  /** Where something was changed or denied: a JSON pointer without names that hold data themselves, and the class. At most 8. */
  readonly places: readonly string[]
}

const MAX_PLACES = 8

/** JSON or base64 that stands in a text is looked into this many times. */
const MAX_DEPTH = 3
/** Signs of base64, and the shortest run of them that could hold anything of interest. */
const BASE64 = signs(`${LETTERS}${DIGITS}+/_-`)
const MIN_BASE64 = 24
/** A number of JSON that could be one of a card or an account. */
const LONG_NUMBER = 100_000_000

/** Members that are the gate's own, and sealed: what looks like something in them is chance. */
const SEALED: ReadonlySet<string> = new Set(['requestState', 'taskId', 'nextCursor'])

/** What stands in the place of something: tells its class, and is known again when a model writes it back. */
export const PLACEHOLDER = new RegExp(
  `\\[(?:redacted|hash):[a-z_]+(?:\\.[a-z0-9_]+)?(?::[0-9a-f]{12})?\\]|<(?:${DATA_CLASSES.join('|').toUpperCase()})_\\d{1,6}>`,
)

/**
 * Screens every text in a value: members and their names, long numbers, JSON and base64 that stand in texts.
 * @param value as JSON.parse or parseExact gives it; its depth is bounded by who parsed it
 */
export function screenValue(value: Json, screening: Screening): Screened {
  const screen = new Screen(screening)
  const screened = screen.value(value, 0)
  return {
    value: screened,
    changed: screen.changed,
    counts: Object.fromEntries([...screen.counts].toSorted()),
    denied: [...screen.denied].toSorted(),
    acted: [...screen.acted].toSorted(),
    places: [...screen.places],
  }
}

class Screen {
  readonly counts = new Map<string, number>()
  readonly denied = new Set<string>()
  readonly acted = new Set<string>()
  readonly places = new Set<string>()
  changed = false
  readonly #screening: Screening
  /** Where the pass is. */
  readonly #path: string[]

  constructor(screening: Screening, path: readonly string[] = []) {
    this.#screening = screening
    this.#path = [...path]
  }

  value(value: Json, depth: number): Json {
    if (typeof value === 'string') return this.#leaf(value, depth)
    if (typeof value === 'number') return this.#number(value, String(value))
    if (JSON.isRawJSON(value)) return this.#number(value, JSON.stringify(value))
    if (Array.isArray(value)) return this.#list(value, depth)
    return isJsonObject(value) ? this.#object(value, depth) : value
  }

  #list(list: readonly Json[], depth: number): Json {
    let screened: Json[] | undefined
    for (let i = 0; i < list.length; i++) {
      const before = list[i] ?? null
      this.#path.push(String(i))
      const after = this.value(before, depth)
      this.#path.pop()
      if (after !== before) (screened ??= [...list])[i] = after
    }
    return screened ?? list
  }

  #object(object: Readonly<Record<string, Json>>, depth: number): Json {
    const item = binaryItem(object)
    const notice = item && this.#binary(item)
    if (item !== undefined && notice !== undefined) return this.#withNotice(item, notice, depth)
    let screened: [string, Json][] | undefined
    const entries = Object.entries(object)
    for (const [i, [name, before]] of entries.entries()) {
      if (SEALED.has(name) && typeof before === 'string') continue
      const key = this.#text(name, MAX_DEPTH)
      this.#path.push(name)
      const isCounted = name === item?.payload && typeof before === 'string'
      const after = isCounted ? this.#encoded(before, depth, true) : this.value(before, depth)
      this.#path.pop()
      if (key !== name || after !== before) (screened ??= [...entries])[i] = [key, after]
    }
    return screened === undefined ? object : Object.fromEntries(apart(screened))
  }

  #number(value: Json, text: string): Json {
    if (!/^\d{9,}$/.test(text) || Number(text) < LONG_NUMBER) return value
    const screened = this.#plain(text)
    if (screened === text) return value
    return this.#screening.typed === true ? 0 : screened
  }

  #leaf(text: string, depth: number): string {
    const screened = this.#text(text, depth)
    if (screened === text || this.#screening.typed !== true) return screened
    const [whole] = this.#screening.scan(text, false)
    if (whole?.start === 0 && whole.end === text.length) return standIn(whole.class, text) ?? screened
    return URL.canParse(text) ? 'https://redacted.invalid/' : screened
  }

  #text(text: string, depth: number): string {
    if (depth < MAX_DEPTH) {
      const inner = jsonIn(text)
      if (inner !== undefined) {
        const screened = this.value(inner, depth + 1)
        return screened === inner ? text : JSON.stringify(screened)
      }
    }
    const content = depth < MAX_DEPTH ? binaryText(text) : undefined
    const notice = content && this.#binary(content)
    return notice ?? this.#encoded(text, depth, content !== undefined)
  }

  /** @param isCounted the text is binary content as a whole, and was counted as that */
  #encoded(text: string, depth: number, isCounted: boolean): string {
    const plain = this.#plain(text, isCounted)
    if (depth >= MAX_DEPTH || plain.length < MIN_BASE64) return plain
    return isCounted || !plain.includes(':') || !/data:/i.test(plain)
      ? this.#base64(plain, depth, isCounted)
      : this.#dataUris(plain, depth)
  }

  #dataUris(text: string, depth: number): string {
    return text.replace(DATA_URI_OR_RUN, (all: string, head: string | undefined, payload: string = '') => {
      if (head === undefined) return this.#run(all, depth, false)
      const content = dataUri(head, payload)
      const notice = content && this.#binary(content)
      if (notice !== undefined) return notice
      const kept = this.#base64(payload, depth, content !== undefined)
      return kept === payload ? all : `${all.slice(0, all.length - payload.length)}${kept}`
    })
  }

  /** What was found in plain sight. */
  #plain(text: string, isFile = false): string {
    const findings = this.#screening.scan(text, isFile)
    if (findings.length === 0) return text
    let screened = ''
    let from = 0
    for (const { class: found, start, end } of findings) {
      this.#count(found)
      const replaced = this.#replaced(found, text.slice(start, end))
      if (replaced === undefined) continue
      screened += text.slice(from, start) + replaced
      from = end
    }
    return from === 0 ? text : screened + text.slice(from)
  }

  /** A run that decodes to a text in which something stands is that thing as a whole: its pieces cannot be cut out. */
  #base64(text: string, depth: number, isCounted: boolean): string {
    let screened = ''
    let from = 0
    for (const { start, end } of runsIn(text, BASE64, MIN_BASE64)) {
      const padded = end + (/^={1,2}/.exec(text.slice(end, end + 2))?.[0].length ?? 0)
      const run = text.slice(start, padded)
      const replaced = this.#run(run, depth, isCounted)
      if (replaced === run) continue
      screened += text.slice(from, start) + replaced
      from = padded
    }
    return from === 0 ? text : screened + text.slice(from)
  }

  #run(run: string, depth: number, isCounted: boolean): string {
    const content = isCounted ? undefined : binaryRun(run)
    const notice = content && this.#binary(content)
    if (notice !== undefined) return notice
    // Some files, such as PDF, may be text none the less.
    const decoded = textOf(run)
    if (decoded === undefined) return run
    const within = new Screen(this.#screening, this.#path)
    within.value(decoded, depth + 1)
    for (const [found, count] of within.counts) this.#count(found, count)
    for (const found of within.denied) this.denied.add(found)
    for (const acted of within.acted) this.acted.add(acted)
    const changing = [...within.counts.keys()].find(
      (found) => this.#screening.actionOf(found, this.#path) !== 'count',
    )
    return changing === undefined ? run : (this.#replaced(changing, run) ?? run)
  }

  /** @returns what stands in the place of binary content; undefined where it stays as it is */
  #binary(content: BinaryContent): string | undefined {
    this.#count(`binary.${content.kind}`)
    if (content.mismatch) this.#count(MISMATCH)
    const found = content.mismatch ? MISMATCH : `binary.${content.kind}`
    const action = this.#screening.actionOf(found, this.#path)
    if (action === 'count') return undefined
    this.changed = true
    this.acted.add(`${action} ${found}`)
    if (this.places.size < MAX_PLACES) this.places.add(`${this.#pointer()} ${found}`)
    // What is denied is withheld as a whole: nobody reads what stands in its place.
    if (action === 'deny') this.denied.add(found)
    return action === 'deny' ? `[redacted:${found}]` : noticeOf(content)
  }

  #withNotice(item: BinaryItem, notice: string, depth: number): JsonObject {
    return Object.fromEntries(
      Object.entries(item.replaced(notice)).map(([name, value]) => [
        name,
        value === notice ? value : this.value(value, depth),
      ]),
    )
  }

  /** JSON pointer (RFC 6901) of the place, in which `*` stands for a name that is data. */
  #pointer(): string {
    const named = (name: string): string =>
      name.length > 64 || this.#screening.scan(name, false).length > 0
        ? '*'
        : name.replaceAll('~', '~0').replaceAll('/', '~1')
    return this.#path.map((name) => `/${named(name)}`).join('')
  }

  #count(found: string, count = 1): void {
    this.counts.set(found, (this.counts.get(found) ?? 0) + count)
  }

  /** @returns undefined where it stays as it is */
  #replaced(found: string, text: string): string | undefined {
    const action = this.#screening.actionOf(found, this.#path)
    if (action === 'count') return undefined
    this.changed = true
    this.acted.add(`${action} ${found}`)
    if (this.places.size < MAX_PLACES) this.places.add(`${this.#pointer()} ${found}`)
    if (action === 'deny') this.denied.add(found)
    switch (action) {
      case 'deny':
      case 'placeholder':
        return `[redacted:${found}]`
      case 'reversible':
        return this.#screening.keep(found, text)
      case 'hash':
        return `[hash:${found}:${this.#screening.hash(text).slice(0, 12)}]`
      case 'mask':
        return text.replace(/[\p{L}\p{N}]/gu, '*')
      case 'drop':
        return found.startsWith('binary.') ? `[redacted:${found}]` : ''
    }
  }
}

/** What has the form of a class and belongs to nobody. */
function standIn(found: string, text: string): string | undefined {
  switch (found) {
    case 'email':
      return 'redacted@redacted.invalid'
    case 'ip_address':
      return text.includes(':') ? '2001:db8::' : '192.0.2.0'
    case 'mac_address':
      return '00:00:5e:00:53:00'
    case 'date_of_birth':
      return '1900-01-01'
    default:
      return undefined
  }
}

/** An object or list that a text is, with its numbers as written. */
function jsonIn(text: string): Json | undefined {
  if (!/^\s*[[{]/.test(text)) return undefined
  try {
    return exactJson(text)
  } catch {
    return undefined
  }
}

/** The text that a run of base64 stands for; undefined when it is none, as most words and all pictures are. */
function textOf(run: string): string | undefined {
  const bytes = Buffer.from(run, 'base64')
  if (bytes.length < 16 || !isUtf8(bytes)) return undefined
  const text = bytes.toString('utf8')
  // Controls other than white space: random bytes that happen to be UTF-8.
  // oxlint-disable-next-line no-control-regex
  return /[\u0000-\u0008\u000e-\u001f]/.test(text) ? undefined : text
}

/** Two names that became one are kept apart: nothing is lost. */
function apart(entries: readonly [string, Json][]): [string, Json][] {
  const seen = new Set<string>()
  return entries.map(([name, value]) => {
    let own = name
    for (let i = 2; seen.has(own); i++) own = `${name}_${i}`
    seen.add(own)
    return [own, value]
  })
}
