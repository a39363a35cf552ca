import { resolve } from 'node:path'
import { RE2JS } from 're2js'
import type { ReadSecret } from './adapters/credentials/index.ts'
import { createClaimsOwners } from './adapters/owners/claims-owners.ts'
import { createFileOwners } from './adapters/owners/file-owners.ts'
import { createFgaOwners, createHttpOwners } from './adapters/owners/http-owners.ts'
import type { Target } from './call/refusal.ts'
import type { Classified } from './config/classify.ts'
import type { GatewayConfig } from './config/declaration.ts'
import { modeOf } from './config/rollout.ts'
import { pointerParts } from './config/dlp-rules.ts'
import type { Owners } from './ports/owners.ts'
import type { OwnedPlace } from './stages/ownership/ids.ts'
import type { OwnershipOptions } from './stages/ownership/ownership.ts'

type OwnedEntry = NonNullable<Classified['owned']>[number]

/** What row 6a2 goes by: sources by type, and the places that the operator named. */
export function openOwnership(
  { ownership, rollout, folder }: Pick<GatewayConfig, 'ownership' | 'rollout' | 'folder'>,
  classifiers: ReadonlyMap<string, (tool: string) => Classified>,
  readSecret: ReadSecret,
): OwnershipOptions & { close(): Promise<void> } {
  const owners = new Map(
    Object.entries(ownership.types).map(([type, source]) => [type, ownersOf(type, source)] as const),
  )
  const modeFor = modeOf(rollout, 'ownership')
  const places = new WeakMap<readonly OwnedEntry[], readonly OwnedPlace[]>()

  function ownersOf(type: string, source: GatewayConfig['ownership']['types'][string]): Owners {
    if (source.source === 'claims') return createClaimsOwners(source.equals, source.prefix)
    if (source.source === 'file') return createFileOwners(resolve(folder, source.path), type)
    const { url, timeoutMs, token } = source
    const common = {
      type,
      url,
      timeoutMs,
      token: token === undefined ? undefined : (fresh: boolean) => readSecret(token, fresh),
      now: Date.now,
    }
    if (source.source === 'http') return createHttpOwners(common)
    const { store, model, user, relation } = source
    return createFgaOwners({ ...common, store, model, user, relation })
  }

  return {
    modeFor: ({ principal, target }) => modeFor(ownership.mode, principal, target.server),
    owners,
    placesOf({ server, kind, name }: Target): readonly OwnedPlace[] {
      const owned = kind === 'tool' ? classifiers.get(server)?.(name).owned : undefined
      if (owned === undefined) return []
      const known = places.get(owned) ?? owned.map(placeOf)
      places.set(owned, known)
      return known
    },
    async close() {
      await Promise.all([...owners.values()].map((each) => each.close()))
    },
  }
}

function placeOf({ at, type, relation, keys, split, pattern, required }: OwnedEntry): OwnedPlace {
  return {
    type,
    relation,
    path: pointerParts(at),
    keys,
    split,
    idsIn: pattern === undefined ? undefined : groupsOf(RE2JS.compile(pattern)),
    required,
  }
}

/** The first group of each match; linear in the text. */
function groupsOf(program: RE2JS): (text: string) => readonly string[] {
  return (text) => {
    const ids: string[] = []
    const matcher = program.matcher(text)
    while (matcher.find()) ids.push(matcher.group(1) ?? '')
    return ids
  }
}
