import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { text as textFrom } from 'node:stream/consumers'
import type { Finding, Surface } from '../text/finding.ts'
import { scoreInjection } from '../text/injection/index.ts'
import { scanText } from '../text/scan.ts'
import { configPath, requireConfig } from './locate.ts'
import { CommandFailed, print, printJson } from './output.ts'
import { safeText } from '../text/safe-text.ts'
import type { World } from './world.ts'

export interface ScanOptions {
  readonly config?: string
  readonly jsonl?: boolean
  readonly json?: boolean
  readonly surface?: string
  readonly threshold?: string
}

const SURFACES: readonly Surface[] = ['tool_definition', 'tool_result', 'argument', 'prompt']

/** Longest row and longest file that are read, in UTF-16 units. */
const MAX_TEXT = 8 * 1024 * 1024

/** From this score on something counts as found, unless the caller says otherwise. */
const THRESHOLD = 0.5

/** What is told of one text. */
interface Found {
  readonly flagged: boolean
  readonly score: number
  readonly findings: readonly Finding[]
}

/**
 * `callgate scan`: finds personal data, secrets, hidden text and instructions to a model, for CI and back-tests.
 * @returns exit code: 0 nothing from the threshold on, 1 something, 2 a row that could not be read
 */
export async function scan(
  world: Pick<World, 'env' | 'openScan'>,
  file: string,
  { jsonl, json, ...options }: ScanOptions,
): Promise<number> {
  const threshold = thresholdOf(options.threshold)
  const surface = surfaceOf(options.surface ?? 'tool_result')
  if (surface === undefined)
    throw new CommandFailed(`--surface knows no \`${safeText(options.surface ?? '')}\``, {
      fix: `name one of ${SURFACES.join(', ')}`,
      exitCode: 2,
    })
  const detect = options.config === undefined ? scanText : await ownScan(world, options.config)
  const input = file === '-' ? process.stdin : createReadStream(file)
  const failed = new Promise<never>((_, reject) =>
    input.once('error', (cause: NodeJS.ErrnoException) =>
      reject(
        new CommandFailed(`${safeText(file)}: cannot be read (${cause.code ?? cause.message})`, {
          fix: 'name a file, or - for standard input',
          exitCode: 2,
          cause,
        }),
      ),
    ),
  )
  const found = (text: string, from: Surface): Found => foundIn(detect, text, from, threshold)
  const done =
    jsonl === true
      ? scanRows(input, surface, found)
      : scanWhole(input, file, json === true, (text) => found(text, surface))
  return Promise.race([done, failed])
}

/** What is known and what a configuration looks for. Exit code 1 is for what was found, so whatever is wrong here is 2. */
async function ownScan(world: Pick<World, 'env' | 'openScan'>, path: string): ReturnType<World['openScan']> {
  try {
    return await world.openScan(requireConfig(world.env, configPath(world.env, path), false))
  } catch (cause) {
    throw new CommandFailed(cause instanceof Error ? cause.message : String(cause), { exitCode: 2, cause })
  }
}

/** All detectors over one text, in its order. */
function foundIn(
  detect: (text: string) => readonly Finding[],
  text: string,
  surface: Surface,
  threshold: number,
): Found {
  const findings = [...detect(text), ...scoreInjection(text, surface).findings].toSorted(
    (a, b) => a.start - b.start,
  )
  const score = Math.max(0, ...findings.map((finding) => finding.score))
  return { flagged: score >= threshold && findings.length > 0, score, findings }
}

/** Rows `{"id","text","surface"?}`, one answer each in their order. */
async function scanRows(
  input: NodeJS.ReadableStream,
  surface: Surface,
  found: (text: string, surface: Surface) => Found,
): Promise<number> {
  let flagged = 0
  let wrong = 0
  let line = 0
  for await (const content of createInterface({ input, crlfDelay: Infinity })) {
    line++
    if (content.trim() === '') continue
    const row = rowOf(content, surface)
    if (typeof row === 'string') {
      wrong++
      process.stderr.write(`callgate: row ${line}: ${row}\n`)
      continue
    }
    const answer = found(row.text, row.surface)
    if (answer.flagged) flagged++
    printJson({ id: row.id, ...answer })
  }
  return wrong > 0 ? 2 : flagged > 0 ? 1 : 0
}

/** A whole text; what was found is told by its place and class, never by what it says. */
async function scanWhole(
  input: NodeJS.ReadableStream,
  file: string,
  json: boolean,
  found: (text: string) => Found,
): Promise<number> {
  const text = await textFrom(bounded(input, file))
  const { flagged, findings } = found(text)
  const place = placesIn(text)
  for (const { class: name, start, end, score } of findings) {
    const { line, column } = place(start)
    if (json) printJson({ file, line, column, class: name, start, end, score })
    else
      print(`${safeText(file)}:${line}:${column} ${name} (${end - start} signs, score ${score.toFixed(2)})`)
  }
  if (!json) print(findings.length === 0 ? 'nothing found' : `${findings.length} found`)
  return flagged ? 1 : 0
}

async function* bounded(input: NodeJS.ReadableStream, file: string): AsyncGenerator<Buffer> {
  let size = 0
  for await (const chunk of input) {
    const bytes = Buffer.from(chunk)
    if ((size += bytes.length) > MAX_TEXT)
      throw new CommandFailed(`${safeText(file)}: is longer than ${MAX_TEXT} bytes`, {
        fix: 'cut it into rows and give them with --jsonl',
        exitCode: 2,
      })
    yield bytes
  }
}

/** Lines and columns, both from 1, of offsets that are asked for in their order. */
function placesIn(text: string): (offset: number) => { line: number; column: number } {
  let line = 1
  let begin = 0
  return (offset) => {
    for (let at = text.indexOf('\n', begin); at >= 0 && at < offset; at = text.indexOf('\n', begin)) {
      line++
      begin = at + 1
    }
    return { line, column: offset - begin + 1 }
  }
}

interface Row {
  readonly id: unknown
  readonly text: string
  readonly surface: Surface
}

/** @returns what is wrong with it where it is no row */
function rowOf(content: string, surface: Surface): Row | string {
  if (content.length > MAX_TEXT) return `longer than ${MAX_TEXT} signs; cut its text in two`
  let row: unknown
  try {
    row = JSON.parse(content)
  } catch {
    return 'no JSON; each line is one object {"id","text","surface"?}'
  }
  if (typeof row !== 'object' || row === null || !('id' in row)) return 'no object with an `id`'
  if (!('text' in row) || typeof row.text !== 'string') return '`text` is missing or no text'
  const own = 'surface' in row ? surfaceOf(row.surface) : surface
  if (own === undefined) return `\`surface\` is none of ${SURFACES.join(', ')}`
  return { id: row.id, text: row.text, surface: own }
}

const surfaceOf = (name: unknown): Surface | undefined => SURFACES.find((surface) => surface === name)

function thresholdOf(given: string | undefined): number {
  const threshold = given === undefined ? THRESHOLD : Number(given)
  if (threshold >= 0 && threshold <= 1 && given?.trim() !== '') return threshold
  throw new CommandFailed(`--threshold expects a number from 0 to 1, not \`${safeText(given ?? '')}\``, {
    exitCode: 2,
  })
}
