import type { ReadSecret } from './adapters/credentials/index.ts'
import { createPresidio } from './adapters/detector/presidio.ts'
import { createPlaceholders } from './adapters/memory/placeholders.ts'
import { type Json, type JsonObject, textsIn } from './call/json.ts'
import type { Principal } from './call/call.ts'
import type { Target } from './call/refusal.ts'
import type { Classified } from './config/classify.ts'
import type { GatewayConfig } from './config/declaration.ts'
import { modeOf } from './config/rollout.ts'
import { dlpExceptions, dlpRules, pointerParts } from './config/dlp-rules.ts'
import { type CompiledSchema, compileSchema } from './json-schema/compile.ts'
import type { Catalog, PinnedTool } from './ports/catalog.ts'
import type { SessionLabels } from './ports/session-labels.ts'
import type { DlpDetector } from './stages/dlp/detection.ts'
import type { DlpOptions, OutputCheck } from './stages/dlp/dlp.ts'
import type { DlpRules } from './stages/dlp/screener.ts'
import type { Finding } from './text/finding.ts'
import { scoreFields } from './text/injection/index.ts'
import { keyedHash } from '@callgate/evidence'

/** What screening needs of the rest of the gate. */
interface DlpWorld {
  readonly catalog: Pick<Catalog, 'server'>
  readonly macKey: (tenant: string) => Buffer
  readonly labels: Pick<SessionLabels, 'add'>
  /** Whether a rule of the policy in force reads what sessions have seen. */
  readonly readsLabels: () => boolean
  readonly now: () => number
  readonly scan: (text: string) => readonly Finding[]
  /** Tells the log of record. */
  readonly note: (event: string, detail: JsonObject) => void
  /** What the operator says of a tool. */
  readonly classified: (server: string, tool: string) => Classified | undefined
  readonly detector: DlpDetector | undefined
}

/** What rows 7 and 12 go by: the operator's rules by server, and what tools say of their answers. */
export function openDlp(
  config: GatewayConfig,
  { catalog, macKey, labels, readsLabels, now, classified, scan, note, detector }: DlpWorld,
): DlpOptions {
  const rules = new Map(Object.keys(config.servers).map((server) => [server, dlpRules(config, server)]))
  const fallback = dlpRules(config, undefined)
  /** By what the operator wrote of a tool, or of several by a glob. */
  const ofTools = new Map<NonNullable<Classified['binary']>, DlpRules>()
  const checks = new WeakMap<PinnedTool, CompiledSchema | 'refused'>()

  const modeFor = modeOf(config.rollout, 'dlp')

  function rulesFor(target: Target, principal?: Principal): DlpRules {
    const found = configured(target)
    const mode = modeFor(found.mode, principal, target.server)
    return mode === found.mode ? found : { ...found, mode }
  }

  function configured({ server, kind, name }: Target): DlpRules {
    const binary = kind === 'tool' ? classified(server, name)?.binary : undefined
    if (binary === undefined) return rules.get(server) ?? fallback
    const own = ofTools.get(binary) ?? dlpRules(config, server, binary)
    ofTools.set(binary, own)
    return own
  }

  /** Compiled when an answer was changed for the first time: most never are. */
  function outputCheck({ server, kind, name }: Target): OutputCheck | undefined {
    const tool = kind === 'tool' ? catalog.server(server)?.tools.get(name) : undefined
    const schema = tool?.definition['outputSchema']
    if (tool === undefined || schema === undefined) return undefined
    const check = checks.get(tool) ?? compiled(schema)
    checks.set(tool, check)
    // Of a schema that cannot be judged nobody knows what still fits it.
    return {
      fits: (value) => check !== 'refused' && check.validate(value) === null,
      formats: JSON.stringify(schema).includes('"format"'),
    }
  }

  return {
    rulesFor,
    scan,
    onCanary: ({ target, principal }, direction) =>
      note('dlp.canary', {
        server: target.server,
        // A URI may hold the canary itself.
        ...(target.kind === 'tool' ? { tool: target.name } : { of: target.kind }),
        actor: principal.actor.id,
        tenant: principal.tenant,
        in: direction,
      }),
    now,
    exceptions: dlpExceptions(config),
    detector,
    hash: (tenant, text) => keyedHash(macKey(tenant), text),
    outputCheck,
    placeholders: createPlaceholders({ now }),
    restorable({ server, kind, name }) {
      const given = kind === 'tool' ? classified(server, name)?.restore : undefined
      if (given === undefined) return undefined
      return Object.entries(given).map(([pointer, classes]) => [
        pointerParts(pointer),
        new Set<string>(classes),
      ])
    },
    instructs: (answer) => readsLabels() && scoreFields(textsIn(answer), 'tool_result').findings.length > 0,
    label: ({ key }, label) => labels.add(key, label, now()),
  }
}

/** The operator's detector, which is asked for the first time by the first call; undefined where there is none. */
export function openDetector(
  { dlp: { detector: config } }: GatewayConfig,
  readSecret: ReadSecret,
  onProblem: (problem: string) => void,
): DlpDetector | undefined {
  if (config === undefined) return undefined
  const { token, onFailure, ...asked } = config
  const detector = createPresidio({
    ...asked,
    token: token === undefined ? undefined : () => readSecret(token, false),
    now: () => performance.now(),
  })
  return { detector, onFailure, timeoutMs: config.timeoutMs, onProblem }
}

function compiled(schema: Json): CompiledSchema | 'refused' {
  try {
    return compileSchema(schema)
  } catch {
    return 'refused'
  }
}
