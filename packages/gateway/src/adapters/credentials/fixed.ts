import { labelOf } from '../../ports/secret-reference.ts'
import { NotObtained } from './fault.ts'
import type { Source } from './kept.ts'
import { isCredentialHeader } from '../../ports/credentials.ts'
import { SHOWABLE } from './options.ts'
import type { BearerSecret, HeaderSecret, ReadSecret } from './options.ts'

/** How long headers are used before the secret is asked for again, in milliseconds; how long that lives is kept where it is read. */
const KEEP_MS = 5_000

/**
 * A secret that somebody put down for the gate, the same for all callers.
 * @throws TypeError for a header that must not carry one
 */
export function fixedSource(
  server: string,
  config: BearerSecret | HeaderSecret,
  readSecret: ReadSecret,
): Source {
  const name = config.type === 'bearer' ? 'authorization' : config.name
  if (!isCredentialHeader(name)) {
    throw new TypeError(
      `\`servers.${server}.credentials.name\` is \`${name}\`, which HTTP or MCP needs for something else; name a header of the server's own, as \`X-Api-Key\``,
    )
  }
  return {
    keyOf: () => '',
    async obtain(_principal, _signal, fresh) {
      const secret = await revealSecret(server, config.secret, readSecret, fresh)
      if (!SHOWABLE.test(secret)) {
        throw new NotObtained(
          'everyone',
          `secret \`${labelOf(config.secret)}\` of server \`${server}\` is empty, longer than 8192 characters, or holds a space, a line break or a character beyond ASCII`,
        )
      }
      return { headers: [name, config.type === 'bearer' ? `Bearer ${secret}` : secret], keepMs: KEEP_MS }
    },
    close: () => Promise.resolve(),
  }
}

/** Reads a secret. @throws NotObtained that names its reference */
export async function revealSecret(
  server: string,
  reference: string,
  readSecret: ReadSecret,
  fresh: boolean,
): Promise<string> {
  try {
    return (await readSecret(reference, fresh)).reveal()
  } catch (cause) {
    throw new NotObtained(
      'everyone',
      `secret \`${labelOf(reference)}\` of server \`${server}\` cannot be read`,
      {
        cause,
      },
    )
  }
}
