import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ReadSecret } from './adapters/credentials/index.ts'
import { createBundleStore } from './adapters/policy/bundle-store.ts'
import { createFileBundle } from './adapters/policy/file-bundle.ts'
import { createHttpBundle } from './adapters/policy/http-bundle.ts'
import type { JsonObject } from './call/json.ts'
import type { LiveBundle } from './cli/world.ts'
import { CommandFailed } from './cli/output.ts'
import type { GatewayConfig } from './config/declaration.ts'
import type { BundleSource } from './ports/policy-bundles.ts'
import { bundleKeys, BundleRefused, MAX_ENVELOPE_BYTES, openBundle } from './stages/policy/bundle.ts'
import { BundledPolicy, standingOf, type BundleLimits, type Take } from './stages/policy/bundled.ts'

type BundleConfig = NonNullable<GatewayConfig['policy']['bundle']>

/** A bundled policy with a life. */
export interface RunningBundle {
  readonly policy: BundledPolicy
  /** Begins to look for newer ones. */
  watch(take: Take): void
  close(): Promise<void>
}

/** The signed bundle of the configuration. @throws CommandFailed when there is none that may be taken */
export async function openPolicyBundle(
  { state, policy: { bundle } }: Pick<GatewayConfig, 'state' | 'policy'>,
  needs: {
    readonly node: number
    readonly readSecret: ReadSecret
    readonly note: (event: string, detail: JsonObject) => void
    readonly now: () => number
  },
): Promise<RunningBundle | undefined> {
  if (bundle === undefined) return undefined
  const source = sourceOf(bundle, needs.readSecret)
  let policy: BundledPolicy
  try {
    policy = await BundledPolicy.open({
      keys: keysOf(bundle),
      source,
      store: createBundleStore(folderOf(state, needs.node)),
      limits: limitsOf(bundle),
      now: needs.now,
      note: needs.note,
    })
  } catch (cause) {
    await source.close()
    throw new CommandFailed(cause instanceof Error ? cause.message : String(cause), { cause })
  }
  let timer: NodeJS.Timeout | undefined
  let looking: Promise<void> = Promise.resolve()
  let ended = false
  return {
    policy,
    watch(take) {
      const look = () => {
        looking = policy.refresh(take).then(() => {
          // Gates that were started together should not ask together for ever.
          const waitMs = bundle.refreshS * 1_000 * (0.9 + Math.random() * 0.1)
          if (!ended) timer = setTimeout(look, waitMs).unref()
        })
      }
      look()
    },
    async close() {
      ended = true
      clearTimeout(timer)
      await source.close()
      await looking
    },
  }
}

/** The bundle that the gate of a state folder keeps, for commands; verified as the gate does. */
export async function readLiveBundle(
  { state, policy: { bundle } }: Pick<GatewayConfig, 'state' | 'policy'>,
  now: number,
): Promise<LiveBundle | undefined> {
  if (bundle === undefined) return undefined
  const kept = await createBundleStore(folderOf(state, 0)).load()
  if (kept === undefined) return { problem: 'no bundle was taken yet' }
  try {
    const live = openBundle(kept.envelope, keysOf(bundle))
    const { createdAt } = live
    const { confirmedAt } = kept
    return { ...live, confirmedAt, standing: standingOf({ createdAt, confirmedAt }, limitsOf(bundle), now) }
  } catch (error) {
    if (error instanceof BundleRefused || error instanceof TypeError)
      return { problem: `the bundle that was kept ${error.message}` }
    throw error
  }
}

function sourceOf({ url, file, token, timeoutMs }: BundleConfig, readSecret: ReadSecret): BundleSource {
  if (url === undefined) return createFileBundle(file ?? '', MAX_ENVELOPE_BYTES)
  return createHttpBundle({
    url,
    token: token === undefined ? undefined : (fresh) => readSecret(token, fresh),
    timeoutMs,
    maxBytes: MAX_ENVELOPE_BYTES,
  })
}

/** @throws TypeError for a file that is no public key */
function keysOf({ keys }: BundleConfig) {
  return bundleKeys(
    keys.map((file) => {
      try {
        return { file, pem: readFileSync(file, 'utf8') }
      } catch (cause) {
        throw new TypeError(`\`${file}\` in \`policy.bundle.keys\` cannot be read`, { cause })
      }
    }),
  )
}

function limitsOf({ maxAgeH, outage, whenTooOld }: BundleConfig): BundleLimits {
  return {
    maxAgeMs: maxAgeH * 3_600_000,
    writesMs: outage.writesS * 1_000,
    readsMs: outage.readsS * 1_000,
    whenTooOld,
  }
}

/** Several gates may share a state folder; each keeps its own. */
function folderOf(state: string, node: number): string {
  return join(state, node === 0 ? 'policy-bundle' : `policy-bundle-${node}`)
}
