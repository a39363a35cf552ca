import type { Answer } from '../../call/call.ts'
import { isJsonObject, member, stringMember, type Json, type JsonObject } from '../../call/json.ts'
import { eraOf, LATEST_LEGACY, LATEST_MODERN, META, modernMeta } from '../../mcp/era.ts'
import { UpstreamFailed } from '../../ports/upstream.ts'
import type { ConnectContext, Handshake } from './connection.ts'

/** Longest instructions that are kept, in UTF-16 units; what is longer is left out whole. */
const MAX_INSTRUCTIONS = 65_536

/**
 * Params of `initialize`: what the host declared and the operator granted, and roots where the operator set some. Extensions came
 * with 2026-07-28: the tasks of 2025-11-25 are other ones.
 */
export function initializeParams({
  clientInfo,
  capabilities,
  roots,
}: Pick<ConnectContext, 'clientInfo' | 'capabilities' | 'roots'>): JsonObject {
  const known = withoutExtensions(capabilities)
  return {
    protocolVersion: LATEST_LEGACY,
    capabilities: roots === undefined ? known : { ...known, roots: {} },
    clientInfo,
  }
}

/** Params of `server/discover`, the era probe. */
export function discoverParams(clientInfo: JsonObject): JsonObject {
  return { _meta: modernMeta(clientInfo, {}) }
}

/**
 * What a legacy server said to `initialize`.
 * @throws UpstreamFailed `protocol` when it refused or chose a version that the gate does not speak
 */
export function readInitialize(answer: Answer, server: string): Handshake {
  if (answer.kind === 'error') {
    throw new UpstreamFailed(
      'protocol',
      `server \`${server}\` refused initialize with code ${codeOf(answer)}`,
    )
  }
  const protocolVersion = stringMember(answer.value, 'protocolVersion')
  if (protocolVersion === undefined || eraOf(protocolVersion) !== 'legacy') {
    throw new UpstreamFailed(
      'protocol',
      `server \`${server}\` chose a protocol version that the gate does not speak`,
    )
  }
  return {
    era: 'legacy',
    protocolVersion,
    serverInfo: objectOr(member(answer.value, 'serverInfo')),
    capabilities: withoutExtensions(objectOr(member(answer.value, 'capabilities'))),
    instructions: instructionsOf(answer.value),
  }
}

/** What a modern server said to `server/discover`; undefined: not a modern server that the gate can speak to. */
export function readDiscover(answer: Answer): Handshake | undefined {
  if (answer.kind === 'error') return undefined
  const versions = member(answer.value, 'supportedVersions')
  if (!Array.isArray(versions) || !versions.includes(LATEST_MODERN)) return undefined
  const meta = objectOr(member(answer.value, '_meta'))
  return {
    era: 'modern',
    protocolVersion: LATEST_MODERN,
    serverInfo: objectOr(member(meta, META.serverInfo)),
    capabilities: objectOr(member(answer.value, 'capabilities')),
    instructions: instructionsOf(answer.value),
  }
}

/** The code of an error answer. */
export function codeOf(answer: Answer): Json {
  return member(answer.value, 'code') ?? null
}

function withoutExtensions(capabilities: JsonObject): JsonObject {
  const { extensions: _, ...known } = capabilities
  return known
}

function objectOr(value: Json | undefined): JsonObject {
  return isJsonObject(value) ? value : {}
}

function instructionsOf(value: JsonObject): string | undefined {
  const instructions = stringMember(value, 'instructions')
  return instructions !== undefined && instructions.length <= MAX_INSTRUCTIONS ? instructions : undefined
}
