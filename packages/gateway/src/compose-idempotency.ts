import { join } from 'node:path'
import { type RunningIdempotencyStore, openIdempotencyStore } from './adapters/file/idempotency-store.ts'
import type { Classified } from './config/classify.ts'
import type { GatewayConfig } from './config/declaration.ts'
import type { KeyRing } from './ports/key-ring.ts'
import { type IdempotencyStages, createIdempotencyStages } from './stages/idempotency/idempotency.ts'

/** What the stages of a gate need of the rest. */
export interface IdempotencyParts {
  /** Number of the node on its state folder. */
  readonly node: number
  readonly keyRing: KeyRing
  readonly macKey: (tenant: string) => Buffer
  readonly classifiers: ReadonlyMap<string, (tool: string) => Classified>
  readonly onProblem: (problem: string) => void
}

/** Row 9 and its journal: `idempotency.journal` of the first node of a state folder, `idempotency-N.journal` of the others. */
export async function openIdempotency(
  { state, idempotency }: GatewayConfig,
  { node, keyRing, macKey, classifiers, onProblem }: IdempotencyParts,
): Promise<{ readonly store: RunningIdempotencyStore; readonly stages: IdempotencyStages }> {
  const own = node === 0 ? 'idempotency.journal' : `idempotency-${node}.journal`
  const store = await openIdempotencyStore(join(state, own), {
    maxKeys: idempotency.maxKeys,
    maxKeysPerCaller: idempotency.maxKeysPerCaller,
    maxAnswerBytes: idempotency.maxBytes,
  })
  const stages = createIdempotencyStages({
    store,
    keys: keyRing,
    macKey,
    ruleFor: ({ server, name }) => classifiers.get(server)?.(name).idempotency ?? 'accepted',
    ttlS: idempotency.ttlS,
    derivedS: idempotency.derivedWindowS,
    maxAnswerBytes: idempotency.maxAnswerBytes,
    onProblem,
  })
  return { store, stages }
}
