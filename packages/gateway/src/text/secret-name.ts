/** Words of which one alone makes a secret of a variable. */
const SECRET_WORDS = new Set(
  'password passwd pwd passphrase secret secrets token tokens apikey pat credential credentials'.split(' '),
)
/** What stands before `key` when the key is a secret one. */
const KEY_OWNERS = new Set(
  'api access private auth secret account master encryption signing license service'.split(' '),
)
/** Words at the end that say: not the secret itself, but where, what or how long. */
const ABOUT = new Set(
  'path file dir folder id ids name type ttl limit count max url uri endpoint issuer audience expiry lifetime parallelism enabled'.split(
    ' ',
  ),
)

/** Beginnings of tokens that services give out. */
const PREFIXES =
  /^(?:gh[pousr]_|github_pat_|glpat-|sk[-_]|rk_(?:live|test)_|xox[abeprs]-|hf_|npm_|pypi-|ey[IJ][\w-]+\.|hvs\.|SG\.|-----BEGIN )/

/** Whether a variable of this name holds a secret, as names go: `GITHUB_TOKEN`, `DB_PASSWORD`, `apiKey`. */
export function isSecretName(name: string): boolean {
  const words = name
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== '')
  if (ABOUT.has(words.at(-1) ?? '') || words.includes('public')) return false
  return words.some(
    (word, i) => SECRET_WORDS.has(word) || (word === 'key' && KEY_OWNERS.has(words[i - 1] ?? '')),
  )
}

/** Whether a value looks like a secret whatever its name: a service's token, a password in a URL, a long text of chance. */
export function isSecretValue(value: string): boolean {
  if (PREFIXES.test(value)) return true
  if (/^[a-z][a-z0-9+.-]*:\/\/[^/@\s]*:[^/@\s]+@/i.test(value)) return true
  if (value.length < 24 || value.length > 4_096 || !/^[\w+/=~.-]+$/.test(value)) return false
  // Paths, dotted names, identifiers and digests of one alphabet are long and no secrets.
  if (value.includes('/') && value.includes('.')) return false
  return /[a-z]/.test(value) && /[A-Z]/.test(value) && /\d/.test(value) && bitsPerSign(value) >= 3.8
}

/** Shannon entropy of the signs of a text. */
function bitsPerSign(text: string): number {
  const counts = new Map<string, number>()
  for (const sign of text) counts.set(sign, (counts.get(sign) ?? 0) + 1)
  let bits = 0
  for (const count of counts.values()) bits -= (count / text.length) * Math.log2(count / text.length)
  return bits
}
