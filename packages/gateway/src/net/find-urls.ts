import type { Json } from '../call/json.ts'
import { isReaching, judgeBareHost, judgeUrl, type UrlFacts } from './url-facts.ts'

/** Most URLs of one call that are judged. More is a fault, not a reason to look away. */
export const MAX_URLS = 64
/** Longest single URL in UTF-16 units. Longer ones are a fault: servers and proxies cut or refuse them. */
export const MAX_URL_LENGTH = 8_192
/** Longest scheme that is looked for in running text. */
const MAX_SCHEME = 32

/** The URLs of a call's arguments. With a `fault` the list is not complete: rules about URLs must not trust it. */
export interface FoundUrls {
  readonly urls: readonly UrlFacts[]
  /** Those of `urls` that may be names of somebody's own, such as `note://today`: of no scheme that is known, and not said to be URLs. */
  readonly identifiers: ReadonlySet<UrlFacts>
  /** `too_many`: over MAX_URLS. `unreadable`: a text that starts like a URL and that no parser accepts, or too long. */
  readonly fault: 'too_many' | 'unreadable' | undefined
}

/** Members whose text is a host even when it is one bare label. */
const HOST_MEMBERS = new Set(['host', 'hosts', 'hostname', 'hostnames', 'ip', 'ips', 'server', 'proxy'])
/** Members whose text is a URL or a host when it looks like one without a scheme. */
const URL_MEMBERS = new Set(
  'url urls uri uris href link links src endpoint endpoints domain domains origin webhook callback site'.split(
    ' ',
  ),
)
/** Schemes that WHATWG parses with a host whatever the number of slashes: `http:/h`, `https:h`, `http:\\h`. */
const SPECIAL = /^(?:https?|wss?|ftp):/i
const ABSOLUTE = /^[a-z][a-z0-9+.-]{0,31}:[/\\]{2}/i

/** A URL whose colon is percent-encoded, however often. */
const ENCODED = /^[\s\0]{0,64}[a-z][a-z0-9+.-]{0,31}%(?:25){0,64}3a/i

/**
 * Finds every URL in JSON of any depth: texts that are a URL, URLs inside text, hosts under members that name one
 * (`url`, `host`, `endpoint`, ...), and `//host`. Member names are not searched. Costs one pass over the text.
 */
export function findUrls(value: Json): FoundUrls {
  const search = new Search()
  search.walk(value, '')
  return { urls: search.urls, identifiers: search.identifiers, fault: search.fault }
}

class Search {
  readonly urls: UrlFacts[] = []
  readonly identifiers = new Set<UrlFacts>()
  fault: FoundUrls['fault']
  readonly #seen = new Set<string>()

  walk(value: Json, member: string): void {
    if (this.fault === 'too_many') return
    if (typeof value === 'string') this.#text(value, member)
    else if (Array.isArray(value)) for (const item of value) this.walk(item, member)
    else if (typeof value === 'object' && value !== null) {
      for (const [key, item] of Object.entries(value)) this.walk(item, key)
    }
  }

  #text(text: string, member: string): void {
    if (text === '') return
    // A tool may decode what was encoded whole: `http%3A%2F%2F169.254.169.254`, or that once more.
    if (ENCODED.test(text)) {
      const decoded = percentDecoded(text)
      if (decoded !== undefined) return this.walk(decoded, member)
    }
    // Most texts are neither: without a colon or a slash only the member's name can make a host of them.
    if (!/[:/\\]/.test(text)) {
      if (text.length <= MAX_URL_LENGTH && !/\s/.test(text)) this.#host(text, member)
      return
    }
    // A URL parser drops tabs and line breaks anywhere, and spaces and controls at the ends.
    // oxlint-disable-next-line no-control-regex
    const whole =
      text.length <= MAX_URL_LENGTH
        ? text
            .replaceAll(/[\t\n\r]/g, '')
            .replace(/^[\0- ]+/, '')
            .trimEnd()
        : ''
    const broken = /\s/.test(whole)
    if (SPECIAL.test(whole) || ABSOLUTE.test(whole)) {
      // Prose may begin with one; a member that holds a URL holds nothing else, and some programs drop the blanks.
      this.#judge(whole, !broken || namesUrl(member), member)
      if (whole === text && !broken) return
    } else if (/^[/\\]{2}[^\s/\\]/.test(whole) && !broken) this.#judge(`http:${whole}`, false, member)
    else if (whole !== '' && !broken && !whole.includes('://')) this.#host(whole, member)
    this.#inside(text, member)
  }

  /** URLs in running text, found from their colon backwards so that no text costs more than one pass. */
  #inside(text: string, member: string): void {
    for (let colon = text.indexOf(':'); colon !== -1; colon = text.indexOf(':', colon + 1)) {
      if (this.fault === 'too_many') return
      const next = text[colon + 1]
      if (next !== '/' && next !== '\\') continue
      let start = colon
      while (start > 0 && colon - start < MAX_SCHEME && isSchemeChar(text.charCodeAt(start - 1))) start--
      while (start < colon && !isLetter(text.charCodeAt(start))) start++
      if (start === colon) continue
      const prefix = text.slice(start, colon + 3)
      if (!SPECIAL.test(prefix) && !ABSOLUTE.test(prefix)) continue
      const raw = /^[^\s<>"'`{}|^]*/.exec(text.slice(start, start + MAX_URL_LENGTH + 1))?.[0] ?? ''
      // Prose writes of `http://` itself: without an authority there is nothing to reach.
      const body = raw.slice(colon + 1 - start).replace(/^[/\\]+/, '')
      if (/^[).,;:!?\]]*$/.test(body)) continue
      if (raw.length > MAX_URL_LENGTH) this.fault ??= 'unreadable'
      else this.#judge(raw.includes('[') ? raw : raw.replace(/[).,;:!?\]]+$/, ''), true, member)
      // A URL inside a URL is data of the first; to look again from there would cost a pass for each.
      colon = start + raw.length - 1
    }
  }

  #host(text: string, member: string): void {
    if (!namesUrl(member)) return
    const isHost = HOST_MEMBERS.has(lastWord(member))
    if (text.startsWith('/') || text.startsWith('?') || text.startsWith('#')) return
    const facts = judgeBareHost(text)
    const [first] = facts
    if (first === undefined) {
      // Only an unreadable host is suspicious; `link: "a title"` is not a URL at all.
      if (isHost && !/[\s@]/.test(text)) this.fault ??= 'unreadable'
      return
    }
    // `link: "overview"` is no host; a dotted name, an address in any base and localhost are.
    if (isHost || /[.:]/.test(first.hostname) || first.hostname === 'localhost') this.#add(text, facts)
  }

  #judge(raw: string, mustParse: boolean, member: string): void {
    const facts = judgeUrl(raw)
    if (facts.length === 0) {
      if (mustParse) this.fault ??= 'unreadable'
    } else {
      this.#add(raw, facts)
      // Members called `uri` hold the names of resources; one called `url` or `link` says that it is a place.
      if (namesUrl(member) && !/^uris?$/.test(lastWord(member))) return
      for (const one of facts) if (!isReaching(one.scheme)) this.identifiers.add(one)
    }
  }

  #add(raw: string, facts: readonly UrlFacts[]): void {
    if (this.#seen.has(raw)) return
    this.#seen.add(raw)
    if (this.urls.length + facts.length > MAX_URLS) this.fault = 'too_many'
    else this.urls.push(...facts)
  }
}

function namesUrl(member: string): boolean {
  const last = lastWord(member)
  return HOST_MEMBERS.has(last) || URL_MEMBERS.has(last)
}

/** `callbackUrl`, `callback_url`, `baseURL` -> `url`. */
function lastWord(member: string): string {
  const words = member
    .slice(0, 128)
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1 $2')
    .split(/[^A-Za-z0-9]+/)
  return (words.at(-1) ?? '').toLowerCase()
}

/** Percent signs that were encoded several times are taken for one level, so that a text costs one pass. */
function percentDecoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll(/%(?:25)+(?=[0-9a-f]{2})/gi, '%'))
  } catch {
    return undefined // no program decodes it
  }
}

function isLetter(code: number): boolean {
  return (code >= 97 && code <= 122) || (code >= 65 && code <= 90)
}

/** Letters, digits, `+`, `-` and `.` (RFC 3986 section 3.1). */
function isSchemeChar(code: number): boolean {
  return isLetter(code) || (code >= 48 && code <= 57) || code === 43 || code === 45 || code === 46
}
