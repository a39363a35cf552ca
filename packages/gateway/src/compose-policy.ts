import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ReadSecret } from './adapters/credentials/index.ts'
import { signsOf, watchFiles } from './adapters/file/watch-files.ts'
import { createLimitStore } from './adapters/memory/limit-store.ts'
import { createBundleStore } from './adapters/policy/bundle-store.ts'
import { createFileBundle } from './adapters/policy/file-bundle.ts'
import { createHttpBundle } from './adapters/policy/http-bundle.ts'
import type { JsonObject } from './call/json.ts'
import type { LiveBundle } from './cli/world.ts'
import { CommandFailed } from './cli/output.ts'
import type { GatewayConfig } from './config/declaration.ts'
import { formatProblem } from './config/problem.ts'
import { enforcedEarly } from './config/rollout.ts'
import type { BundleSource } from './ports/policy-bundles.ts'
import { bundleKeys, BundleRefused, MAX_ENVELOPE_BYTES, openBundle } from './stages/policy/bundle.ts'
import { BundledPolicy, standingOf, type BundleLimits, type Take } from './stages/policy/bundled.ts'
import { type MacKey, PolicyHolder } from './stages/policy/policy.ts'

/** Milliseconds between looks at policy files. */
const LOOK_MS = 500

type BundleConfig = NonNullable<GatewayConfig['policy']['bundle']>

/** The policy of a gate, with a life. */
export interface RunningPolicy {
  readonly holder: PolicyHolder
  /** What the log of record tells of it: its digest, and its bundle where there is one. */
  readonly facts: () => JsonObject
  /** Begins to follow the files and the source of the bundle. @param changed told after each look at what was changed */
  watch(changed: () => void): void
  close(): Promise<void>
}

/** What a policy needs of the rest of the gate. */
interface PolicyWorld {
  readonly node: number
  readonly readSecret: ReadSecret
  readonly macKey: MacKey
  readonly note: (event: string, detail: JsonObject) => void
  readonly now: () => number
}

/** The files and the signed bundle of the configuration, as one policy. @throws Error where nothing sound is there to decide */
export async function openPolicy(config: GatewayConfig, world: PolicyWorld): Promise<RunningPolicy> {
  const { files } = config.policy
  const { note } = world
  const signs = await signsOf(files)
  const bundle = await openBundleInForce(config, world)
  const holder = await PolicyHolder.open(
    files,
    world.macKey,
    createLimitStore({ clock: () => performance.now() }),
    world.now,
    bundle?.policy,
    (rule) => enforcedEarly(config.rollout, { rule }),
  )
  const ofBundle = () => (bundle === undefined ? {} : { bundle: bundle.policy.facts })
  const loaded = () => note('policy.loaded', { digest: holder.digest, ...ofBundle() })
  let unwatch = () => {}
  return {
    holder,
    facts: () => ({ policy: holder.digest, ...ofBundle() }),
    watch(changed) {
      unwatch = watchFiles(files, signs, LOOK_MS, async () => {
        const problems = await holder.reload()
        changed()
        if (problems.length === 0) loaded()
        else
          note('policy.refused', {
            kept: holder.digest,
            problems: problems.slice(0, 10).map(formatProblem),
          })
      })
      bundle?.watch(async (rules, keep) => {
        const problems = await holder.take(rules, keep)
        if (problems.length > 0) return problems
        changed()
        loaded()
        return []
      })
    },
    async close() {
      unwatch()
      await bundle?.close()
    },
  }
}

/** @throws CommandFailed when there is no bundle that may be taken */
async function openBundleInForce(
  { state, policy: { bundle } }: GatewayConfig,
  { node, readSecret, note, now }: PolicyWorld,
) {
  if (bundle === undefined) return undefined
  const source = sourceOf(bundle, readSecret)
  let policy: BundledPolicy
  try {
    policy = await BundledPolicy.open({
      keys: keysOf(bundle),
      source,
      store: createBundleStore(folderOf(state, node)),
      limits: limitsOf(bundle),
      now,
      note,
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
    /** Begins to look for newer ones. */
    watch(take: Take) {
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
