import { wordLists } from './words.ts'

/** The texts inside a JSON document, in order, member names left out; none when the text is no JSON. One pass, by its quotes. */
export function jsonTexts(text: string): string[] {
  if (!/^\s{0,64}[[{]/.test(text)) return []
  const found: string[] = []
  let open = -1
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit === 92 && open >= 0) i++
    if (unit !== 34) continue
    if (open < 0) {
      open = i
      continue
    }
    let next = i + 1
    while (next < i + 64 && /\s/.test(text[next] ?? '')) next++
    if (text[next] !== ':') found.push(text.slice(open + 1, i))
    open = -1
  }
  return found
}

/**
 * Fields as one running text. Where one was cut within a word the parts meet, when they make a known word together; else a
 * blank stands between them.
 */
export function joinedFields(fields: readonly string[]): string {
  const { known } = wordLists()
  const parts: string[] = []
  let tail: string | undefined
  for (const field of fields) {
    const head = /^[a-z]{1,20}/i.exec(field.slice(0, 20))?.[0].toLowerCase()
    const word = tail === undefined || head === undefined ? '' : tail + head
    const meets = known.has(word) || LOOSE.has(word)
    if (!meets && parts.length > 0) parts.push(' ')
    parts.push(field)
    const last = /[a-z]{1,20}$/i.exec(field.slice(-20))?.[0].toLowerCase()
    // A field of letters only goes on with the word that it went on with.
    tail = meets && last !== undefined && last.length === field.length ? (tail ?? '') + last : last
  }
  return parts.join('')
}

/** Words of instructions that carry no concept of their own. */
const LOOSE: ReadonlySet<string> = new Set(
  'the this that these them with which their about should would could will can are was been being account address attacker contents'.split(
    ' ',
  ),
)
