import { wordLists } from './words.ts'

/** Most texts of one JSON document that are joined. */
const MAX_FIELDS = 512

/** The texts inside a JSON document, in order, member names left out; none when the text is no JSON. Linear, by its quotes. */
export function jsonTexts(text: string): string[] {
  const first = /^\s{0,64}([[{])/.exec(text)
  if (first === null) return []
  const found: string[] = []
  const strings = /"((?:[^"\\]|\\.)*)"(\s*:)?/gs
  for (const match of text.matchAll(strings)) {
    if (match[2] !== undefined || match[1] === undefined) continue
    found.push(match[1])
    if (found.length >= MAX_FIELDS) break
  }
  return found
}

/**
 * Fields as one running text. Where one was cut within a word the parts meet: when they make a known word together, or
 * neither is a word that is known; else a blank stands between them.
 */
export function joinedFields(fields: readonly string[]): string {
  const { known } = wordLists()
  let text = ''
  for (const field of fields) {
    const tail = /[a-z]{1,20}$/i.exec(text.slice(-24))?.[0].toLowerCase()
    const head = /^[a-z]{1,20}/.exec(field.slice(0, 24))?.[0].toLowerCase()
    const meets =
      tail !== undefined && head !== undefined && (known.has(tail + head) || LOOSE.has(tail + head))
    text += text === '' || meets ? field : ` ${field}`
  }
  return text
}

/** Words of instructions that carry no concept of their own. */
const LOOSE: ReadonlySet<string> = new Set(
  'the this that these them with which their about should would could will can are was been being account address attacker contents'.split(
    ' ',
  ),
)
