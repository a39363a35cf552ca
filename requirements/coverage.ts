import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Requirement } from './requirement.ts'

/** A test file that cites a promise. */
export interface Citation {
  /** Undefined when the id is not a literal: then nobody can tell what is cited. */
  readonly id: string | undefined
  /** Path from the root of the repository, with slashes. */
  readonly file: string
}

/** What the manifest and the citations do not agree about. */
export interface Gaps {
  /** Cited ids that do not exist. */
  readonly unknown: readonly Citation[]
  /** Ids that are promised as built and cited by no test. */
  readonly uncited: readonly string[]
  /** Ids that are deferred and yet cited: the promise is built, so its `deferred` must go. */
  readonly citedDeferred: readonly Citation[]
}

type Manifest = Readonly<Record<string, Requirement>>

const FOLDERS = ['packages', 'test', 'examples', 'requirements', 'scripts']

/** Citations in the text of one test file; comments do not cite. */
export function citationsIn(text: string, file: string): Citation[] {
  // Comments of their own lines only: a glob such as `a/*` in a string opens none.
  const code = text.replaceAll(/^[ \t]*\/\*[\s\S]*?\*\//gm, '').replaceAll(/^\s*\/\/.*$/gm, '')
  return [...code.matchAll(/(?<![\w.'"`])verifies\(\s*(?:(['"])([^'"\n]*)\1)?/g)].map((match) => ({
    id: match[2],
    file,
  }))
}

/** Citations of every *.test.ts of the repository, sorted by file. */
export function findCitations(root: string): Citation[] {
  return FOLDERS.flatMap((folder) => testFiles(root, folder))
    .sort()
    .flatMap((file) => citationsIn(readFileSync(join(root, file), 'utf8'), file))
}

/** Compares promises with citations. */
export function gaps(manifest: Manifest, citations: readonly Citation[]): Gaps {
  const cited = new Set(citations.map(({ id }) => id))
  const known = (id: string | undefined): id is string => id !== undefined && Object.hasOwn(manifest, id)
  return {
    unknown: citations.filter(({ id }) => !known(id)),
    uncited: Object.keys(manifest).filter((id) => manifest[id]?.deferred === undefined && !cited.has(id)),
    citedDeferred: citations.filter(({ id }) => known(id) && manifest[id]?.deferred !== undefined),
  }
}

/** Renders docs/coverage.md: every promise, where it comes from, and the tests that prove it or what it waits for. */
export function coveragePage(manifest: Manifest, citations: readonly Citation[]): string {
  const ids = Object.entries(manifest)
  const built = ids.filter(([, requirement]) => requirement.deferred === undefined)
  const rows = ids.map(([id, { source, behaviour, deferred }]) => {
    const files = [
      ...new Set(citations.filter((citation) => citation.id === id).map(({ file }) => `\`${file}\``)),
    ]
    return `| ${id} | ${cell(behaviour)} | ${cell(source)} | ${deferred === undefined ? files.join('<br>') : cell(deferred)} |`
  })
  return `<!-- generated from requirements/ by \`npm run docs\`; do not edit -->
# Coverage

Every promise, the line that asks for it, and the tests that cite it. ${built.length} of ${ids.length} are built; the others say what they wait for.
A test that cites an unknown promise, a built promise that no test cites and a deferred promise that one cites fail the build.

| Promise | What holds | Source | Proven by, or waits for |
| --- | --- | --- | --- |
${rows.join('\n')}
`
}

function testFiles(root: string, folder: string): string[] {
  let names: string[]
  try {
    names = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
  } catch {
    return []
  }
  return names
    .filter((name) => name.endsWith('.test.ts') && !name.split('/').includes('node_modules'))
    .map((name) => `${folder}/${name}`)
}

/** Bars would break the table, tags would vanish; code keeps its signs. */
function cell(text: string): string {
  return text
    .split('`')
    .map((part, index) => (index % 2 === 0 ? part.replaceAll('<', '&lt;') : part))
    .join('`')
    .replaceAll('|', String.raw`\|`)
}
