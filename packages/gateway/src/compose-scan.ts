import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { GatewayConfig } from './config/declaration.ts'
import type { Finding } from './text/finding.ts'
import { MIN_CANARY, isFindable, type OwnClass, ownDetector, withOwn } from './text/own.ts'
import { scanText } from './text/scan.ts'

const MAX_WORDS = 100_000
const MAX_CANARIES = 256
const MAX_LENGTH = 256

/**
 * The detectors of the gate and the operator's own.
 * @throws Error for a file that cannot be used, which names it and not what it holds
 */
export async function openScan({
  dlp,
  folder,
}: Pick<GatewayConfig, 'dlp' | 'folder'>): Promise<(text: string) => readonly Finding[]> {
  const classes = await Promise.all(
    Object.entries(dlp.own).map(
      async ([name, { words = [], file, pattern, ignoreCase }]): Promise<OwnClass> => {
        const more =
          file === undefined ? [] : await linesOf(resolve(folder, file), `dlp.own.${name}.file`, MAX_WORDS)
        return { name, words: [...words, ...more], pattern, ignoreCase }
      },
    ),
  )
  const canaries =
    dlp.canaries === undefined
      ? []
      : await linesOf(resolve(folder, dlp.canaries.file), 'dlp.canaries.file', MAX_CANARIES)
  const short = canaries.findIndex((canary) => (canary.match(/[\p{L}\p{N}]/gu)?.length ?? 0) < MIN_CANARY)
  if (short >= 0)
    throw new Error(
      `\`dlp.canaries.file\`: line ${short + 1} has fewer than ${MIN_CANARY} letters and digits`,
    )
  if (classes.length === 0 && canaries.length === 0) return scanText
  const own = ownDetector(classes, canaries)
  return (text) => withOwn(own(text), scanText(text))
}

async function linesOf(path: string, name: string, most: number): Promise<string[]> {
  const text = await readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new Error(`\`${name}\`: ${path} cannot be read (${cause.code ?? 'unknown error'})`)
  })
  const lines = text.split(/\r?\n/)
  if (lines.at(-1) === '') lines.pop()
  if (lines.length > most)
    throw new Error(`\`${name}\`: ${path} has ${lines.length} lines, and ${most} are read`)
  const wrong = lines.findIndex(
    (line) => line.trim().length < 2 || line.length > MAX_LENGTH || !isFindable(line),
  )
  if (wrong >= 0)
    throw new Error(
      `\`${name}\`: line ${wrong + 1} of ${path} has fewer than 2 or more than ${MAX_LENGTH} signs, or no letter and no digit`,
    )
  return lines.map((line) => line.trim())
}
