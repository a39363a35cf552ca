import type { Finding } from '../finding.ts'
import { bitsPerSign, isStandIn } from './entropy.ts'
import { formsAt } from './forms.ts'
import { runsIn } from '../runs.ts'
import { DIGITS, LETTERS, signs } from '../signs.ts'
import type { Units } from '../units.ts'

/** Signs of which tokens are made, and those that stand between their parts. */
const TOKEN = signs(`${LETTERS}${DIGITS}_-.~+/=%`)
const LETTER_OR_DIGIT = signs(`${LETTERS}${DIGITS}`)

/** Shortest token that is known by itself. */
const MIN_TOKEN = 20
/** Longest run that is looked into at once. */
const MAX_RUN = 16_384

/** Credentials with a form of their own, wherever they stand. */
export function tokensIn(text: string, units: Units): Finding[] {
  const found: Finding[] = []
  for (const { start, end } of runsIn(units, TOKEN, MIN_TOKEN, MAX_RUN)) inRun(text, start, end, found)
  return found
}

function inRun(text: string, start: number, end: number, found: Finding[]): void {
  const azure = azureIn(text, start, end)
  if (azure !== undefined) return void found.push(azure)
  for (let at = start; at < end - 3; at++) {
    // A token begins where a word does.
    const code = text.charCodeAt(at)
    if (code < 128 && LETTER_OR_DIGIT[code] !== 1) continue
    const one =
      formedAt(text, at) ??
      (text.charCodeAt(at) === 101 ? jwtAt(text, at) : undefined) ??
      ownAt(text, at, end)
    if (one !== undefined) {
      found.push(one)
      at = one.end - 1
      continue
    }
    while (at < end && LETTER_OR_DIGIT[text.charCodeAt(at)] === 1) at++
  }
}

function formedAt(text: string, at: number): Finding | undefined {
  for (const { kind, prefix, rest, bits = 3 } of formsAt(text, at)) {
    if (!text.startsWith(prefix, at)) continue
    rest.lastIndex = at + prefix.length
    if (!rest.test(text)) continue
    const end = rest.lastIndex
    const body = text.slice(at + prefix.length, end)
    if (bitsPerSign(body) < bits) continue
    if (kind === 'aws' && body.length <= 17 && isStandIn(body)) continue
    // Made to stand in web pages: a secret only where it is given to something.
    if (prefix === 'AIza' && (isStandIn(body) || !GIVEN.test(text.slice(Math.max(0, at - 16), at)))) continue
    if (FILE.test(text.slice(end, end + 6))) continue
    return { class: `secret.${kind}`, start: at, end, score: 1 }
  }
  return undefined
}

const GIVEN = /[\w\])][ \t"'`]{0,3}(?:[:=]|=>|:=)[ \t"'`]{0,3}$/
/** The end of a file's name: what stands before it is a part of that. */
const FILE = /^\.(?:png|jpe?g|gif|svg|ico|webp|css|m?js|ts|html?|map|json|woff2?|pdf|zip|gz)\b/

const JWT = /eyJ[A-Za-z0-9_-]{8,4096}\.e[yw][A-Za-z0-9_/\\-]{8,16384}(?:\.[A-Za-z0-9_/\\-]{0,2048}={0,2})?/y
const JWE = /eyJ[A-Za-z0-9_-]{8,4096}(?:\.[A-Za-z0-9_-]{0,8192}){4}/y

/** A JSON Web Token (RFC 7519) whose header begins as one; in base64 once more it begins with `ZXlK`. */
function jwtAt(text: string, at: number): Finding | undefined {
  if (!text.startsWith('eyJ', at)) return undefined
  for (const form of [JWE, JWT]) {
    form.lastIndex = at
    if (form.test(text) && isHeader(text.slice(at, text.indexOf('.', at))))
      return { class: 'secret.jwt', start: at, end: form.lastIndex, score: 1 }
  }
  return undefined
}

/** Whether a part decodes to the beginning of a JSON object whose first member is one of a header. */
function isHeader(part: string): boolean {
  const json = Buffer.from(part, 'base64url').toString('latin1')
  // The header of a sample may hold what is no JSON in its middle; one that was cut has no end.
  return (
    part.length % 4 !== 1 &&
    /^\{\s*"(?:alg|typ|kid|enc|cty|jku|jwk|x5[ctu]|zip|crit|[a-z]{2,12})"\s*:/.test(json) &&
    /\}\s*$/.test(json)
  )
}

/** Forms that are known by what stands in their middle, or behind them. */
const OWN: readonly (readonly [kind: string, begin: RegExp, form: RegExp])[] = [
  [
    'terraform',
    /[A-Za-z0-9]{14}\.atlasv1\./y,
    /[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,70}(?![A-Za-z0-9])/y,
  ],
  ['mailchimp', /[0-9a-f]{32}-us/y, /[0-9a-f]{32}-us\d{1,2}(?!\w)/y],
  ['discord', /[A-Za-z][\w-]{23,25}\.[\w-]{6}\./y, /[A-Za-z][\w-]{23,25}\.[\w-]{6}\.[\w-]{27,38}(?![\w-])/y],
  ['maxmind', /[A-Za-z0-9]{6}_/y, /[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk(?!\w)/y],
  [
    'microsoft',
    /[a-z0-9]{1,60}\.webhook\.office\.com\//y,
    /[a-z0-9]{1,60}\.webhook\.office\.com\/webhookb2\/[A-Za-z0-9@/-]{60,250}/y,
  ],
  ['jwt', /ZXlK[A-Za-z0-9]{2}/y, /ZXlK[A-Za-z0-9+/_-]{60,8192}={0,2}/y],
  [
    'discord',
    /discord(?:app)?\.com\/api\/webhooks/y,
    /discord(?:app)?\.com\/api\/webhooks\/\d{15,20}\/[\w-]{50,80}/y,
  ],
]

/** A bot's number, a colon and its token. */
function telegramAt(text: string, at: number): Finding | undefined {
  const [number] = /(?<!\d)\d{5,16}(?=:$)/.exec(text.slice(Math.max(0, at - 18), at)) ?? []
  if (number === undefined || !/^A[\w-]{34}(?![\w-])/.test(text.slice(at, at + 36))) return undefined
  return { class: 'secret.telegram', start: at - 1 - number.length, end: at + 35, score: 1 }
}

/** An app's number, a bar and its token. */
function facebookAt(text: string, at: number): Finding | undefined {
  const [number] = /(?<!\d)\d{15,16}(?=[|%]$)/.exec(text.slice(Math.max(0, at - 18), at)) ?? []
  const [token] = /^[\w-]{27,40}(?![\w-])/.exec(text.slice(at, at + 41)) ?? []
  if (number === undefined || token === undefined || bitsPerSign(token) < 3) return undefined
  return { class: 'secret.facebook', start: at - 1 - number.length, end: at + token.length, score: 1 }
}

const AZURE = /[A-Za-z0-9_~.]{3}\dQ~[A-Za-z0-9_~.-]{31,34}(?![A-Za-z0-9_~-])/y

/** A client secret of Entra, which may begin with a sign that no word begins with. */
function azureIn(text: string, start: number, end: number): Finding | undefined {
  if (end - start > 128) return undefined
  const mark = text.slice(start, end).indexOf('Q~')
  if (mark < 4) return undefined
  AZURE.lastIndex = start + mark - 4
  if (!AZURE.test(text) || bitsPerSign(text.slice(start + mark - 4, AZURE.lastIndex)) < 3.5) return undefined
  return { class: 'secret.azure', start: start + mark - 4, end: AZURE.lastIndex, score: 1 }
}

function ownAt(text: string, at: number, end: number): Finding | undefined {
  if (text[at - 1] === ':' && text[at] === 'A') return telegramAt(text, at)
  if (text[at - 1] === '|' || text[at - 1] === '%') return facebookAt(text, at)
  // Most words in a run are shorter than any of these.
  if (end - at < MIN_TOKEN) return undefined
  for (const [kind, begin, form] of OWN) {
    begin.lastIndex = at
    if (!begin.test(text)) continue
    form.lastIndex = at
    if (form.test(text) && bitsPerSign(text.slice(at, form.lastIndex)) >= 3)
      return { class: `secret.${kind}`, start: at, end: form.lastIndex, score: 1 }
  }
  return undefined
}
