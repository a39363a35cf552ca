import { createPrivateKey, type KeyObject } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { dsseKeyId, isDsseKey } from '@callgate/evidence'
import type { GatewayConfig } from '../config/declaration.ts'
import { isPack } from '../config/policy-packs.ts'
import { BundleRefused, sealBundle } from '../stages/policy/bundle.ts'
import { runGolden } from '../stages/policy/golden.ts'
import { checkPolicy, readPolicyFiles, type PolicyFile } from '../stages/policy/load.ts'
import { formatProblem, type Problem } from '../stages/policy/problem.ts'
import { readText, replaceFile } from './install-files.ts'
import { CommandFailed, print, printJson } from './output.ts'
import { safeText } from '../text/safe-text.ts'
import { policyArguments } from './policy-files.ts'
import type { LiveBundle, World } from './world.ts'

export interface PolicyBundleOptions {
  readonly policy: readonly string[]
  readonly cases?: readonly string[]
  readonly key: string
  readonly out: string
  readonly release?: string
  readonly json?: boolean
}

/**
 * `callgate policy bundle`: one signed file of rules and their cases, for gates with `policy.bundle`. What does not load, or whose
 * cases fail, is not signed.
 * @throws CommandFailed; then nothing is written
 */
export async function policyBundle(world: World, options: PolicyBundleOptions): Promise<void> {
  const key = signingKey(options.key)
  const now = world.now()
  const version = options.release === undefined ? Math.floor(now / 1_000) : Number(options.release)
  if (!Number.isSafeInteger(version) || version < 1)
    throw new CommandFailed(
      `--release is \`${safeText(options.release ?? '')}\` (expected a whole number from 1)`,
      {
        exitCode: 2,
      },
    )
  const files = await named(options.policy)
  const cases = await named(options.cases ?? [])
  const { problems } = checkPolicy(files, undefined, now)
  if (problems.length > 0) throw failed(problems)
  const shown = cases.map((file) => ({ file: file.file, ...runGolden(file, files, now) }))
  const wrong = shown.flatMap(({ file, cases: ran, problems: broken }) => [
    ...broken.map(formatProblem),
    ...ran
      .filter(({ passed }) => !passed)
      .map(({ line, title }) => `${file}:${line} ${title}: comes to something else`),
  ])
  if (wrong.length > 0)
    throw new CommandFailed(wrong.join('\n'), { fix: '`callgate policy test` tells what each case came to' })
  let sealed: string
  try {
    sealed = sealBundle({ version, createdAt: now, files, cases }, key)
  } catch (cause) {
    if (cause instanceof BundleRefused || cause instanceof TypeError)
      throw new CommandFailed(`the bundle ${cause.message}`, { cause })
    throw cause
  }
  const target = readText(options.out)
  replaceFile(target.bytes === undefined ? { ...target, mode: 0o644 } : target, sealed)
  const ran = shown.reduce((sum, one) => sum + one.cases.length, 0)
  const keyId = dsseKeyId(key)
  if (options.json === true)
    return printJson({ out: options.out, version, key: keyId, files: files.length, cases: ran })
  print(
    `${safeText(options.out)}: version ${version}, ${files.length} files, ${ran} cases passed, signed by ${keyId}`,
  )
}

/** Files of the command line, each by a name of its own that means the same elsewhere. @throws CommandFailed */
async function named(entries: readonly string[]): Promise<PolicyFile[]> {
  const read = await readPolicyFiles(policyArguments(entries))
  if ('problems' in read) throw failed(read.problems)
  return read.files.map(({ file, text }, i) => {
    const entry = entries[i] ?? ''
    return { file: isPack(entry) ? entry : basename(file), text }
  })
}

/** @throws CommandFailed */
function signingKey(path: string): KeyObject {
  if (!existsSync(path))
    throw new CommandFailed(`${safeText(path)}: is not there`, {
      fix: '`openssl genpkey -algorithm ed25519 -out policy.key` makes one; `openssl pkey -in policy.key -pubout` tells its public half',
    })
  let key: KeyObject | undefined
  try {
    key = createPrivateKey(readFileSync(path))
  } catch {
    // OpenSSL's own message helps nobody.
  }
  if (key === undefined || !isDsseKey(key))
    throw new CommandFailed(
      `${safeText(path)}: is no private key of Ed25519 or P-256 (expected PEM without a password)`,
    )
  return key
}

function failed(problems: readonly Problem[]): CommandFailed {
  return new CommandFailed(problems.map(formatProblem).join('\n'))
}

/** Rule files of the bundle that the gate of a configuration keeps; none where there is none. */
export async function bundleFiles(world: World, config: GatewayConfig): Promise<readonly PolicyFile[]> {
  const live = await world.bundle(config)
  return live === undefined || live.problem !== undefined ? [] : live.files
}

const STANDINGS = {
  good: 'in force',
  'reads-only': 'its source was not heard for too long: only class read passes',
  unconfirmed: 'its source was not heard for too long: nothing passes',
  'too-old': 'it was signed too long ago: nothing passes',
} as const

/** The bundle that a gate keeps, in one line; undefined where the configuration has none. */
export function bundleLine(live: LiveBundle | undefined): string | undefined {
  if (live === undefined) return undefined
  if (live.problem !== undefined) return `policy bundle: ${live.problem}`
  const { version, createdAt, confirmedAt, keyId, standing } = live
  const day = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')
  return `policy bundle: version ${version} of ${day(createdAt)}, signed by ${keyId.slice(0, 12)}, last offered ${day(confirmedAt)}; ${STANDINGS[standing]}`
}
