/** Longest piece of a foreign value that a refusal repeats, in characters. */
const MAX_SHOWN = 100

/**
 * A value from a token as the internal text of a refusal may show it: cut, printable ASCII, in backticks.
 * The values are a stranger's until the signature holds, and logs are read on terminals (log injection, CWE-117).
 * Never give it a `jti`, a signature or a whole part of a token.
 */
export function shown(value: string | number | readonly string[]): string {
  const text = typeof value === 'object' ? value.join(', ') : String(value)
  const cut = text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}...` : text
  return `\`${cut.replace(/[^\x20-\x7e]|`/g, '?')}\``
}
