import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { problemsOf } from '../config/messages.ts'
import { type ConfigPath, formatPath, type Problem } from '../config/problem.ts'
import type { SchemaNode } from '../config/schema.ts'
import { readSource } from '../config/source.ts'
import { registry } from '../errors/registry.ts'
import { nearest } from '../text/nearest.ts'
import { CONTROL_IDS } from './controls.ts'
import { FRAMEWORK_IDS, FRAMEWORKS } from './standards.ts'
import { PHASES, type Threat, threatSchema } from './threat.ts'

/** Threats as files have them, or everything that is wrong with the files. */
export type ReadThreats =
  | { readonly threats: readonly Threat[]; readonly problems?: undefined }
  | { readonly problems: readonly Problem[]; readonly threats?: undefined }

/** Longest file of a threat, in bytes. */
export const MAX_THREAT_BYTES = 65_536
/** Most files of one folder. */
const MAX_THREATS = 256
/** Most names that a message lists. */
const MAX_LISTED = 16

/** What a member that is one reference must say of itself. */
const REFERENCES = {
  detections: ['code', 'event', 'planned'],
  response: ['command', 'key', 'planned'],
} as const

/** Reads every `*.yaml` of a folder; threats come by phase, then by id. Never throws for what a person can write. */
export function readThreats(folder: string): ReadThreats {
  let names: string[]
  try {
    names = readdirSync(folder).filter((name) => name.endsWith('.yaml'))
  } catch (error) {
    return { problems: [whole(folder, `cannot be read (${codeOf(error)}); name the folder with --threats`)] }
  }
  if (names.length === 0)
    return { problems: [whole(folder, 'holds no threat (expected files such as `ssrf.yaml`)')] }
  if (names.length > MAX_THREATS)
    return { problems: [whole(folder, `holds ${names.length} files (expected at most ${MAX_THREATS})`)] }
  const read = names.toSorted().map((name) => readFile(folder, name))
  const problems = read.flatMap((each) => each.problems ?? [])
  if (problems.length > 0) return { problems }
  return { threats: read.flatMap((each) => each.threats ?? []).toSorted(byPhase) }
}

function readFile(folder: string, name: string): ReadThreats {
  try {
    return readThreat(readFileSync(join(folder, name)), name)
  } catch (error) {
    return { problems: [whole(name, `cannot be read (${codeOf(error)})`)] }
  }
}

/** Reads one threat. @param file its name, which is the id and `.yaml` */
export function readThreat(bytes: Uint8Array, file: string): ReadThreats {
  if (bytes.length > MAX_THREAT_BYTES)
    return { problems: [whole(file, `has ${bytes.length} bytes (expected at most ${MAX_THREAT_BYTES})`)] }
  const source = readSource(bytes, file, 'a threat')
  if ('problems' in source) return source
  const parsed = threatSchema.safeParse(source.value ?? {})
  if (!parsed.success) {
    const schema = z.toJSONSchema(threatSchema, { io: 'input' }) as SchemaNode
    return { problems: problemsOf(parsed.error.issues, source, schema) }
  }
  const problems = misfits(parsed.data, file).map(([path, message]) => source.problemAt(path, message))
  return problems.length > 0 ? { problems } : { threats: [parsed.data] }
}

type Misfit = readonly [path: ConfigPath, message: string]

/** What is well formed and still wrong: names that do not exist, and members that say too much or too little. */
function misfits(threat: Threat, file: string): Misfit[] {
  const found: Misfit[] = []
  if (`${threat.id}.yaml` !== file)
    found.push([['id'], `\`id\` is \`${threat.id}\` (expected the name of the file, \`${file}\`)`])
  for (const list of ['chain', 'controls'] as const) {
    threat[list].forEach((id, i) => {
      if (!CONTROL_IDS.includes(id)) found.push([[list, i], unknown('control', id, CONTROL_IDS)])
      else if (threat[list].indexOf(id) < i || (list === 'controls' && threat.chain.includes(id)))
        found.push([[list, i], `\`${id}\` stands twice in \`chain\` and \`controls\`; name it once`])
    })
  }
  for (const list of ['detections', 'response'] as const) {
    threat[list].forEach((entry, i) => {
      const keys = REFERENCES[list]
      const given = keys.filter((key) => Object.hasOwn(entry, key))
      if (given.length !== 1)
        found.push([
          [list, i],
          `\`${formatPath([list, i])}\` has ${given.length} of ${ticked(keys)} (expected one)`,
        ])
    })
  }
  threat.detections.forEach(({ code }, i) => {
    if (code !== undefined && !Object.hasOwn(registry, code))
      found.push([['detections', i, 'code'], unknown('reason code', code, Object.keys(registry))])
  })
  for (const framework of FRAMEWORK_IDS) {
    const known = Object.keys(FRAMEWORKS[framework].ids)
    threat.standards[framework].forEach((id, i) => {
      if (!known.includes(id))
        found.push([['standards', framework, i], unknown(`id of ${FRAMEWORKS[framework].source}`, id, known)])
    })
  }
  return found
}

function unknown(what: string, name: string, known: readonly string[]): string {
  const meant = nearest(name, known)
  const others =
    known.length <= MAX_LISTED
      ? `known are ${ticked(known)}`
      : 'docs/threat-model.md and docs/errors.md list them'
  return `\`${name}\` is no ${what} that is known; ${meant === undefined ? others : `did you mean \`${meant}\``}`
}

function byPhase(a: Threat, b: Threat): number {
  return PHASES.indexOf(a.phase) - PHASES.indexOf(b.phase) || (a.id < b.id ? -1 : 1)
}

const ticked = (names: readonly string[]): string => names.map((name) => `\`${name}\``).join(', ')

function whole(file: string, message: string): Problem {
  return { file, line: undefined, column: undefined, message }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
}
