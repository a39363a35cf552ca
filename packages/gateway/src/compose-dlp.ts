import type { Json } from './call/json.ts'
import type { Target } from './call/refusal.ts'
import type { GatewayConfig } from './config/declaration.ts'
import { dlpRules } from './config/dlp-rules.ts'
import { type CompiledSchema, compileSchema } from './json-schema/compile.ts'
import type { Catalog, PinnedTool } from './ports/catalog.ts'
import type { DlpOptions } from './stages/dlp/dlp.ts'
import { scanText } from './text/scan.ts'
import { keyedHash } from '@callgate/evidence'

/** What rows 7 and 12 go by: the operator's rules by server, and what tools say of their answers. */
export function openDlp(
  config: GatewayConfig,
  catalog: Pick<Catalog, 'server'>,
  macKey: (tenant: string) => Buffer,
): DlpOptions {
  const rules = new Map(Object.keys(config.servers).map((server) => [server, dlpRules(config, server)]))
  const fallback = dlpRules(config, undefined)
  const checks = new WeakMap<PinnedTool, CompiledSchema | 'refused'>()

  /** Compiled when an answer was changed for the first time: most never are. */
  function outputCheck({ server, kind, name }: Target): ((value: Json) => boolean) | undefined {
    const tool = kind === 'tool' ? catalog.server(server)?.tools.get(name) : undefined
    const schema = tool?.definition['outputSchema']
    if (tool === undefined || schema === undefined) return undefined
    const check = checks.get(tool) ?? compiled(schema)
    checks.set(tool, check)
    // Of a schema that cannot be judged nobody knows what still fits it.
    return (value) => check !== 'refused' && check.validate(value) === null
  }

  return {
    rulesFor: ({ server }) => rules.get(server) ?? fallback,
    scan: scanText,
    hash: (tenant, text) => keyedHash(macKey(tenant), text),
    outputCheck,
  }
}

function compiled(schema: Json): CompiledSchema | 'refused' {
  try {
    return compileSchema(schema)
  } catch {
    return 'refused'
  }
}
