import type { Finding } from '../finding.ts'
import { DIGITS, LETTERS, signs } from '../signs.ts'
import { bitsPerSign, isStandIn } from './entropy.ts'
import { formsAt } from './forms.ts'
import { type Named, whatIsNamed } from './names.ts'

/** Longest name and longest value that are looked at. */
const MAX_NAME = 64
const MAX_VALUE = 512
const MIN_VALUE = 8

const NAME = signs(`${LETTERS}${DIGITS}_.-`)
const LOOSE = signs(' \t"\'`\\?:|])')
/** Between a name and its value: quotes, the rest of `:=`, `=>`, `==`, `?=`, blanks. */
const BETWEEN = /[ \t"'`\\]{0,3}[:=>?|]{0,2}[ \t]{0,4}(["'`]|\\["'])?[ \t]*/y
const QUOTED = /[^"'`\r\n\\]{1,512}/y
const BARE = /[^\s"'`,;&)<>\]}\\]{1,512}/y
/** How credentials go into the header `Authorization` (RFC 9110 section 11.4). */
const SCHEME = /^(?:basic|bearer|token|api-?token|api-?key|apikey|bot|oauth|key|splunk)[ \t]+/i

/** The secret that is given to a name at an equals sign or a colon: `password: "..."`, `API_KEY=...`, `<add key="Token" value="..."/>`. */
export function assignedAt(text: string, at: number): Finding | undefined {
  const [from, to] = nameBefore(text, at)
  if (from === to) return undefined
  const name = text.slice(from, to)
  const named = whatIsNamed(name === 'value' ? attributeBefore(text.slice(Math.max(0, to - 80), to)) : name)
  if (named === undefined) return undefined
  BETWEEN.lastIndex = at
  const [between = '', quote] = BETWEEN.exec(text) ?? []
  let start = at + between.length
  const form = quote === undefined ? BARE : QUOTED
  form.lastIndex = start
  let [value = ''] = form.exec(text) ?? []
  // A header is not quoted, and its scheme parts it from its value by a blank.
  const scheme = SCHEME.exec(quote === undefined ? text.slice(start, start + 16) : value)?.[0]
  if (scheme !== undefined) {
    start += scheme.length
    form.lastIndex = start
    value = form.exec(text)?.[0] ?? ''
  }
  if (quote === undefined) value = value.replace(/[.&|]+$/, '')
  if (value.length > MAX_VALUE || !isSecret(value, named, quote !== undefined)) return undefined
  return {
    class: `secret.${named.kind}`,
    start,
    end: start + value.length,
    score: named.sort === 'issuer' ? 0.7 : 0.9,
  }
}

/** Where the name stands that ends before a sign, quotes and blanks between them. */
function nameBefore(text: string, at: number): [from: number, to: number] {
  let to = at
  while (to > 0 && at - to < 8 && LOOSE[text.charCodeAt(to - 1)] === 1) to--
  let from = to
  while (from > 0 && to - from < MAX_NAME && NAME[text.charCodeAt(from - 1)] === 1) from--
  return [from, to]
}

/** The name of an attribute `value` is in the attribute before it. */
function attributeBefore(before: string): string {
  return /(?:key|name)=["']([\w.:-]{1,48})["']\s{1,4}value$/i.exec(before)?.[1] ?? ''
}

/** Whether what stands behind a name is a secret, and not a stand-in, a reference, a word or an expression. */
function isSecret(value: string, { sort }: Named, quoted: boolean): boolean {
  if (value.length < (sort === 'password' ? 6 : MIN_VALUE) || isReference(value) || isStandIn(value))
    return false
  if (beginsAsAnother(value)) return false
  if (UUID.test(value) || PAIR.test(value)) return true
  if (sort === 'password') return isChosen(value, quoted)
  if (!/\d/.test(value) && !(value.length >= 24 && isScrambled(value))) return false
  if (!/[A-Za-z]/.test(value) || !/^[\w.~+/=%:!@#$^&*?-]+$/.test(value)) return false
  const bits = bitsPerSign(value)
  if (sort === 'issuer') return value.length >= 13 && bits >= 3 && isUnread(value)
  if (value.length < 10) return false
  return bits >= (value.length < 24 ? 2.7 : 3.2) && isUnread(value)
}

/** Begins as a token with a form of its own, and is none: a sample of one. */
function beginsAsAnother(value: string): boolean {
  return formsAt(value, 0).some(({ prefix }) => prefix.length >= 4 && value.startsWith(prefix))
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
/** Two short numbers in hexadecimal, as some package servers give them out. */
const PAIR = /^[0-9a-f]{8}:[0-9a-f]{8}$/i

/** Names of variables and templates, file paths, addresses, calls, other words of programs. */
export function isReference(value: string): boolean {
  return (
    /^[$%<{[(*]|\$\{|\$\(|\{\{|\$[A-Z_a-z]|%[sdv(]|<[^>]*>|^\[.*\]$|\(\)|^@|^env[.:(]|process\.env|os\.environ|getenv|^(?:true|false|null|none|nil|undefined|yes|no|string|number|boolean|integer|required|optional)$/i.test(
      value,
    ) ||
    /^(?:https?|file|ftp|wss?|ssh|git|data|arn|vault|awssm|awskms|exec|pkcs11|env|op|ref|keychain|secretref):/i.test(
      value,
    ) ||
    /^(?:\.{0,2}\/[\w.-]+)+\/?$|^[A-Za-z]:\\/.test(value) ||
    (/^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+\(?/.test(value) && !/\d[A-Za-z]\w*\d/.test(value))
  )
}

/** A password that a person chose: letters with digits or signs; without quotes it must not be a word of a program. */
function isChosen(value: string, quoted: boolean): boolean {
  if (COMMON.test(value) || /\s/.test(value)) return false
  const kinds = [/[a-z]/, /[A-Z]/, /\d/, /[^A-Za-z0-9]/].filter((kind) => kind.test(value)).length
  if (/^[A-Za-z]+$/.test(value))
    return quoted && value.length >= 12 && isMixed(value) && bitsPerSign(value) >= 3.3
  if (!quoted && /^[\w.]+$/.test(value) && !/\d/.test(value)) return false
  // Names with separators are names: `db-password-name`, `my_password_field`.
  if (/^[a-z]+(?:[-_. ][a-z]+)*$/i.test(value)) return false
  return kinds >= 2 && bitsPerSign(value) >= 2.2
}

const COMMON =
  /^(?:pass(?:word|wd|wort)?|secret|admin|root|user(?:name)?|test|guest|default|foo|bar|baz|x+|\*+|\.+|-+|not[a-z]*)\d{0,3}!?$/i

/** Letters that change between small and large as no word does. */
const isMixed = (value: string): boolean =>
  (value.match(/[a-z][A-Z]/g)?.length ?? 0) >= 3 || isScrambled(value)

/** The same as no name of a program does either. */
const isScrambled = (value: string): boolean =>
  (value.match(/[A-Z]{2}[a-z]|[a-z][A-Z]{2}/g)?.length ?? 0) >= 3

/** Whether a value is no name made of words and numbers: a part of it mixes letters and digits, or is long and hexadecimal. */
function isUnread(value: string): boolean {
  return value
    .split(/[-_.:/]/)
    .some(
      (part) =>
        (part.length >= 7 && (/[A-Za-z]\d+[A-Za-z]/.test(part) || /\d[A-Za-z]+\d/.test(part))) ||
        (part.length >= 10 && /\d/.test(part) && isMixed(part)) ||
        (part.length >= 16 && /\d/.test(part) && bitsPerSign(part) >= 3.3) ||
        (part.length >= 24 && isScrambled(part)),
    )
}
