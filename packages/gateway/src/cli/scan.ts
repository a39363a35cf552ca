import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Finding } from '../text/finding.ts'
import { scanText } from '../text/scan.ts'
import { CommandFailed, print, printJson, safeText } from './output.ts'

export interface ScanOptions {
  readonly jsonl?: boolean
  readonly json?: boolean
}

/** Longest row that is read, in UTF-16 units. */
const MAX_ROW = 8 * 1024 * 1024

interface Row {
  readonly id: unknown
  readonly text: string
}

/**
 * `callgate scan`: finds personal data and hidden text in files, or in rows of JSON, for CI and back-tests.
 * @returns exit code: 0 nothing found, 1 something found, 2 a row that could not be read
 */
export async function scan(file: string, { jsonl, json }: ScanOptions): Promise<number> {
  const input = file === '-' ? process.stdin : createReadStream(file)
  const failed = new Promise<never>((_, reject) =>
    input.once('error', (cause: NodeJS.ErrnoException) =>
      reject(
        new CommandFailed(`${file}: cannot be read (${cause.code ?? cause.message})`, {
          fix: 'name a file, or - for standard input',
          cause,
        }),
      ),
    ),
  )
  return Promise.race([jsonl === true ? scanRows(input) : scanLines(input, file, json === true), failed])
}

/** Rows `{"id","text"}`, one answer each in their order. */
async function scanRows(input: NodeJS.ReadableStream): Promise<number> {
  let flagged = 0
  let wrong = 0
  let line = 0
  for await (const content of createInterface({ input, crlfDelay: Infinity })) {
    line++
    if (content.trim() === '') continue
    const row = rowOf(content)
    if (row === undefined) {
      wrong++
      process.stderr.write(
        `callgate: row ${line} is no JSON object with \`id\` and a text \`text\`, or longer than ${MAX_ROW} signs\n`,
      )
      continue
    }
    const findings = scanText(row.text)
    if (findings.length > 0) flagged++
    printJson({ id: row.id, flagged: findings.length > 0, score: scoreOf(findings), findings })
  }
  return wrong > 0 ? 2 : flagged > 0 ? 1 : 0
}

/** A file by lines; a finding is told by its place and class, never by what was found. */
async function scanLines(input: NodeJS.ReadableStream, file: string, json: boolean): Promise<number> {
  let count = 0
  let line = 0
  for await (const content of createInterface({ input, crlfDelay: Infinity })) {
    line++
    for (const { class: found, start, end, score } of scanText(content)) {
      count++
      if (json) printJson({ file, line, class: found, start, end, score })
      else print(`${safeText(file)}:${line}:${start + 1} ${found} (${end - start} signs)`)
    }
  }
  if (!json) print(count === 0 ? 'nothing found' : `${count} found`)
  return count === 0 ? 0 : 1
}

const scoreOf = (findings: readonly Finding[]): number => Math.max(0, ...findings.map(({ score }) => score))

function rowOf(content: string): Row | undefined {
  if (content.length > MAX_ROW) return undefined
  try {
    const row: unknown = JSON.parse(content)
    if (typeof row !== 'object' || row === null || !('id' in row) || !('text' in row)) return undefined
    return typeof row.text === 'string' ? { id: row.id, text: row.text } : undefined
  } catch {
    return undefined
  }
}
