import { isMap, isScalar, isSeq, type Node, type ParsedNode, type YAMLMap } from 'yaml'
import type { Effect, Redaction } from '../../call/decision.ts'
import { APPROVER_ROLE } from '../../ports/call-approvals.ts'
import { DATA_CLASSES } from '../../text/data-class.ts'
import { compileGlob, isLiteral, MAX_GLOB_LENGTH, type Glob } from './glob.ts'
import { didYouMean, nearestName, quoted, type Place, type Problem } from './problem.ts'
import { offsetInFile } from './scalar-place.ts'
import { offsetOf, YamlSource } from './yaml-source.ts'
import {
  MAX_RULES,
  MAX_GLOBS,
  MAX_CONDITION_LENGTH,
  SELECTORS,
  type Selector,
  MAX_APPROVERS,
  RULE_KEYS,
  WHEN_KEYS,
  DECISIONS,
  LATER_DECISIONS,
  KEYS_OF,
  DIRECTIONS,
  RETRY_AFTER_S,
  MAX_RETRY_AFTER_S,
  MODES,
  RULE_ID,
  TARGETS,
  MAX_NOTE_LENGTH,
  CLOSED,
} from './vocabulary.ts'

/** A condition's text and where each of its characters stands in the file. */
export interface ConditionSource {
  readonly text: string
  readonly place: (index: number) => Place
}

/** An observed rule is evaluated and recorded, and decides nothing. */
export type RuleMode = 'enforce' | 'observe'

/** One rule as written, checked for form. */
export interface RuleSource extends Place {
  readonly id: string
  readonly file: string
  readonly when: Readonly<Partial<Record<Selector, Glob>>>
  readonly cond: ConditionSource | undefined
  readonly decision: Effect
  /** Roles of whom one must approve the call; empty where the decision is another than `require_approval`. */
  readonly approvers: readonly string[]
  /** What a rule with `decision: redact` takes out. */
  readonly redaction: Redaction | undefined
  /** Seconds after which a call that is deferred may be made again; undefined: the decision is another than `defer`. */
  readonly retryAfterS: number | undefined
  /** Default enforce. */
  readonly mode: RuleMode
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

/** Reads one policy file: a list of rules in the playbook's form (playbook Play 3). Never throws. */
export function readPolicy(file: string, text: string): PolicyDocument {
  const source = new YamlSource(file, text)
  return { file, text, rules: new Reader(source).policy(), problems: source.problems }
}

/** Documents of a YAML file that holds a policy and test cases; the first may be a list of rules. */
export function readDocuments(
  file: string,
  text: string,
): { policy: PolicyDocument; rest: readonly { value: unknown; place: Place }[] } {
  const source = new YamlSource(file, text)
  const { rules, rest } = new Reader(source).golden()
  return { policy: { file, text, rules, problems: source.problems }, rest }
}

type Mapping = YAMLMap<ParsedNode, ParsedNode | null>

class Reader {
  readonly #source: YamlSource

  constructor(source: YamlSource) {
    this.#source = source
  }

  policy(): RuleSource[] {
    const [document] = this.#source.documents('one')
    return document === undefined ? [] : this.#rules(document.contents)
  }

  golden(): { rules: RuleSource[]; rest: { value: unknown; place: Place }[] } {
    const documents = this.#source.documents('many')
    const first = documents[0]?.contents ?? null
    const hasPolicy = isSeq(first)
    const rules = hasPolicy ? this.#rules(first) : []
    const rest = (hasPolicy ? documents.slice(1) : documents).map((document) => ({
      value: document.toJS({ maxAliasCount: 0 }) as unknown,
      place: this.#source.place(offsetOf(document.contents)),
    }))
    return { rules, rest }
  }

  #rules(contents: Node | null): RuleSource[] {
    if (!isSeq(contents)) {
      this.#source.add(offsetOf(contents), 'a policy is a list of rules (expected `- rule: ID`)')
      return []
    }
    if (contents.items.length > MAX_RULES) {
      this.#source.add(
        offsetOf(contents),
        `${contents.items.length} rules in one file (expected at most ${MAX_RULES})`,
      )
      return []
    }
    const rules: RuleSource[] = []
    for (const item of contents.items) {
      if (!isMap(item))
        this.#source.add(offsetOf(item), 'a rule is a mapping (expected `rule`, `when` and `decision`)')
      else {
        const rule = this.#rule(item as Mapping)
        if (rule !== undefined) rules.push(rule)
      }
    }
    return rules
  }

  #rule(map: Mapping): RuleSource | undefined {
    const before = this.#source.problems.length
    const place = this.#source.place(offsetOf(map))
    const members = this.#members(map, RULE_KEYS, 'a rule')
    const id = this.#string(members.get('rule'))
    if (id === undefined) this.#missing(map, members.get('rule'), 'rule', 'the id of the rule')
    else if (!RULE_ID.test(id)) {
      this.#source.add(
        offsetOf(members.get('rule')),
        `rule id ${quoted(id)} (expected 1 to 128 letters, digits, \`.\`, \`_\`, \`/\`, \`-\`)`,
      )
    }
    const when = this.#when(map, members.get('when'))
    const decision = this.#decision(map, members.get('decision'))
    const details = this.#details(map, members, decision)
    const mode = this.#word(members.get('mode'), 'mode', MODES) ?? 'enforce'
    const owner = this.#note(members.get('owner'), 'owner')
    const why = this.#note(members.get('why'), 'why')
    const until = this.#until(members.get('until'))
    if (this.#source.problems.length > before || id === undefined || decision === undefined) return undefined
    return {
      id,
      file: this.#source.file,
      ...place,
      ...when,
      decision,
      ...details,
      mode,
      owner,
      why,
      until,
    }
  }

  #when(map: Mapping, node: Node | null | undefined): Pick<RuleSource, 'when' | 'cond'> {
    if (!isMap(node)) {
      this.#missing(map, node, 'when', 'a mapping such as `{ tool: "crm.read" }`')
      return { when: {}, cond: undefined }
    }
    const members = this.#members(node as Mapping, WHEN_KEYS, '`when`')
    if (node.items.length === 0) {
      // An allow rule that says nothing would allow everything by accident.
      this.#source.add(
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
    const kinds = TARGETS.filter((key) => members.has(key))
    if (kinds.length > 1) {
      const names = kinds.map((kind) => `\`${kind}\``).join(' and ')
      this.#source.add(
        offsetOf(node),
        `a call is never aimed at ${names} at once (expected one of them; write a rule for each)`,
      )
    }
    return { when, cond: members.has('cond') ? this.#condition(members.get('cond')) : undefined }
  }

  #condition(node: Node | null | undefined): ConditionSource | undefined {
    const text = this.#string(node)
    if (text === undefined || !isScalar(node)) {
      this.#source.add(
        offsetOf(node),
        `\`cond\` is ${shown(node ?? null)} (expected a text, a CEL expression)`,
      )
      return undefined
    }
    if (text.length > MAX_CONDITION_LENGTH) {
      this.#source.add(
        offsetOf(node),
        `\`cond\` is ${text.length} characters long (expected at most ${MAX_CONDITION_LENGTH})`,
      )
      return undefined
    }
    const source = { type: node.type, start: node.range?.[0] ?? 0, end: node.range?.[1] ?? 0 }
    return {
      text,
      place: (index) => this.#source.place(offsetInFile(this.#source.text, source, text, index)),
    }
  }

  #globs(node: Node | null | undefined, key: Selector): string[] {
    const items = isSeq(node) ? node.items : [node]
    if (items.length === 0 || items.length > MAX_GLOBS) {
      this.#source.add(offsetOf(node), `\`${key}\` lists ${items.length} globs (expected 1 to ${MAX_GLOBS})`)
      return []
    }
    const patterns: string[] = []
    for (const item of items) {
      const value = this.#string(item as Node | null)
      if (value === undefined || value === '' || value.length > MAX_GLOB_LENGTH) {
        this.#source.add(
          offsetOf(item as Node | null) || offsetOf(node),
          `\`${key}\` is ${value === undefined || value === '' ? shown(item as Node | null) : `${value.length} characters long`}, no glob (expected a text of 1 to ${MAX_GLOB_LENGTH} characters, or a list of them)`,
        )
        continue
      }
      const words = CLOSED[key]
      if (words !== undefined && !words.some((word) => compileGlob([value]).test(word))) {
        const hint = isLiteral(value) ? didYouMean(nearestName(value, words)) : ''
        this.#source.add(
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
      this.#missing(map, node, 'decision', oneOf(DECISIONS))
      return undefined
    }
    if (LATER_DECISIONS.has(value)) {
      this.#source.add(
        offsetOf(node),
        `decision ${quoted(value)} is not built in this version (expected ${oneOf(DECISIONS)})`,
      )
      return undefined
    }
    return this.#word(node, 'decision', DECISIONS)
  }

  /** What a rule says beside its decision, which means nothing beside another. */
  #details(
    map: Mapping,
    members: ReadonlyMap<string, Node | null>,
    decision: Effect | undefined,
  ): Pick<RuleSource, 'approvers' | 'redaction' | 'retryAfterS'> {
    for (const [key, goesWith] of Object.entries(KEYS_OF))
      if (members.has(key) && decision !== undefined && decision !== goesWith)
        this.#source.add(
          offsetOf(members.get(key)),
          `\`${key}\` goes with \`decision: ${goesWith}\` only, this rule says \`${decision}\``,
        )
    const redacts = decision === 'redact'
    return {
      approvers: decision === 'require_approval' ? this.#approvers(map, members.get('approvers')) : [],
      redaction: redacts
        ? {
            classes: this.#words(map, members.get('classes'), 'classes', DATA_CLASSES),
            in: members.has('in') ? this.#words(map, members.get('in'), 'in', DIRECTIONS) : DIRECTIONS,
          }
        : undefined,
      retryAfterS: decision === 'defer' ? this.#retryAfter(members.get('retry_after')) : undefined,
    }
  }

  #approvers(map: Mapping, node: Node | null | undefined): string[] {
    const items = isSeq(node) ? node.items : []
    if (items.length === 0 || items.length > MAX_APPROVERS) {
      this.#missing(map, node, 'approvers', `a list of 1 to ${MAX_APPROVERS} roles such as \`[dba]\``)
      return []
    }
    return items.flatMap((item) => {
      const role = this.#string(item as Node | null)
      if (role !== undefined && APPROVER_ROLE.test(role)) return [role]
      this.#source.add(
        offsetOf(item),
        `role ${shown(item as Node | null)} (expected at most 32 lower-case letters, digits and \`-\`, such as \`dba\`)`,
      )
      return []
    })
  }

  /** A list of words of a closed vocabulary. */
  #words<W extends string>(
    map: Mapping,
    node: Node | null | undefined,
    key: string,
    words: readonly W[],
  ): W[] {
    if (!isSeq(node) || node.items.length === 0) {
      this.#missing(map, node, key, `a list of ${oneOf(words)}`)
      return []
    }
    return node.items.flatMap((item) => this.#word(item as Node | null, key, words) ?? [])
  }

  #retryAfter(node: Node | null | undefined): number {
    if (node === undefined) return RETRY_AFTER_S
    const value = isScalar(node) ? node.value : undefined
    if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= MAX_RETRY_AFTER_S)
      return value
    this.#source.add(
      offsetOf(node),
      `\`retry_after\` is ${shown(node)} (expected a whole number of seconds from 1 to ${MAX_RETRY_AFTER_S})`,
    )
    return RETRY_AFTER_S
  }

  #until(node: Node | null | undefined): number | undefined {
    if (node === undefined) return undefined
    const value = isScalar(node) ? String(node.value) : ''
    const isDate = /^\d{4}-\d\d-\d\d$/.test(value)
    const isTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(value)
    const start = isDate ? Date.parse(`${value}T00:00:00Z`) : Date.parse(value)
    // Date.parse rolls 2026-02-30 over into March; an expiry must be the day that was written.
    const real = !Number.isNaN(start) && new Date(start).toISOString().slice(0, 10) === value.slice(0, 10)
    if ((!isDate && !isTime) || !real) {
      this.#source.add(
        offsetOf(node),
        `\`until\` is ${shown(node)} (expected a date like \`2027-01-31\`, or \`2027-01-31T12:00:00Z\`)`,
      )
      return undefined
    }
    return isDate ? start + 86_400_000 - 1 : start
  }

  #note(node: Node | null | undefined, key: string): string | undefined {
    if (node === undefined) return undefined
    const value = this.#string(node)
    if (value === undefined || value.length > MAX_NOTE_LENGTH) {
      const what = value === undefined ? shown(node) : `${value.length} characters long`
      this.#source.add(
        offsetOf(node),
        `\`${key}\` is ${what} (expected a text of at most ${MAX_NOTE_LENGTH} characters)`,
      )
    }
    return value
  }

  #word<W extends string>(node: Node | null | undefined, key: string, words: readonly W[]): W | undefined {
    if (node === undefined) return undefined
    const value = this.#string(node)
    const word = words.find((candidate) => candidate === value)
    if (word === undefined) {
      const hint = value === undefined ? '' : didYouMean(nearestName(value, words))
      this.#source.add(offsetOf(node), `\`${key}\` is ${shown(node)} (expected ${oneOf(words)})${hint}`)
    }
    return word
  }

  #members(map: Mapping, known: readonly string[], what: string): Map<string, Node | null> {
    const members = new Map<string, Node | null>()
    for (const pair of map.items) {
      const key = this.#string(pair.key)
      if (key === '<<')
        this.#source.add(offsetOf(pair.key), 'merge keys are refused (expected the members themselves)')
      else if (key === undefined || !known.includes(key)) {
        const hint = key === undefined ? '' : didYouMean(nearestName(key, known))
        this.#source.add(
          offsetOf(pair.key),
          `${what} has no key ${quoted(key ?? '?')} (expected ${oneOf(known)})${hint}`,
        )
      } else members.set(key, pair.value)
    }
    return members
  }

  #missing(map: Mapping, node: Node | null | undefined, key: string, expected: string): void {
    if (node === undefined) this.#source.add(offsetOf(map), `\`${key}\` is missing (expected ${expected})`)
    else this.#source.add(offsetOf(node), `\`${key}\` is ${shown(node)} (expected ${expected})`)
  }

  #string(node: Node | null | undefined): string | undefined {
    return isScalar(node) && typeof node.value === 'string' ? node.value : undefined
  }
}

/** A value as a message shows it. */
function shown(node: Node | null): string {
  if (isSeq(node)) return node.items.length === 0 ? 'an empty list' : `a list of ${node.items.length}`
  if (isMap(node)) return 'a mapping'
  return isScalar(node) && node.value !== null ? quoted(String(node.value)) : 'empty'
}

function oneOf(words: readonly string[]): string {
  return words.map((word) => `\`${word}\``).join(', ')
}
