import type { Finding } from '../finding.ts'
import { assignedAt, isReference } from './assigned.ts'
import { type Units, unitsOf } from '../units.ts'
import { tokensIn } from './tokens.ts'

/**
 * Finds credentials: by their own form, by the name that they are given to, in URLs, in commands and as private keys.
 * Linear: what is searched for by one sign is found by the engine, and every look is bounded.
 * @returns findings in the order of the text, none over another
 */
export function secretsIn(text: string, units: Units = unitsOf(text)): Finding[] {
  const found = tokensIn(text, units)
  for (const sign of ['=', ':'])
    for (let at = text.indexOf(sign); at >= 0; at = text.indexOf(sign, at + 1)) {
      const one = mayAssign(text, at) ? assignedAt(text, at) : undefined
      if (one !== undefined) found.push(one)
    }
  each(text, '-----BEGIN', privateKeyAt, found)
  each(text, '://', userAt, found)
  each(text, '-u', curlAt, found)
  for (const begin of ['AKC', 'AP']) each(text, begin, artifactoryAt, found)
  return apart(found)
}

function each(
  text: string,
  mark: string,
  look: (text: string, at: number) => Finding | undefined,
  found: Finding[],
): void {
  for (let at = text.indexOf(mark); at >= 0;) {
    const one = look(text, at)
    if (one !== undefined) found.push(one)
    at = text.indexOf(mark, one?.end ?? at + mark.length)
  }
}

/** A cheap look before the dear one: a name that ends in a letter, or in a few digits behind one, and something long enough behind it. */
function mayAssign(text: string, at: number): boolean {
  let name = at - 1
  // Quotes, blanks and the signs of `:=`, `?=` and `['name']`.
  while (name > at - 5 && !isLetter(text.charCodeAt(name)) && !isDigit(text.charCodeAt(name))) name--
  for (let i = 0; i < 3 && isDigit(text.charCodeAt(name)); i++) name--
  if (!isLetter(text.charCodeAt(name))) return false
  let length = 0
  for (let i = at + 1; i < at + 26 && length < 6; i++) {
    const code = text.charCodeAt(i)
    if (code > 0x20 && code !== 0x22 && code !== 0x27 && code !== 0x3d && code !== 0x3a) length++
    else if (code === 0x0a || Number.isNaN(code)) return false
    else if (length > 0) return SCHEME_END.test(text.slice(at, i))
  }
  return length >= 6
}

/** What stands before the secret of a header. */
const SCHEME_END = /(?:basic|bot|key)$/i

const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39
const isLetter = (code: number): boolean => (code | 0x20) >= 0x61 && (code | 0x20) <= 0x7a

const ARTIFACTORY =
  /(?:AKC[A-Za-z0-9]{10,40}|AP[0-9A-F](?=[A-Z]{0,40}[a-z0-9])[A-Za-z0-9]{8,40})(?![A-Za-z0-9])/y

/** A key or an encrypted password of Artifactory, which may be too short to be a run; it stands alone. */
function artifactoryAt(text: string, at: number): Finding | undefined {
  if (/[A-Za-z0-9_/.-]/.test(text[at - 1] ?? '')) return undefined
  ARTIFACTORY.lastIndex = at
  return ARTIFACTORY.test(text)
    ? { class: 'secret.artifactory', start: at, end: ARTIFACTORY.lastIndex, score: 0.8 }
    : undefined
}

const MAX_KEY = 16_384
const BEGIN = /-----BEGIN[ A-Z0-9]{0,40}PRIVATE KEY(?: BLOCK)?-----/y

/** A private key in PEM (RFC 7468), with its end where that is near. */
function privateKeyAt(text: string, at: number): Finding | undefined {
  BEGIN.lastIndex = at
  if (!BEGIN.test(text)) return undefined
  const body = text.slice(BEGIN.lastIndex, BEGIN.lastIndex + MAX_KEY)
  const close = body.indexOf('-----END')
  const inner = close < 0 ? body : body.slice(0, close)
  if ((/^[A-Za-z0-9+/=\s\\nr":,.()-]{40,}/.exec(inner)?.[0] ?? '').replaceAll(/\s|\\[nr]/g, '').length < 40)
    return undefined
  const tail =
    close < 0 ? 0 : (/^-----END[ A-Z0-9]{0,40}-----/.exec(body.slice(close, close + 64))?.[0].length ?? 8)
  const end = BEGIN.lastIndex + (close < 0 ? inner.length : close + tail)
  return { class: 'secret.private_key', start: at, end, score: 1 }
}

const USER = /:\/\/([^\s/?#:@"'`<>]{0,128}):([^\s/?#@"'`<>]{3,256})@[A-Za-z0-9[]/y

/** The password in a URL (RFC 3986 section 3.2.1). */
function userAt(text: string, at: number): Finding | undefined {
  USER.lastIndex = at
  const [, user = '', password = ''] = USER.exec(text) ?? []
  if (password === '' || isReference(password) || isReference(user) || /^[*x.]+$|^\d{1,5}$/i.test(password))
    return undefined
  const start = at + 4 + user.length
  return { class: 'secret.url_password', start, end: start + password.length, score: 0.9 }
}

const GIVEN =
  /-u(?:ser)?(?:=|[ \t]{1,4})((?:"[^"\n]{0,160}"|'[^'\n]{0,160}'|[^\s"']{1,160}):?(?:"[^"\n]{0,160}"|'[^'\n]{0,160}')?)/y

/** The credentials that a command line gives to curl. */
function curlAt(text: string, at: number): Finding | undefined {
  if (!/[\s-]/.test(text[at - 1] ?? '')) return undefined
  GIVEN.lastIndex = at
  const [, given = ''] = GIVEN.exec(text) ?? []
  const bare = given.replaceAll(/^["']|["']$|(?<=:)["']|["'](?=:)/g, '')
  const colon = bare.indexOf(':')
  const password = bare.slice(colon + 1)
  if (colon < 0 || password.length < 3 || !/\bcurl\b/.test(text.slice(Math.max(0, at - 600), at)))
    return undefined
  if (isReference(password.replace(/^\{/, '')) || isReference(bare.replace(/^\{/, ''))) return undefined
  if (/^(?:pass(?:word|wd)?|secret|user|test)$/i.test(password) || !/[\d\W]/.test(password)) return undefined
  return { class: 'secret.curl', start: GIVEN.lastIndex - given.length, end: GIVEN.lastIndex, score: 0.9 }
}

/** Of findings that overlap the surer one, and of equals the longer. */
function apart(found: Finding[]): Finding[] {
  if (found.length < 2) return found
  const kept: Finding[] = []
  for (const one of found.toSorted((a, b) => a.start - b.start || b.end - a.end)) {
    const last = kept.at(-1)
    if (last === undefined || one.start >= last.end) kept.push(one)
    else if (one.score > last.score) kept[kept.length - 1] = one
  }
  return kept
}
