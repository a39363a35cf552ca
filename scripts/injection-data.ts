// The texts that the injection signal is trained and judged on: the shared corpora, our own samples, and harmless prose.
import { createHash } from 'node:crypto'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Surface } from '../packages/gateway/src/text/finding.ts'

/** One text, whether it is an attack, and where it comes from. */
export interface Row {
  readonly text: string
  readonly surface: Surface
  readonly attack: boolean
  /** The set it is counted in. */
  readonly set: string
  /** Sets of one origin: what leave-one-source-out leaves out together. */
  readonly family: string
  /** Rows that must not be parted by cross-validation, such as the tools of one server. */
  readonly group: string
}

const ROOT = fileURLToPath(new URL('..', import.meta.url))
/** The shared corpora: `CALLGATE_CORPORA`, else the folder beside the checkout. */
export const CORPORA =
  process.env['CALLGATE_CORPORA'] ?? fileURLToPath(new URL('../../shared/corpora', import.meta.url))
const SAMPLES = new URL('../packages/gateway/src/text/injection/training/', import.meta.url)

type Json = Readonly<Record<string, unknown>>

function jsonLines(file: string): Json[] {
  return readFileSync(join(CORPORA, file), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Json)
}

function word(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

/** Numbers from 0 to below 1, the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

function pick<T>(items: readonly T[], random: () => number): T {
  const item = items[Math.floor(random() * items.length)]
  if (item === undefined) throw new TypeError('nothing to pick from')
  return item
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const out = [...items]
  for (let i = out.length - 1; i > 0; i--) {
    const k = Math.floor(random() * (i + 1))
    const held = out[i] as T
    out[i] = out[k] as T
    out[k] = held
  }
  return out
}

// ── Our own samples ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Samples {
  readonly slots: ReadonlyMap<string, string[]>
  readonly lines: readonly { attack: boolean; surface: Surface; once: boolean; text: string; at: string }[]
}

function samples(name: string): Samples {
  const slots = new Map<string, string[]>()
  const lines: Samples['lines'][number][] = []
  let section: string[] = []
  for (const [number, line] of readFileSync(new URL(name, SAMPLES), 'utf8').split('\n').entries()) {
    if (line === '' || (line.startsWith('# ') && section.length === 0)) continue
    const head = /^\[(slot|attack|benign) ([a-z_]+)( once)?\]$/.exec(line)
    if (head !== null) {
      section = [head[1] ?? '', head[2] ?? '', head[3] ?? '']
      if (section[0] === 'slot') slots.set(section[1] ?? '', [])
    } else if (section[0] === 'slot') slots.get(section[1] ?? '')?.push(line)
    else {
      const surface = section[1] === 'tool_definition' ? 'tool_definition' : 'tool_result'
      const [kind, , once] = section
      lines.push({
        attack: kind === 'attack',
        surface,
        once: once !== '',
        text: line,
        at: `${name}:${number + 1}`,
      })
    }
  }
  return { slots, lines }
}

function filled(template: string, slots: Samples['slots'], random: () => number, given: Json = {}): string {
  let text = template
  for (let depth = 0; depth < 4 && /\{[a-z]+\}/.test(text); depth++) {
    text = text.replaceAll(/\{([a-z]+)\}/g, (all, name: string) => {
      const fixed = given[name]
      if (typeof fixed === 'string') return fixed
      const list = slots.get(name)
      return list === undefined ? all : pick(list, random)
    })
  }
  return text.replaceAll('\\n', '\n')
}

/** Copies made of one line of ours with slots. */
const COPIES = { attack: 8, benign: 7 }

/** Our own samples, slots filled by seed; goals of the corpora fill some, so that what is asked for varies. */
export function ownRows(seed: number, goals: readonly string[]): Row[] {
  const random = seeded(seed)
  const rows: Row[] = []
  const files = ['attacks.txt', 'benign.txt'].map(samples)
  // Both files fill slots from both: what fills a slot must not tell which file it is.
  const slots = new Map<string, string[]>()
  for (const file of files) {
    for (const [name, list] of file.slots) slots.set(name, [...(slots.get(name) ?? []), ...list])
  }
  for (const { lines } of files) {
    for (const { attack, surface, once, text, at } of lines) {
      const copies = once || !/\{[a-z]+\}/.test(text) ? 1 : attack ? COPIES.attack : COPIES.benign
      for (let copy = 0; copy < copies; copy++) {
        // A plain goal is an attack only where the rest of the line makes it one.
        const strong = /\{override\}|\{urgent\}/.test(text)
        const action = strong && goals.length > 0 && copy % 2 === 1 ? pick(goals, random) : undefined
        const full = filled(text, slots, random, action === undefined ? {} : { action })
        const kind = surface === 'tool_definition' ? 'definitions' : 'results'
        const set = `own-${attack ? 'attack' : 'benign'}-${kind}`
        rows.push({ text: full, surface, attack, set, family: 'own', group: at })
      }
    }
  }
  return rows
}

// ── The corpora ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

const P = 'prompt-injection/'

/** Whether the shared corpora are there. */
export function corporaPresent(): boolean {
  return existsSync(join(CORPORA, P))
}

function toolText(row: Json): string {
  const tool = (row['tool'] ?? row) as Json
  return `${word(tool['name'])}\n${word(tool['description'])}`
}

/**
 * Text of an attack in a row of msb-tool-definitions: praise of the tool, or a parameter that asks for the caller's model.
 * Other rows of the attack kinds are poisoned in their results or by their names only; a text cannot show it.
 */
function msbCarries(description: string): boolean {
  return description.includes('best tool in the world') || description.includes('llm_model_name')
}

const ATTACK_KINDS = /^(preference_manipulation|tool_transfer|out_of_scope_parameter)/

/** Every set of the corpora that is trained on or that the requirement names. */
export function corpusRowsOfAll(): Row[] {
  const rows: Row[] = []
  const add = (
    set: string,
    family: string,
    surface: Surface,
    attack: boolean,
    text: string,
    group: string,
  ): void => {
    if (text.trim() !== '') rows.push({ text, surface, attack, set, family, group: `${set}:${group}` })
  }
  for (const row of jsonLines(`${P}cisco-remote-malicious-tools.jsonl`)) {
    add('cisco-remote-malicious', 'cisco', 'tool_definition', true, toolText(row), word(row['id']))
  }
  for (const row of jsonLines(`${P}cisco-remote-benign-tools.jsonl`)) {
    const [service = ''] = word(row['name']).split('_')
    add(
      'cisco-remote-benign',
      'cisco',
      'tool_definition',
      false,
      toolText(row),
      service + word(row['id']).slice(-1),
    )
  }
  for (const row of jsonLines(`${P}cisco-behavioral-descriptions.jsonl`)) {
    if (row['category'] !== 'prompt-injection') continue
    add('cisco-behavioral-injection', 'cisco', 'tool_definition', true, toolText(row), word(row['id']))
  }
  for (const row of jsonLines(`${P}msb-tool-definitions.jsonl`)) {
    const kind = word(row['kind'])
    const carries = msbCarries(word(row['description']))
    if (carries && ATTACK_KINDS.test(kind)) {
      add('msb-poisoned', 'msb', 'tool_definition', true, toolText(row), word(row['name']))
    } else if (!carries) add('msb-plain', 'msb', 'tool_definition', false, toolText(row), word(row['name']))
  }
  for (const row of jsonLines(`${P}mcp-tool-definitions-benign.jsonl`)) {
    add('docker-registry', 'docker', 'tool_definition', false, toolText(row), word(row['server']))
  }
  const goals = jsonLines(`${P}agentdojo-injection-goals.jsonl`).map((row) => word(row['text']))
  for (const template of jsonLines(`${P}agentdojo-attack-templates.jsonl`)) {
    for (const goal of goals) {
      const text = word(template['text']).replaceAll('{goal}', goal)
      add('agentdojo-wrapped', 'agentdojo', 'tool_result', true, text, goal)
    }
  }
  for (const row of jsonLines(`${P}agentdojo-env-benign.jsonl`)) {
    add('agentdojo-env', 'agentdojo', 'tool_result', false, word(row['text']), word(row['id']))
  }
  for (const row of jsonLines(`${P}bipia-contexts-benign.jsonl`)) {
    const kind = word(row['surface']).replace('tool_output_', '')
    add(`bipia-${kind}`, 'bipia', 'tool_result', false, word(row['text']), word(row['id']))
  }
  for (const row of jsonLines(`${P}notinject-benign.jsonl`)) {
    add('notinject', 'notinject', 'tool_result', false, word(row['text']), word(row['id']))
  }
  for (const row of jsonLines(`${P}cyberseceval-prompt-injection.jsonl`)) {
    if (row['category'] !== 'ignore_previous_instructions' || row['lang'] !== 'English') continue
    add('cyberseceval-ignore', 'cyberseceval', 'prompt', true, word(row['text']), word(row['id']))
  }
  for (const row of jsonLines('pii/presidio-synth-v2.jsonl')) {
    add('pii-sentences', 'pii', 'tool_result', false, word(row['text']), word(row['template_id']))
  }
  for (const row of jsonLines('pii/presidio-templates.jsonl')) {
    add('pii-templates', 'pii', 'tool_result', false, word(row['template']), word(row['id']))
  }
  const atlas = JSON.parse(readFileSync(join(CORPORA, 'threats/mitre-atlas-techniques.json'), 'utf8')) as Json
  for (const [number, technique] of ((atlas['techniques'] ?? []) as Json[]).entries()) {
    const text = [technique['name'], technique['description']]
      .filter((part) => typeof part === 'string')
      .join('. ')
    add('atlas', 'atlas', 'tool_result', false, text, String(number))
  }
  for (const row of jsonLines('secrets/gitleaks-rules-reference.jsonl')) {
    add('gitleaks-rules', 'secrets', 'tool_result', false, word(row['description']), word(row['id']))
  }
  return rows
}

/** Goals without a wrapper: told, never trained on as they are, since a plain wish is no attack by its words. */
export function rawGoals(): Map<string, Row[]> {
  const sets = new Map<string, Row[]>()
  for (const name of [
    'agentdojo-injection-goals',
    'asb-attacker-instructions',
    'bipia-attacks',
    'injecagent-direct-harm',
    'cyberseceval-prompt-injection',
    'cisco-behavioral-descriptions',
    'msb-tool-definitions',
  ]) {
    const surface = /cisco|msb/.test(name) ? 'tool_definition' : /cyber/.test(name) ? 'prompt' : 'tool_result'
    const rows = jsonLines(`${P}${name}.jsonl`)
      .filter((row) => name !== 'msb-tool-definitions' || ATTACK_KINDS.test(word(row['kind'])))
      .map((row) => ({
        text: word(row['text']) || toolText(row),
        surface: surface as Surface,
        attack: true,
        set: name,
        family: name,
        group: word(row['id']),
      }))
    sets.set(name, rows)
  }
  return sets
}

/** Goals that fill the slot `action` of our own samples. */
export function goalsForSlots(): string[] {
  const goals = ['asb-attacker-instructions', 'injecagent-direct-harm', 'bipia-attacks'].flatMap((name) =>
    jsonLines(`${P}${name}.jsonl`).map((row) => word(row['text'])),
  )
  return goals
    .filter((goal) => goal.length < 300 && !goal.includes('```'))
    .map((goal) => goal.replace(/^Please /, '').replace(/\.$/, ''))
    .map((goal) => (goal[0] ?? '').toLowerCase() + goal.slice(1))
}

// ── What nobody trains on ───────────────────────────────────────────────────────────────────────────────────────────────────────

const BLIND = new URL('../packages/gateway/src/text/injection/testdata/blind.jsonl', import.meta.url)

/**
 * Attacks and harmless texts by somebody who had seen neither our samples nor the corpora. INVARIANT: never trained on, and never
 * what a sample or the threshold is fitted to; once it is, it forecasts nothing.
 */
export function blindRows(): Row[] {
  return readFileSync(BLIND, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => {
      const row = JSON.parse(line) as Json
      const kind = word(row['kind'])
      return {
        text: word(row['text']),
        surface: kind === 'poisoned' || kind === 'definition' ? 'tool_definition' : 'tool_result',
        attack: row['attack'] === true,
        set: `blind-${kind}`,
        family: 'blind',
        group: word(row['id']),
      }
    })
}

// ── Harmless prose ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Most documents taken from this checkout and its packages. */
const PROSE = 600

/** READMEs of installed packages and our own pages, by seed. Not committed: their hash and number are told. */
export function proseRows(seed: number): Row[] {
  const files = globSync(
    [
      'node_modules/*/{README,readme,CHANGELOG,History}.md',
      'node_modules/@*/*/README.md',
      '*.md',
      'docs/*.md',
    ],
    {
      cwd: ROOT,
    },
  )
    .filter((file) => file !== 'docs/injection-model.md')
    .sort()
  return shuffled(files, seeded(seed))
    .slice(0, PROSE)
    .map((file) => ({
      text: readFileSync(join(ROOT, file), 'utf8').slice(0, 12_000),
      surface: 'tool_result' as const,
      attack: false,
      set: 'readmes',
      family: 'readmes',
      group: file,
    }))
    .filter((row) => row.text.trim() !== '')
}

/** SHA-256 over the rows, in order. */
export function hashOf(rows: readonly Row[]): string {
  const hash = createHash('sha256')
  for (const row of rows) hash.update(JSON.stringify([row.set, row.surface, row.attack, row.text]))
  return hash.digest('hex')
}
