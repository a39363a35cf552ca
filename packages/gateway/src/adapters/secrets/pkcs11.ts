import { type KeyObject, createHash, createPublicKey } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Pkcs11Reference } from '../../ports/secret-reference.ts'
import { SecretUnavailable, type TokenAlgorithm } from '../../ports/secrets.ts'
import { readFileSecret } from './file.ts'
import { edwardsPoint } from './pkcs11-objects.ts'
import { runProgram } from './program.ts'
import type { SourceWorld } from './source.ts'
import { MAX_SECRET_BYTES, exactText } from './text.ts'
import { Turns } from './turns.ts'

/** The variable by which pkcs11-tool gets the PIN: every user of the machine can read an argument. */
const PIN = 'CALLGATE_PKCS11_PIN'

/** Each of these costs one of the few tries that a token gives. */
const PIN_REFUSED = /CKR_PIN_(?:INCORRECT|LOCKED|EXPIRED|LEN_RANGE|INVALID)/

/** How pkcs11-tool complains, and what that means. Recognised, never quoted. */
const COMPLAINTS: readonly (readonly [RegExp, 'down' | 'refused', string])[] = [
  [/Private key not found/i, 'refused', 'the token holds no private key of this id'],
  [
    /CKR_(?:KEY_TYPE_INCONSISTENT|MECHANISM_INVALID|KEY_FUNCTION_NOT_PERMITTED)|mechanism not supported/i,
    'refused',
    'its key cannot sign by this algorithm',
  ],
  [/No slot with token named/, 'refused', 'no slot holds a token of this name'],
  [/Failed to load pkcs11 module/i, 'refused', 'the library of `module-path` cannot be loaded'],
]

const EDDSA = '--mechanism=EDDSA'

/** How pkcs11-tool is told to sign, and what it is given: tokens that hash by themselves are rare for ECDSA. */
const MECHANISMS: Readonly<
  Record<TokenAlgorithm, { readonly args: readonly string[]; readonly hash?: string }>
> = {
  ES256: { args: ['--mechanism=ECDSA', '--signature-format=rs'], hash: 'sha256' },
  ES384: { args: ['--mechanism=ECDSA', '--signature-format=rs'], hash: 'sha384' },
  EdDSA: { args: [EDDSA] },
  Ed25519: { args: [EDDSA] },
  RS256: { args: ['--mechanism=SHA256-RSA-PKCS'] },
  PS256: {
    args: ['--mechanism=SHA256-RSA-PKCS-PSS', '--mgf=MGF1-SHA256', '--salt-len=32'],
  },
}

/** Longest signature, in bytes: that of RSA with 8,192 bits. */
const MAX_SIGNATURE_BYTES = 1_024

/** Longest text that pkcs11-tool signs by EdDSA, in bytes: it reads more in pieces, and EdDSA takes none. */
const MAX_EDDSA_BYTES = 1_024

/** Milliseconds before a run that failed is tried again. */
const AGAIN_MS = 50

/** Uses objects of PKCS #11 tokens through OpenSC's pkcs11-tool: no foreign library is loaded into the gate. */
export class Pkcs11Source {
  /** PINs that a token refused, hashed: a token locks itself after a few, so none is tried twice. */
  readonly #refused = new Set<string>()
  /** One at a time: 256 callers whose tokens are exchanged must not be 512 processes, and no token does two things at once. */
  readonly #turns = new Turns(1)

  /** Reads a data object. @throws SecretUnavailable */
  async read(reference: Pkcs11Reference, world: SourceWorld): Promise<string> {
    const { label, object, type } = reference
    if (type !== 'data')
      throw new SecretUnavailable(
        'refused',
        `\`${label}\` is a key that signs in its token; it stands for no secret`,
      )
    const args = ['--read-object', '--type=data', `--label=${object}`]
    const absent = 'the token holds no data object of this name'
    return exactText(label, await this.#run(reference, world, args, { maxBytes: MAX_SECRET_BYTES, absent }))
  }

  /** Signs by a private key of the token. @throws SecretUnavailable */
  async sign(
    reference: Pkcs11Reference,
    world: SourceWorld,
    algorithm: TokenAlgorithm,
    bytes: Uint8Array,
  ): Promise<Buffer> {
    const { args, hash } = MECHANISMS[algorithm]
    if (args.includes(EDDSA) && bytes.length > MAX_EDDSA_BYTES)
      throw new SecretUnavailable(
        'refused',
        `\`${reference.label}\` signs at most ${MAX_EDDSA_BYTES} bytes by ${algorithm}, not ${bytes.length}; take a key for ES256`,
      )
    const input = hash === undefined ? bytes : createHash(hash).update(bytes).digest()
    const all = ['--sign', ...args, `--id=${reference.object}`]
    const signature = await this.#run(reference, world, all, { maxBytes: MAX_SIGNATURE_BYTES, input })
    if (signature.length >= 64) return signature
    throw new SecretUnavailable(
      'down',
      `\`${reference.label}\`: pkcs11-tool gave ${signature.length} bytes, which is no signature`,
    )
  }

  /** Reads the public half of a key that signs. @throws SecretUnavailable */
  async publicKey(
    reference: Pkcs11Reference,
    world: SourceWorld,
    algorithm: TokenAlgorithm,
  ): Promise<KeyObject> {
    const { label, object: id } = reference
    const absent = 'the token holds no public key of this id; write it there beside the private one'
    const limits = { maxBytes: MAX_SECRET_BYTES, absent }
    const none = new SecretUnavailable('refused', `\`${label}\`: ${absent}`)
    if (algorithm === 'EdDSA' || algorithm === 'Ed25519') {
      const listing = await this.#run(reference, world, ['--list-objects', '--type=pubkey'], limits)
      const x = edwardsPoint(listing.toString('latin1'), id)?.toString('base64url')
      if (x === undefined) throw none
      return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
    }
    const args = ['--read-object', '--type=pubkey', `--id=${id}`]
    const key = await this.#run(reference, world, args, limits)
    try {
      return createPublicKey({ key, format: 'der', type: 'spki' })
    } catch {
      throw none
    }
  }

  async #run(
    reference: Pkcs11Reference,
    world: SourceWorld,
    args: readonly string[],
    {
      maxBytes,
      absent,
      input,
    }: {
      readonly maxBytes: number
      /** What it means that an object is not found. */
      readonly absent?: string | undefined
      readonly input?: Uint8Array | undefined
    },
  ): Promise<Buffer> {
    const { label, module, token } = reference
    const pin = await readFileSecret(reference.pin, world.folder)
    if (pin.includes('\0')) {
      throw new SecretUnavailable('refused', `\`${reference.pin.label}\` is no PIN: it holds a NUL`)
    }
    const tried = createHash('sha256')
      .update(JSON.stringify([module, token, pin]))
      .digest('base64')
    let began = 0
    const once = () =>
      runProgram({
        label,
        program: 'pkcs11-tool',
        // `--name=value` in one argument: no value can be read as an option.
        args: [`--module=${module}`, `--token-label=${token}`, '--login', `--pin=env:${PIN}`, ...args],
        folder: world.folder,
        environment: world.environment,
        own: { [PIN]: pin },
        ...(input === undefined ? {} : { input }),
        deadlineMs: Math.max(1, Math.round(world.programMs + began - performance.now())),
        maxBytes,
        signal: world.closing,
      })
    const { code, stdout, stderr } = await this.#turns.take(
      label,
      world.programMs,
      world.closing,
      async () => {
        if (this.#refused.has(tried)) {
          throw new SecretUnavailable(
            'refused',
            `\`${label}\` refused the PIN of \`${reference.pin.label}\` before, and it is not tried again lest the token locks; put the right one there`,
          )
        }
        began = performance.now()
        let end = await once()
        if (end.code !== 0 && !PIN_REFUSED.test(end.stderr)) {
          // Another process that logs in at this moment can hide a token of SoftHSM, whose files it writes.
          await sleep(AGAIN_MS)
          end = await once()
        }
        if (end.code === 0 || !PIN_REFUSED.test(end.stderr)) return end
        this.#refused.add(tried)
        throw new SecretUnavailable('refused', `\`${label}\` refused the PIN of \`${reference.pin.label}\``)
      },
    )
    if (code === 0) return stdout
    if (absent !== undefined && /object not found/.test(stderr))
      throw new SecretUnavailable('refused', `\`${label}\`: ${absent}`)
    const [, kind = 'down', what = 'run it by hand to see why'] =
      COMPLAINTS.find(([sign]) => sign.test(stderr)) ?? []
    throw new SecretUnavailable(
      kind,
      `\`${label}\`: pkcs11-tool exited with code ${code ?? 'unknown'}; ${what}`,
    )
  }
}
