import { join } from 'node:path'
import { loadSigningKey } from './adapters/file/signing-key.ts'
import { type RunningSecrets, createSecrets } from './adapters/secrets/index.ts'
import { openTokenSigner } from './adapters/secrets/token-signer.ts'
import { CommandFailed } from './cli/output.ts'
import type { GatewayConfig } from './config/declaration.ts'
import { parseReference } from './ports/secret-reference.ts'
import type { OwnKeyPlace, Signer } from './ports/signer.ts'

/**
 * Milliseconds for one signature in a token. The log waits for its checkpoint, and after this no call that changes something gets its
 * record (SECURITY.md 1.1: two seconds).
 */
const SIGN_MS = 2_000

/** A key of the gate, with a life. */
export interface OwnKey {
  readonly signer: Signer
  /** Tells from now on when it stops signing, why, and (undefined) when it signs again. */
  onChange(listener: (problem: string | undefined) => void): void
  close(): Promise<void>
}

/** The key that signs checkpoints of the log. @throws CommandFailed when its token does not sign */
export async function openEvidenceKey({ state, folder, evidence }: GatewayConfig): Promise<OwnKey> {
  // It asks for itself: callers whose tokens are exchanged must not hold up the log.
  const secrets = createSecrets({ folder, programMs: SIGN_MS })
  let tell: (problem: string | undefined) => void = () => undefined
  const place = {
    file: join(state, 'keys', 'evidence.key'),
    token: evidence.signingKey,
    alg: 'EdDSA' as const,
  }
  return {
    signer: await openKey(secrets, 'evidence.signingKey', place, (problem) => tell(problem)),
    onChange: (listener) => void (tell = listener),
    close: () => secrets.close(),
  }
}

/** The key that signs what the gate asserts. @throws CommandFailed when its token does not sign */
export function openAssertionKey(
  { state, assertion }: GatewayConfig,
  secrets: RunningSecrets,
): Promise<Signer> {
  // A JWT is soon longer than what pkcs11-tool signs by EdDSA.
  const place = { file: join(state, 'keys', 'assertion.key'), token: assertion.key, alg: 'ES256' as const }
  return openKey(secrets, 'assertion.key', place)
}

async function openKey(
  secrets: RunningSecrets,
  configured: string,
  { file, token, alg }: OwnKeyPlace,
  onChange?: (problem: string | undefined) => void,
): Promise<Signer> {
  if (token === undefined) return loadSigningKey(file)
  const reference = parseReference(token, { strict: false })
  if ('problem' in reference || reference.kind !== 'pkcs11')
    throw new TypeError(`\`${configured}\` is no key in a token`)
  try {
    return await openTokenSigner(secrets, reference, alg, onChange)
  } catch (cause) {
    await secrets.close()
    throw new CommandFailed(
      `\`${configured}\` does not sign: ${cause instanceof Error ? cause.message : 'no reason given'}`,
      { fix: 'make the token sign again; without its key the gate does not start', cause },
    )
  }
}
