import { z } from 'zod'
import { addressOf, isCidr, isLoopbackHost, isPrivateRange } from '../net/range.ts'
import { isTokenKey } from '../ports/secret-reference.ts'

// zod would otherwise probe for code generation, which this process forbids.
z.config({ jitless: true })

/** Marks an issue whose message says all, so that no value and no expectation is put around it. */
export const WHOLE = { whole: true } as const

/** A text with a form of its own, at most 4096 characters; the words for it stand in messages, on the page and in the schema. */
export function text(form: string, holds: (value: string) => boolean): z.ZodString {
  return z.string().max(4096).refine(holds, form).meta({ title: form })
}

/** A text that a pattern describes. */
export function word(form: string, pattern: RegExp): z.ZodString {
  return z.string().regex(pattern, form).meta({ title: form })
}

/** A grant of a token. */
export const grant = word('a grant without `*`', /^[\x21\x23-\x29\x2b-\x5b\x5d-\x7e]{1,256}$/)

/** A key that never leaves its token. */
export const tokenKey = text(
  'a private key that signs in its token, such as `pkcs11:token=T;id=%01;type=private?...`; see docs/keys-in-an-hsm.md',
  isTokenKey,
)

/** A path of this machine, relative to the folder of the file. */
export const path = text('a path', (value) => value !== '' && !value.includes('\0'))

/** A range of addresses. */
export const cidr = text('a range such as `10.0.0.0/8` or `fd00::/8`', isCidr)

/** A range that an operator may call his own: no range of the internet, and none that holds metadata services alone. */
export const ownCidr = text(
  'a range within 10/8, 172.16/12, 192.168/16, 100.64/10, 127/8, ::1 or fc00::/7',
  (value) => isCidr(value) && isPrivateRange(value),
)

/** Whether a key source is a URL rather than a file path. */
export function isUrl(value: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(value)
}

/** An https URL, or plain http on loopback, without user, password and fragment. */
export function isServerUrl(value: string): boolean {
  const url = parsed(value)
  return (
    url !== undefined && isSafeTransport(url) && url.username === '' && url.password === '' && url.hash === ''
  )
}

/** A file path, or a URL as `isServerUrl` has it. */
export function isKeySource(value: string): boolean {
  return isUrl(value) ? isServerUrl(value) : value !== '' && !value.includes('\0')
}

/** An origin that hosts can reach: https, or plain http on loopback. */
export function isPublicUrl(value: string): boolean {
  const url = parsed(value)
  return url !== undefined && isSafeTransport(url) && url.origin === value
}

/** An address or a name that can be listened on. */
export function isListenHost(value: string): boolean {
  return addressOf(value) !== undefined || /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/i.test(value)
}

/** A URI that names somebody in a certificate: whole, without a wildcard. */
export function isNameUri(value: string): boolean {
  return /^[a-z][a-z0-9+.-]*:[\x21-\x29\x2b-\x7e]+$/i.test(value)
}

/** A web origin in the form that browsers send; `null` is none. */
export function isOrigin(value: string): boolean {
  const url = parsed(value)
  return url !== undefined && url.origin === value && /^https?:$/.test(url.protocol)
}

function parsed(value: string): URL | undefined {
  return URL.canParse(value) ? new URL(value) : undefined
}

/** https anywhere, plain http on loopback only (playbook Play 2). */
function isSafeTransport(url: URL): boolean {
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopbackHost(url.hostname))
}

/** A time in milliseconds with a default and bounds. */
export function duration(defaultMs: number, atLeast: number, atMost: number): z.ZodDefault<z.ZodInt> {
  return z.int().min(atLeast).max(atMost).default(defaultMs)
}
