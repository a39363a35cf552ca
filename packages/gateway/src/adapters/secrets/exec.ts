import type { ExecReference } from '../../ports/secret-reference.ts'
import { SecretUnavailable } from '../../ports/secrets.ts'
import { runProgram } from './program.ts'
import type { SourceWorld } from './source.ts'
import { MAX_SECRET_BYTES, secretText } from './text.ts'

/**
 * Reads a secret from what a program writes to stdout. Its stderr is the operator's to see elsewhere: it is not quoted.
 * @throws SecretUnavailable when it fails, lasts too long, or writes nothing usable
 */
export async function readExecSecret(reference: ExecReference, world: SourceWorld): Promise<string> {
  const { label, program, args } = reference
  const { code, signal, stdout } = await runProgram({
    label,
    program,
    args,
    folder: world.folder,
    environment: world.environment,
    deadlineMs: world.programMs,
    maxBytes: MAX_SECRET_BYTES + 2,
    signal: world.closing,
  })
  if (code !== 0) {
    const how = signal === undefined ? `exited with code ${code ?? 'unknown'}` : `was ended by ${signal}`
    // A program cannot say why it failed: its network may be down as well as its right be gone.
    throw new SecretUnavailable('down', `\`${label}\` ${how}; run it by hand to see why`)
  }
  return secretText(label, stdout)
}
