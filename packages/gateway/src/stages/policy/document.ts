import { isAlias, isMap, isScalar, isSeq, LineCounter, parseAllDocuments, parseDocument, visit } from 'yaml'
import type { Document, Node, ParsedNode, YAMLMap } from 'yaml'
import type { Effect } from '../../call/decision.ts'
import { compileGlob, isLiteral, MAX_GLOB_LENGTH, type Glob } from './glob.ts'
import { didYouMean, nearestName, quoted, type Place, type Problem } from './problem.ts'
import { offsetInFile } from './scalar-place.ts'

/** Largest policy file in UTF-16 units. */
export const MAX_FILE_LENGTH = 1_048_576
/** Most rules of one file. */
export const MAX_RULES = 10_000
/** Most globs of one `when` key. */
export const MAX_GLOBS = 100
/** Longest condition in UTF-16 units. */
export const MAX_CONDITION_LENGTH = 8_192

/** Keys of `when` that select by glob. */
export const SELECTORS = [
  'tool',
  'server',
  'class',
  'actor',
  'tenant',
  'purpose',
  'method',
  'resource',
  'prompt',
] as const
export type Selector = (typeof SELECTORS)[number]

/** A condition's text and where each of its characters stands in the file. */
export interface ConditionSource {
  readonly text: string
  readonly place: (index: number) => Place
}

/** One rule as written, checked for form. */
export interface RuleSource extends Place {
  readonly id: string
  readonly file: string
  readonly when: Readonly<Partial<Record<Selector, Glob>>>
  readonly cond: ConditionSource | undefined
  readonly decision: Effect
  /** An observed rule is evaluated and recorded, and decides nothing. Default enforce. */
  readonly mode: 'enforce' | 'observe'
  readonly owner: string | undefined
  readonly why: string | undefined
  /** Milliseconds since the epoch after which the rule is over; a bare date lasts to its end in UTC. */
  readonly until: number | undefined
}

/** A file's rules, and what is wrong with it. Rules are only to be used when there is no problem. */
export interface PolicyDocument {
  readonly file: string
  readonly text: string
  readonly rules: readonly RuleSource[]
  readonly problems: readonly Problem[]
}

const RULE_KEYS = ['rule', 'when', 'decision', 'mode', 'owner', 'why', 'until'] as const
const WHEN_KEYS = [...SELECTORS, 'cond'] as const
const LATER_DECISIONS = new Set(['redact', 'route', 'require_ticket', 'require_approval', 'defer'])
/** Closed vocabularies: a word outside them is a typing error, not a name that may come. */
const CLOSED: Readonly<Partial<Record<Selector, readonly string[]>>> = {
  class: ['read', 'write', 'destructive', 'egress', 'memory', 'poll'],
  method: ['tools/call', 'resources/read', 'prompts/get'],
}

/** Reads one policy file: a list of rules in the playbook's form (playbook Play 3). Never throws. */
export function readPolicy(file: string, text: string): PolicyDocument {
  const reader = new Reader(file, text)
  return { file, text, rules: reader.policy(), problems: reader.problems }
}

/** Documents of a YAML file that holds a policy and test cases; the first may be a list of rules. */
export function readDocuments(
  file: string,
  text: string,
): { policy: PolicyDocument; rest: readonly { value: unknown; place: Place }[] } {
  const reader = new Reader(file, text)
  const { rules, rest } = reader.golden()
  return { policy: { file, text, rules, problems: reader.problems }, rest }
}

type Mapping = YAMLMap<ParsedNode, ParsedNode | null>

class Reader {
  readonly problems: Problem[] = []
  readonly #file: string
  readonly #text: string
  readonly #lines = new LineCounter()

  constructor(file: string, text: string) {
    this.#file = file
    this.#text = text
  }

  policy(): RuleSource[] {
    return this.#guarded([], () => {
      const document = parseDocument(this.#text, {
        lineCounter: this.#lines,
        version: '1.2',
        stringKeys: true,
      })
      return this.#sound(document) ? this.#rules(document.contents) : []
    })
  }

  golden(): { rules: RuleSource[]; rest: { value: unknown; place: Place }[] } {
    return this.#guarded({ rules: [], rest: [] }, () => {
      const all = parseAllDocuments(this.#text, {
        lineCounter: this.#lines,
        version: '1.2',
        stringKeys: true,
      })
      const documents: Document.Parsed[] = Array.isArray(all) ? all : []
      if (!documents.map((document) => this.#sound(document)).every(Boolean)) return { rules: [], rest: [] }
      const first = documents[0]?.contents
      const hasPolicy = isSeq(first)
      const rules = hasPolicy ? this.#rules(first) : []
      const rest = (hasPolicy ? documents.slice(1) : documents).map((document) => ({
        value: document.toJS({ maxAliasCount: 0 }) as unknown,
        place: this.#place(document.contents?.range[0] ?? 0),
      }))
      return { rules, rest }
    })
  }

  #guarded<T>(fallback: T, read: () => T): T {
    if (this.#text.length > MAX_FILE_LENGTH) {
      this.#add(0, `file is ${this.#text.length} characters long (expected at most ${MAX_FILE_LENGTH})`)
      return fallback
    }
    try {
      return read()
    } catch (error) {
      // The parser recurses: a tower of brackets ends here as a stack overflow.
      this.#add(
        0,
        `file cannot be read as YAML: ${error instanceof Error ? error.message.split('\n')[0] : 'unknown'}`,
      )
      return fallback
    }
  }

  /** Refuses what YAML can do beyond data: aliases expand (bombs), tags and anchors change what is read. */
  #sound(document: Document.Parsed): boolean {
    const before = this.problems.length
    for (const error of [...document.errors, ...document.warnings]) {
      this.#add(error.pos[0], error.message.split(/ at line \d+|\n/)[0] ?? error.code)
    }
    if (document.errors.length === 0) {
      visit(document, {
        Node: (_key, node) => {
          if (isAlias(node)) this.#add(offsetOf(node), 'aliases are refused (expected the value itself)')
          else if (node.anchor !== undefined)
            this.#add(offsetOf(node), 'anchors are refused (expected plain values)')
          else if (node.tag !== undefined)
            this.#add(offsetOf(node), 'tags are refused (expected plain values)')
          return undefined
        },
      })
    }
    return this.problems.length === before
  }

  #rules(contents: Node | null): RuleSource[] {
    if (!isSeq(contents)) {
      this.#add(offsetOf(contents), 'a policy is a list of rules (expected `- rule: ID`)')
      return []
    }
    if (contents.items.length > MAX_RULES) {
      this.#add(
        offsetOf(contents),
        `${contents.items.length} rules in one file (expected at most ${MAX_RULES})`,
      )
      return []
    }
    const rules: RuleSource[] = []
    for (const item of contents.items) {
      if (!isMap(item))
        this.#add(offsetOf(item), 'a rule is a mapping (expected `rule`, `when` and `decision`)')
      else {
        const rule = this.#rule(item as Mapping)
        if (rule !== undefined) rules.push(rule)
      }
    }
    return rules
  }

  #rule(map: Mapping): RuleSource | undefined {
    const before = this.problems.length
    const place = this.#place(offsetOf(map))
    const members = this.#members(map, RULE_KEYS, 'a rule')
    const id = this.#string(members.get('rule'))
    if (id === undefined) this.#missing(map, members.get('rule'), 'rule', 'the id of the rule')
    else if (!/^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$/.test(id)) {
      this.#add(
        offsetOf(members.get('rule')),
        `rule id ${quoted(id)} (expected 1 to 128 letters, digits, \`.\`, \`_\`, \`/\`, \`-\`)`,
      )
    }
    const when = this.#when(map, members.get('when'))
    const decision = this.#decision(map, members.get('decision'))
    const mode = this.#word(members.get('mode'), 'mode', ['enforce', 'observe'] as const) ?? 'enforce'
    const owner = this.#note(members.get('owner'), 'owner')
    const why = this.#note(members.get('why'), 'why')
    const until = this.#until(members.get('until'))
    if (this.problems.length > before || id === undefined || decision === undefined) return undefined
    return { id, file: this.#file, ...place, ...when, decision, mode, owner, why, until }
  }

  #when(map: Mapping, node: Node | null | undefined): Pick<RuleSource, 'when' | 'cond'> {
    if (!isMap(node)) {
      this.#missing(map, node, 'when', 'a mapping such as `{ tool: "crm.read" }`')
      return { when: {}, cond: undefined }
    }
    const members = this.#members(node as Mapping, WHEN_KEYS, '`when`')
    if (members.size === 0) {
      // An allow rule that says nothing would allow everything by accident.
      this.#add(
        offsetOf(node),
        '`when` is empty (expected at least one key; to mean every tool write `tool: "*"`)',
      )
    }
    const when: Partial<Record<Selector, Glob>> = {}
    for (const key of SELECTORS) {
      if (!members.has(key)) continue
      const patterns = this.#globs(members.get(key), key)
      if (patterns.length > 0) when[key] = compileGlob(patterns)
    }
    const kinds = (['tool', 'resource', 'prompt'] as const).filter((key) => members.has(key))
    if (kinds.length > 1) {
      const names = kinds.map((kind) => `\`${kind}\``).join(' and ')
      this.#add(
        offsetOf(node),
        `a call is never aimed at ${names} at once (expected one of them; write a rule for each)`,
      )
    }
    return { when, cond: members.has('cond') ? this.#condition(members.get('cond')) : undefined }
  }

  #condition(node: Node | null | undefined): ConditionSource | undefined {
    const text = this.#string(node)
    if (text === undefined || !isScalar(node)) {
      this.#add(offsetOf(node), '`cond` is not a text (expected a CEL expression)')
      return undefined
    }
    if (text.length > MAX_CONDITION_LENGTH) {
      this.#add(
        offsetOf(node),
        `\`cond\` is ${text.length} characters long (expected at most ${MAX_CONDITION_LENGTH})`,
      )
      return undefined
    }
    const source = { type: node.type, start: node.range?.[0] ?? 0, end: node.range?.[1] ?? 0 }
    return { text, place: (index) => this.#place(offsetInFile(this.#text, source, text, index)) }
  }

  #globs(node: Node | null | undefined, key: Selector): string[] {
    const items = isSeq(node) ? node.items : [node]
    if (items.length === 0 || items.length > MAX_GLOBS) {
      this.#add(offsetOf(node), `\`${key}\` lists ${items.length} globs (expected 1 to ${MAX_GLOBS})`)
      return []
    }
    const patterns: string[] = []
    for (const item of items) {
      const value = this.#string(item as Node | null)
      if (value === undefined || value === '' || value.length > MAX_GLOB_LENGTH) {
        this.#add(
          offsetOf(item as Node | null) || offsetOf(node),
          `\`${key}\` is not a glob (expected a text of 1 to ${MAX_GLOB_LENGTH} characters, or a list of them)`,
        )
        continue
      }
      const words = CLOSED[key]
      if (words !== undefined && !words.some((word) => compileGlob([value]).test(word))) {
        const hint = isLiteral(value) ? didYouMean(nearestName(value, words)) : ''
        this.#add(
          offsetOf(item as Node | null),
          `\`${key}\` is ${quoted(value)} (expected ${oneOf(words)})${hint}`,
        )
        continue
      }
      patterns.push(value)
    }
    return patterns
  }

  #decision(map: Mapping, node: Node | null | undefined): Effect | undefined {
    const value = this.#string(node)
    if (value === undefined) {
      this.#missing(map, node, 'decision', '`allow` or `deny`')
      return undefined
    }
    if (LATER_DECISIONS.has(value)) {
      this.#add(
        offsetOf(node),
        `decision ${quoted(value)} is not built in this version (expected \`allow\` or \`deny\`)`,
      )
      return undefined
    }
    return this.#word(node, 'decision', ['allow', 'deny'] as const)
  }

  #until(node: Node | null | undefined): number | undefined {
    if (node === undefined) return undefined
    const value = this.#string(node) ?? ''
    const isDate = /^\d{4}-\d\d-\d\d$/.test(value)
    const isTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(value)
    const start = isDate ? Date.parse(`${value}T00:00:00Z`) : Date.parse(value)
    // Date.parse rolls 2026-02-30 over into March; an expiry must be the day that was written.
    const real = !Number.isNaN(start) && new Date(start).toISOString().slice(0, 10) === value.slice(0, 10)
    if ((!isDate && !isTime) || !real) {
      this.#add(
        offsetOf(node),
        `\`until\` is ${quoted(value)} (expected a date like \`2027-01-31\`, or \`2027-01-31T12:00:00Z\`)`,
      )
      return undefined
    }
    return isDate ? start + 86_400_000 - 1 : start
  }

  #note(node: Node | null | undefined, key: string): string | undefined {
    if (node === undefined) return undefined
    const value = this.#string(node)
    if (value === undefined || value.length > 500) {
      this.#add(offsetOf(node), `\`${key}\` is not a text of at most 500 characters`)
    }
    return value
  }

  #word<W extends string>(node: Node | null | undefined, key: string, words: readonly W[]): W | undefined {
    if (node === undefined) return undefined
    const value = this.#string(node)
    const word = words.find((candidate) => candidate === value)
    if (word === undefined) {
      const hint = value === undefined ? '' : didYouMean(nearestName(value, words))
      this.#add(
        offsetOf(node),
        `\`${key}\` is ${quoted(value ?? 'not a text')} (expected ${oneOf(words)})${hint}`,
      )
    }
    return word
  }

  #members(map: Mapping, known: readonly string[], what: string): Map<string, Node | null> {
    const members = new Map<string, Node | null>()
    for (const pair of map.items) {
      const key = this.#string(pair.key)
      if (key === '<<')
        this.#add(offsetOf(pair.key), 'merge keys are refused (expected the members themselves)')
      else if (key === undefined || !known.includes(key)) {
        const hint = key === undefined ? '' : didYouMean(nearestName(key, known))
        this.#add(
          offsetOf(pair.key),
          `${what} has no key ${quoted(key ?? '?')} (expected ${oneOf(known)})${hint}`,
        )
      } else members.set(key, pair.value)
    }
    return members
  }

  #missing(map: Mapping, node: Node | null | undefined, key: string, expected: string): void {
    if (node === undefined) this.#add(offsetOf(map), `\`${key}\` is missing (expected ${expected})`)
    else this.#add(offsetOf(node), `\`${key}\` is not usable (expected ${expected})`)
  }

  #string(node: Node | null | undefined): string | undefined {
    return isScalar(node) && typeof node.value === 'string' ? node.value : undefined
  }

  #place(offset: number): Place {
    const { line, col } = this.#lines.linePos(offset)
    return { line: Math.max(line, 1), column: Math.max(col, 1) }
  }

  #add(offset: number, message: string): void {
    this.problems.push({ file: this.#file, ...this.#place(offset), message })
  }
}

function offsetOf(node: unknown): number {
  if (typeof node !== 'object' || node === null || !('range' in node) || !Array.isArray(node.range)) return 0
  const [start] = node.range as unknown[]
  return typeof start === 'number' ? start : 0
}

function oneOf(words: readonly string[]): string {
  return words.map((word) => `\`${word}\``).join(', ')
}
