/** Variables of the gate that a child may see. Everything else (keys, tokens, NODE_OPTIONS, LD_PRELOAD) stays out. */
const PASSED = ['PATH', 'HOME', 'LANG', 'TMPDIR'] as const

/**
 * The environment of a child process: the passed variables, then those of the configuration.
 * Source: SECURITY.md 3.1 #13; a server that prints its environment must have nothing to tell.
 */
export function childEnvironment(
  own: Readonly<Record<string, string | undefined>>,
  configured: Readonly<Record<string, string>>,
): Record<string, string> {
  const env: Record<string, string> = {}
  for (const name of PASSED) {
    const value = own[name]
    if (value !== undefined) env[name] = value
  }
  return { ...env, ...configured }
}
