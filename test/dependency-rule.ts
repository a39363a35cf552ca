import { readFileSync } from 'node:fs'

/** What one source file imports, as written. */
export interface SourceFile {
  /** Path from the root of the repository, with slashes. */
  readonly file: string
  readonly imports: readonly string[]
}

/** Names of the packages that each of ours may import, by folder name. */
export type Declared = Readonly<Record<string, ReadonlySet<string>>>

// ── The rule, as ARCHITECTURE.md section 1 tells it ────────────────────────────────────────────────────────────────────────────

/** Arrows only to the right; skipping ahead is fine; rooms of one step do not know each other. */
const CHAIN: readonly (readonly string[])[] = [
  ['wire'],
  ['pipeline'],
  ['stages'],
  ['ports'],
  ['json-schema', 'net', 'text'],
  ['errors'],
  ['call'],
]

/** wire, stages, supply (design/0003), adapters/upstream -> mcp -> errors, call */
const KNOWS_MCP = new Set(['wire', 'stages', 'supply', 'adapters/upstream'])
const MCP = ['errors', 'call']

/** adapters, telemetry, detections, response, supply, issuer, config -> these */
const SIDE_ROOMS = new Set([
  'adapters',
  'adapters/upstream',
  'telemetry',
  'detections',
  'response',
  'supply',
  'issuer',
  'config',
])
const SIDE = ['ports', 'json-schema', 'net', 'text', 'errors', 'call']

/** control, cli -> any room except these; main injects what they need */
const FRONT_ROOMS = new Set(['control', 'cli'])
const NOT_FROM_FRONT = new Set(['adapters', 'adapters/upstream', 'wire', 'main', 'docs'])

/** threats reads what a configuration switches on (design/0008-threats.md) and takes no part in a call. */
const THREATS = [...SIDE, 'config']

/** docs.ts writes the generated pages; nothing of a running gate imports it. */
const DOCS = ['cli', 'errors', 'config', 'threats']

/** These rooms compute and do nothing else: no files, no sockets, no processes, no clients. */
const PURE = new Set(['call', 'errors', 'mcp', 'json-schema', 'net', 'text', 'ports'])
const EFFECTS =
  /^(undici|node:(fs|net|http2?|https|tls|dgram|dns|child_process|worker_threads|cluster|sqlite|inspector)(\/.*)?)$/

/** Our packages, and which of ours each may import. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  gateway: ['@callgate/evidence'],
  evidence: [],
  guard: [],
  console: [],
  redteam: [],
}

/** Runs in an auditor's hands, or inside other people's servers: nothing but Node. */
const ONLY_NODE = new Set(['evidence', 'guard'])

// ── Judging one file ────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Tests, contract suites, fixtures and golden data may import what they test. */
export function isTestCode(file: string): boolean {
  return /\.(test|contract)\.ts$/.test(file) || /\/(testing|testdata)\//.test(file)
}

/** The room of a gateway file: the first folder, or the file itself in src/; one room per stage and for adapters/upstream. */
export function roomOf(file: string): string | undefined {
  const inside = /^packages\/gateway\/src\/(.+)$/.exec(file)?.[1]
  if (inside === undefined) return undefined
  const [first = '', second = ''] = inside.split('/')
  if (first === 'stages') return `stages/${second}`
  if (first === 'adapters' && second === 'upstream') return 'adapters/upstream'
  // main.ts is the bin, compose*.ts the composition that it loads when a gate starts: one room.
  return /^compose(?:-\w+)?(?:\.test)?\.ts$/.test(first) ? 'main' : first.replace(/\.ts$/, '')
}

/** Rooms that a room may import, itself left out; `any` for main. */
function allowed(room: string): readonly string[] | 'any' | ((target: string) => boolean) {
  if (room === 'main') return 'any'
  if (room === 'docs') return DOCS
  if (room === 'threats') return THREATS
  if (room === 'mcp') return MCP
  if (FRONT_ROOMS.has(room)) return (target) => !NOT_FROM_FRONT.has(target)
  const mcp = KNOWS_MCP.has(step(room)) ? ['mcp'] : []
  if (SIDE_ROOMS.has(room)) return [...SIDE, ...mcp]
  const at = CHAIN.findIndex((rooms) => rooms.includes(step(room)))
  return at === -1 ? [] : [...CHAIN.slice(at + 1).flat(), ...mcp]
}

/** What is wrong with the imports of a file of ours that runs; empty for tests. */
export function violations({ file, imports }: SourceFile, declared: Declared): string[] {
  const owner = /^packages\/([^/]+)\/src\//.exec(file)?.[1]
  if (owner === undefined || isTestCode(file)) return []
  return imports.flatMap((specifier) => {
    const why = specifier.startsWith('.')
      ? badFile(file, join(file, specifier))
      : badPackage(file, owner, specifier, declared)
    return why === undefined ? [] : [`${file} imports \`${specifier}\`: ${why}`]
  })
}

function badFile(file: string, target: string): string | undefined {
  const room = roomOf(file)
  if (isTestCode(target)) return 'only tests import test code'
  if (target.startsWith('requirements/'))
    return room === 'docs' ? undefined : 'only tests and docs.ts read the requirements'
  if (packageOf(target) !== packageOf(file)) return 'packages import each other by name'
  const to = roomOf(target)
  if (room === undefined || to === undefined || room === to) return undefined
  if (to === 'main') return 'nothing imports main'
  if (step(room) === 'stages' && step(to) === 'stages') return 'a stage never imports another stage'
  // One house of adapters: upstream is told apart only because it knows mcp.
  if (family(room) === 'adapters' && family(to) === 'adapters') return undefined
  const may = allowed(room)
  if (may === 'any') return undefined
  if (typeof may === 'function' ? may(to) : may.includes(step(to))) return undefined
  if (family(to) === 'adapters') return 'no room imports adapters except main'
  return `${room} may not import ${to}`
}

function badPackage(file: string, owner: string, specifier: string, declared: Declared): string | undefined {
  const room = roomOf(file)
  if (room !== undefined && PURE.has(room) && EFFECTS.test(specifier)) return `${room} is pure`
  if (specifier.startsWith('node:')) return undefined
  if (ONLY_NODE.has(owner)) return `${owner} imports nothing but node:`
  const name = specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
  if (room === 'call') return 'call imports nothing'
  if (name.startsWith('@modelcontextprotocol')) return 'the MCP SDK is not in the data path'
  if (/^(@callgate\/|callgate$)/.test(name) && !PACKAGES[owner]?.includes(name))
    return `${owner} may not import ${name}`
  if (!declared[owner]?.has(name)) return `not in the dependencies of packages/${owner}/package.json`
  return undefined
}

function step(room: string): string {
  return room.startsWith('stages/') ? 'stages' : room
}

function family(room: string): string {
  return room.split('/')[0] ?? room
}

function packageOf(path: string): string | undefined {
  return /^packages\/([^/]+)\//.exec(path)?.[1]
}

function join(file: string, specifier: string): string {
  return new URL(specifier, `file:///${file}`).pathname.slice(1)
}

// ── Reading files ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

const STATIC = /^[ \t]*(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"]+)['"]/gm
const BARE = /^[ \t]*import\s*['"]([^'"]+)['"]/gm
const DYNAMIC = /\b(?:import|require)\s*\(\s*['"]([^'"]+)['"]/g
const BY_URL = /new URL\(\s*['"]([^'"]+\.ts)['"]\s*,\s*import\.meta\.url/g

/** Everything that a text imports: static, re-exported, type-only, dynamic, and files named by URL for workers and children. */
export function importsOf(text: string): string[] {
  const code = withoutComments(text)
  const found = [STATIC, BARE, DYNAMIC].flatMap((pattern) =>
    [...code.matchAll(pattern)].map((match) => match[1] ?? ''),
  )
  const byUrl = [...code.matchAll(BY_URL)]
    .map((match) => match[1] ?? '')
    .map((path) => (path.startsWith('.') ? path : `./${path}`))
  return [...new Set([...found, ...byUrl])]
}

/** Whether a text exports a default, or imports what only the running program can name. */
export function habits(text: string): string[] {
  const code = withoutComments(text)
  const found: string[] = []
  if (/^[ \t]*export\s+default\b|\bas\s+default\b[^'"]*\}/m.test(code)) found.push('has a default export')
  if (/\bimport\s*\(\s*(?!['"\s])/.test(code)) found.push('imports a computed name')
  return found
}

/** Reads one file of the repository. */
export function readSourceFile(root: string, file: string): SourceFile & { readonly text: string } {
  const text = readFileSync(new URL(file, root), 'utf8')
  return { file, text, imports: importsOf(text) }
}

function withoutComments(text: string): string {
  return text.replaceAll(/^\s*\/\*[\s\S]*?\*\/|\/\/[^'"`\n]*$/gm, '')
}
