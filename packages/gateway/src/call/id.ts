import { randomFillSync } from 'node:crypto'

const ALPHABET = Buffer.from('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 'latin1')
const TIME = 10
const pool = Buffer.alloc(4096)
let at = pool.length
const text = Buffer.alloc(26)

/**
 * A new call id: 26 characters of Crockford base 32, the first 10 from the clock, 16 random (80 bits).
 * It sorts by time, is the evidence id of the call and what `callgate explain` takes. It is a name, never a credential.
 */
export function newCallId(now: number): string {
  let time = now
  for (let i = TIME - 1; i >= 0; i--) {
    text[i] = ALPHABET[time % 32] ?? 0
    time = Math.floor(time / 32)
  }
  if (at + text.length - TIME > pool.length) {
    randomFillSync(pool)
    at = 0
  }
  for (let i = TIME; i < text.length; i++) text[i] = ALPHABET[(pool[at++] ?? 0) & 31] ?? 0
  return text.toString('latin1')
}

/** Whether a text has the form of a call id. */
export function isCallId(text: string): boolean {
  return /^[0-9A-HJKMNP-TV-Z]{26}$/.test(text)
}
