import { randomFillSync } from 'node:crypto'

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const pool = Buffer.alloc(4096)
let at = pool.length

/**
 * A new call id: 26 characters of Crockford base 32, the first 10 from the clock, 16 random (80 bits).
 * It sorts by time, is the evidence id of the call and what `callgate explain` takes. It is a name, never a credential.
 */
export function newCallId(now: number): string {
  let id = ''
  let time = now
  for (let i = 0; i < 10; i++) {
    id = ALPHABET.charAt(time % 32) + id
    time = Math.floor(time / 32)
  }
  if (at + 16 > pool.length) {
    randomFillSync(pool)
    at = 0
  }
  for (let i = 0; i < 16; i++) id += ALPHABET.charAt(pool.readUInt8(at++) & 31)
  return id
}

/** Whether a text has the form of a call id. */
export function isCallId(text: string): boolean {
  return /^[0-9A-HJKMNP-TV-Z]{26}$/.test(text)
}
