import { type ManagedFile, isLines } from './hosts-files.ts'
import { shownUrl, shownWord } from './install-server.ts'

/**
 * What a file says otherwise than the configuration gives, one sentence each; empty: it matches. The order of lists does not
 * count, and members that this command never writes are the administrator's own.
 * @param text of the file; undefined: there is none
 */
export function differences(file: ManagedFile, text: string | undefined): string[] {
  if (text === undefined) return ['is not there']
  if (isLines(file.value)) return listDifferences('the list', file.value, linesOf(text))
  const there = parsed(text)
  if (there === undefined) return ['is not an object of JSON']
  const wanted = file.value
  return [
    ...file.own.flatMap((key) => memberDifferences(key, wanted[key], there[key])),
    ...file.wayPast
      .filter((key) => there[key] !== undefined)
      .map((key) => `\`${key}\` lets servers come past the lists; take it out`),
  ]
}

/**
 * Members and names of a file that this command did not write there, so that writing the file would lose them.
 * @returns undefined when the file cannot be read at all
 */
export function foreignMembers(file: ManagedFile, text: string): string[] | undefined {
  if (text.trim() === '' || isLines(file.value)) return []
  const there = parsed(text)
  if (there === undefined) return undefined
  const wanted = file.value
  return Object.entries(there).flatMap(([key, value]) => {
    if (!file.own.includes(key)) return [key]
    const known = wanted[key]
    if (!isObject(value) || !isObject(known)) return []
    return Object.keys(value)
      .filter((name) => known[name] === undefined)
      .map((name) => `${key}.${name}`)
  })
}

function memberDifferences(key: string, wanted: unknown, there: unknown): string[] {
  const list = listOf(wanted)
  if (list !== undefined) {
    const found = listOf(there)
    return found === undefined
      ? [`\`${key}\` is ${there === undefined ? 'not there' : 'not a list'}`]
      : listDifferences(`\`${key}\``, list, found)
  }
  if (isObject(wanted)) return serverDifferences(key, wanted, isObject(there) ? there : {})
  if (canonical(wanted) === canonical(there)) return []
  return [
    wanted === undefined
      ? `\`${key}\` is set, which these options do not write`
      : `\`${key}\` is not \`${String(wanted)}\``,
  ]
}

function listDifferences(name: string, wanted: readonly unknown[], there: readonly unknown[]): string[] {
  const given = new Set(wanted.map(canonical))
  const found = new Set(there.map(canonical))
  return [
    ...wanted.filter((each) => !found.has(canonical(each))).map((each) => `${name} lacks ${shown(each)}`),
    ...there
      .filter((each) => !given.has(canonical(each)))
      .map((each) => `${name} has ${shown(each)}, which the configuration does not give`),
  ]
}

/** What stands in an entry of a server is not shown: headers and variables may hold secrets. */
function serverDifferences(
  key: string,
  wanted: Readonly<Record<string, unknown>>,
  there: Readonly<Record<string, unknown>>,
): string[] {
  return [
    ...Object.keys(wanted)
      .filter((name) => canonical(wanted[name]) !== canonical(there[name]))
      .map((name) => `\`${key}.${name}\` is ${there[name] === undefined ? 'not there' : 'another server'}`),
    ...Object.keys(there)
      .filter((name) => wanted[name] === undefined)
      .map((name) => `\`${key}.${name}\` is a server beside the gate`),
  ]
}

/** A list, or the text of one: what VS Code takes for a policy. */
function listOf(value: unknown): readonly unknown[] | undefined {
  if (Array.isArray(value)) return value
  if (typeof value !== 'string' || !value.startsWith('[')) return undefined
  try {
    const list: unknown = JSON.parse(value)
    return Array.isArray(list) ? list : undefined
  } catch {
    return undefined
  }
}

function linesOf(text: string): string[] {
  return text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '')
}

function parsed(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** An entry of a list as it may be shown: somebody else may have written a secret into it. */
function shown(entry: unknown): string {
  if (typeof entry === 'string') return `\`${entry.split(' ').map(shownAfter).join(' ')}\``
  if (!isObject(entry) || Object.keys(entry).length !== 1) return 'an entry of no known form'
  const { serverName, serverUrl, serverCommand } = entry
  if (typeof serverName === 'string') return canonical({ serverName })
  if (typeof serverUrl === 'string') return canonical({ serverUrl: shownUrl(serverUrl) })
  if (Array.isArray(serverCommand))
    return canonical({ serverCommand: serverCommand.map(String).map(shownAfter) })
  return 'an entry of no known form'
}

function shownAfter(word: string, index: number, words: readonly string[]): string {
  return shownWord(word, words[index - 1])
}

/** JSON that is the same for the same value, whatever the order of its members. */
function canonical(value: unknown): string {
  if (value === undefined) return ''
  return JSON.stringify(value, (_, part: unknown) =>
    isObject(part) ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1))) : part,
  )
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
