/** A set of UTF-16 units below 128, to be asked for each unit of a text. */
export function signs(all: string): Uint8Array {
  const table = new Uint8Array(128)
  for (let i = 0; i < all.length; i++) table[all.charCodeAt(i)] = 1
  return table
}

export const LETTERS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'
export const DIGITS = '0123456789'
