import { createHash } from 'node:crypto'
import type { Pkcs11Reference } from '../../ports/secret-reference.ts'
import { SecretUnavailable } from '../../ports/secrets.ts'
import { readFileSecret } from './file.ts'
import { runProgram } from './program.ts'
import type { SourceWorld } from './source.ts'
import { MAX_SECRET_BYTES, exactText } from './text.ts'

/** The variable by which pkcs11-tool gets the PIN: every user of the machine can read an argument. */
const PIN = 'CALLGATE_PKCS11_PIN'

/** How pkcs11-tool complains, and what that means. Recognised, never quoted. */
const COMPLAINTS: readonly (readonly [RegExp, 'down' | 'refused', string])[] = [
  [/object not found/, 'refused', 'the token holds no data object of this name'],
  [/No slot with token named/, 'refused', 'no slot holds a token of this name'],
  [/Failed to load pkcs11 module/i, 'refused', 'the library of `module-path` cannot be loaded'],
]

/** Reads data objects of PKCS #11 tokens through OpenSC's pkcs11-tool: no foreign library is loaded into the gate. */
export class Pkcs11Source {
  /** PINs that a token refused, hashed: a token locks itself after a few, so none is tried twice. */
  readonly #refused = new Set<string>()

  /** @throws SecretUnavailable */
  async read(reference: Pkcs11Reference, world: SourceWorld): Promise<string> {
    const { label, module, token, object } = reference
    const pin = await readFileSecret(reference.pin, world.folder)
    if (pin.includes('\0')) {
      throw new SecretUnavailable('refused', `\`${reference.pin.label}\` is no PIN: it holds a NUL`)
    }
    const tried = createHash('sha256')
      .update(JSON.stringify([module, token, pin]))
      .digest('base64')
    if (this.#refused.has(tried)) {
      throw new SecretUnavailable(
        'refused',
        `\`${label}\` refused the PIN of \`${reference.pin.label}\` before, and it is not tried again lest the token locks; put the right one there`,
      )
    }
    const { code, stdout, stderr } = await runProgram({
      label,
      program: 'pkcs11-tool',
      // `--name=value` in one argument: no value can be read as an option.
      args: [
        `--module=${module}`,
        `--token-label=${token}`,
        '--login',
        `--pin=env:${PIN}`,
        '--read-object',
        '--type=data',
        `--label=${object}`,
      ],
      folder: world.folder,
      environment: world.environment,
      own: { [PIN]: pin },
      deadlineMs: world.programMs,
      maxBytes: MAX_SECRET_BYTES,
      signal: world.closing,
    })
    if (code === 0) return exactText(label, stdout)
    if (/CKR_PIN_(?:INCORRECT|LOCKED|EXPIRED|LEN_RANGE|INVALID)/.test(stderr)) {
      this.#refused.add(tried)
      throw new SecretUnavailable('refused', `\`${label}\` refused the PIN of \`${reference.pin.label}\``)
    }
    const [, kind = 'down', what = 'run it by hand to see why'] =
      COMPLAINTS.find(([sign]) => sign.test(stderr)) ?? []
    throw new SecretUnavailable(
      kind,
      `\`${label}\`: pkcs11-tool exited with code ${code ?? 'unknown'}; ${what}`,
    )
  }
}
