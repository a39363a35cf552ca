import { createHash } from 'node:crypto'
import type { Pkcs11Reference } from '../../ports/secret-reference.ts'
import { SecretUnavailable, type TokenAlgorithm } from '../../ports/secrets.ts'
import { readFileSecret } from './file.ts'
import { runProgram } from './program.ts'
import type { SourceWorld } from './source.ts'
import { MAX_SECRET_BYTES, exactText } from './text.ts'

/** The variable by which pkcs11-tool gets the PIN: every user of the machine can read an argument. */
const PIN = 'CALLGATE_PKCS11_PIN'

/** How pkcs11-tool complains, and what that means. Recognised, never quoted. */
const COMPLAINTS: readonly (readonly [RegExp, 'down' | 'refused', string])[] = [
  [/object not found/, 'refused', 'the token holds no data object of this name'],
  [/Private key not found/i, 'refused', 'the token holds no private key of this id'],
  [
    /CKR_(?:KEY_TYPE_INCONSISTENT|MECHANISM_INVALID|KEY_FUNCTION_NOT_PERMITTED)|mechanism not supported/i,
    'refused',
    'its key cannot sign by this algorithm',
  ],
  [/No slot with token named/, 'refused', 'no slot holds a token of this name'],
  [/Failed to load pkcs11 module/i, 'refused', 'the library of `module-path` cannot be loaded'],
]

/** How pkcs11-tool is told to sign, and what it is given: tokens that hash by themselves are rare for ECDSA. */
const MECHANISMS: Readonly<
  Record<TokenAlgorithm, { readonly args: readonly string[]; readonly hash?: string }>
> = {
  ES256: { args: ['--mechanism=ECDSA', '--signature-format=rs'], hash: 'sha256' },
  ES384: { args: ['--mechanism=ECDSA', '--signature-format=rs'], hash: 'sha384' },
  EdDSA: { args: ['--mechanism=EDDSA'] },
  Ed25519: { args: ['--mechanism=EDDSA'] },
  RS256: { args: ['--mechanism=SHA256-RSA-PKCS'] },
  PS256: {
    args: ['--mechanism=SHA256-RSA-PKCS-PSS', '--mgf=MGF1-SHA256', '--salt-len=32'],
  },
}

/** Longest signature, in bytes: that of RSA with 8,192 bits. */
const MAX_SIGNATURE_BYTES = 1_024

/** Uses objects of PKCS #11 tokens through OpenSC's pkcs11-tool: no foreign library is loaded into the gate. */
export class Pkcs11Source {
  /** PINs that a token refused, hashed: a token locks itself after a few, so none is tried twice. */
  readonly #refused = new Set<string>()

  /** Reads a data object. @throws SecretUnavailable */
  async read(reference: Pkcs11Reference, world: SourceWorld): Promise<string> {
    const { label, object, type } = reference
    if (type !== 'data')
      throw new SecretUnavailable(
        'refused',
        `\`${label}\` is a key that signs in its token; it stands for no secret`,
      )
    const args = ['--read-object', '--type=data', `--label=${object}`]
    return exactText(label, await this.#run(reference, world, args, MAX_SECRET_BYTES))
  }

  /** Signs by a private key of the token. @throws SecretUnavailable */
  async sign(
    reference: Pkcs11Reference,
    world: SourceWorld,
    algorithm: TokenAlgorithm,
    bytes: Uint8Array,
  ): Promise<Buffer> {
    const { args, hash } = MECHANISMS[algorithm]
    const input = hash === undefined ? bytes : createHash(hash).update(bytes).digest()
    const all = ['--sign', ...args, `--id=${reference.object}`]
    const signature = await this.#run(reference, world, all, MAX_SIGNATURE_BYTES, input)
    if (signature.length >= 64) return signature
    throw new SecretUnavailable(
      'down',
      `\`${reference.label}\`: pkcs11-tool gave ${signature.length} bytes, which is no signature`,
    )
  }

  async #run(
    reference: Pkcs11Reference,
    world: SourceWorld,
    args: readonly string[],
    maxBytes: number,
    input?: Uint8Array,
  ): Promise<Buffer> {
    const { label, module, token } = reference
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
      args: [`--module=${module}`, `--token-label=${token}`, '--login', `--pin=env:${PIN}`, ...args],
      folder: world.folder,
      environment: world.environment,
      own: { [PIN]: pin },
      ...(input === undefined ? {} : { input }),
      deadlineMs: world.programMs,
      maxBytes,
      signal: world.closing,
    })
    if (code === 0) return stdout
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
