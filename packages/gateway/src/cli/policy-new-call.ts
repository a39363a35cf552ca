import { existsSync } from 'node:fs'
import { join } from 'node:path'
import {
  type EvidenceRecord,
  MAX_SCALAR_PAYLOAD_BYTES,
  type Payload,
  type StoredRecord,
  keyedBytesRoot,
  keyedHash,
  keyedRoot,
} from '@callgate/evidence'
import type { Actor, Target, ToolClass } from '../call/call.ts'
import type { Effect } from '../call/decision.ts'
import type { JsonObject } from '../call/json.ts'
import { classifier } from '../config/classify.ts'
import type { GatewayConfig } from '../config/declaration.ts'
import { registry } from '../errors/registry.ts'
import { readCall } from '../stages/policy/call-file.ts'
import type { PolicyCall } from '../stages/policy/facts.ts'
import { CommandFailed } from './output.ts'
import { safeText } from '../text/safe-text.ts'
import { targetOf } from './sentences.ts'
import type { World } from './world.ts'

type CallRecord = Extract<EvidenceRecord, { kind: 'intent' | 'outcome' }>

/** A call as its record has it. */
export interface RecordedCall {
  readonly call: PolicyCall
  /** False when the record has no more than keyed hashes of the arguments, and nobody gave them again. */
  readonly knowsArguments: boolean
}

const CLASSES: readonly ToolClass[] = ['read', 'write', 'destructive', 'egress', 'memory', 'poll']
const ACTOR_TYPES: readonly Actor['type'][] = ['agent', 'human', 'service']

/**
 * The record of a call that a rule can change: one that policy decided otherwise.
 * @param wanted what the rule is to decide
 * @throws CommandFailed that names who decided instead, and what to do there
 */
export function decidedRecord(stored: readonly StoredRecord[], wanted: Effect): CallRecord {
  const records = stored
    .map(({ record }) => record)
    .filter((one) => one.kind === 'intent' || one.kind === 'outcome')
  const last = records.at(-1)
  if (last === undefined)
    throw new CommandFailed('this is a record of the gate itself, not of a call', {
      fix: 'name the id of a call, as `callgate tail` shows it or a refusal tells it',
    })
  const { code } = last.kind === 'outcome' ? last : {}
  const named = `call \`${last.id}\` to ${targetOf(last)}`
  const { decision } = last
  if (decision === undefined)
    throw new CommandFailed(
      `${named} was ended by ${stageOf(code)}${code === undefined ? '' : ` (${code})`} before policy was asked: no rule changes that`,
      fixOf(code),
    )
  if (wanted === 'deny') {
    if (decision.effect === 'allow') return last
    throw new CommandFailed(`${named} was denied by policy already`, {
      fix: 'to allow it, leave out `--decision deny`',
    })
  }
  if (decision.effect === 'allow') {
    const rules = safeText(decision.rules.join(', '))
    if (code !== undefined)
      throw new CommandFailed(
        `${named} was allowed by policy (${rules}), and then ended by ${stageOf(code)} (${code})`,
        fixOf(code),
      )
    throw new CommandFailed(`${named} was allowed by policy already (${rules})`, {
      fix: 'to forbid it from now on, say `--decision deny`',
    })
  }
  if (decision.rules.length > 0)
    throw new CommandFailed(
      `${named} was denied by ${safeText(decision.rules.join(', '))}, and a rule that denies beats every rule that allows`,
      { fix: 'narrow or remove that rule; `callgate policy check` tells whether it is still there' },
    )
  return last
}

/** The stage that a code belongs to, in the words of docs/life-of-a-call.md. */
function stageOf(code: string | undefined): string {
  const stage = code?.split('_')[1]?.toLowerCase()
  return stage === 'evidence'
    ? 'the record'
    : stage === 'upstream'
      ? 'the server'
      : `the ${stage ?? 'gate'} check`
}

function fixOf(code: string | undefined): { fix?: string } {
  const entry = Object.entries(registry).find(([known]) => known === code)?.[1]
  return entry === undefined ? {} : { fix: entry.fix }
}

/**
 * The call of a record as policy judges it.
 * @param file the same call in a call file, read: its arguments and, of a resource or prompt, its name
 * @throws CommandFailed when the file is not of this call, or the record does not suffice without one
 */
export async function recordedCall(
  world: World,
  config: GatewayConfig,
  record: CallRecord,
  file: { readonly path: string; readonly value: unknown } | undefined,
): Promise<RecordedCall> {
  const given = file === undefined ? undefined : readCall(file.value)
  if (given !== undefined && 'message' in given)
    throw new CommandFailed(`${file?.path ?? ''}: ${given.message}`)
  const tenant = record.tenant ?? 'default'
  const secret = given === undefined ? undefined : await macKey(world, config, tenant)
  const target = targetOfRecord(record, given?.call.target, secret)
  if (given !== undefined && secret !== undefined && record.arguments !== undefined)
    await requireSame(secret, record.arguments, given.call.args)
  const { server, tool } = record.call
  const labels =
    target.kind === 'tool' ? classifier(config.servers[server ?? '']?.tools ?? {})(tool ?? '').labels : []
  // Nothing, or `{}`.
  const hasNone = record.arguments === undefined || record.arguments.bytes <= 2
  return {
    knowsArguments: given !== undefined || hasNone,
    call: {
      target,
      class: CLASSES.find((one) => one === record.call.class) ?? (target.kind === 'tool' ? 'write' : 'read'),
      labels,
      args: given?.call.args ?? {},
      caller: {
        actor: {
          id: record.actor?.id ?? '',
          type: ACTOR_TYPES.find((one) => one === record.actor?.type) ?? 'agent',
        },
        subject: record.subject ?? '',
        tenant,
        grants: record.grants ?? [],
      },
      session: {
        id: record.session ?? '',
        key: record.session ?? '',
        calls: record.session_calls ?? 1,
        labels: [],
      },
      ctx: { ticket: null, purpose: null, region: null, chain: record.chain ?? '' },
    },
  }
}

async function macKey(world: World, config: GatewayConfig, tenant: string): Promise<Buffer> {
  if (!existsSync(join(config.state, 'keys', 'evidence-mac.key')))
    throw new CommandFailed(
      `no key of the keyed hashes in \`${config.state}\`, so nothing can be held against the record`,
      {
        fix: 'run the command where the gate runs, with CALLGATE_STATE set to its state folder',
      },
    )
  return (await world.macKeys(config.state))(tenant)
}

/** What the call was aimed at; of a resource or a prompt the record has a keyed hash of the name. */
function targetOfRecord(record: CallRecord, given: Target | undefined, secret: Buffer | undefined): Target {
  const { server, tool, resource, prompt } = record.call
  if (server !== undefined && tool !== undefined) {
    const target: Target = { kind: 'tool', server, name: tool }
    if (given !== undefined && (given.kind !== 'tool' || given.server !== server || given.name !== tool))
      throw new CommandFailed(
        `the call file is of ${safeText(`${given.server}.${given.name}`)}, the record of ${targetOf(record)}`,
      )
    return target
  }
  const kind = resource === undefined ? ('prompt' as const) : ('resource' as const)
  const hidden = (resource ?? prompt)?.split('#').at(-1)
  if (given === undefined || secret === undefined)
    throw new CommandFailed(`the record holds no more than a keyed hash of the ${kind}'s name`, {
      fix: `name it again: \`--args FILE\` with \`{ "server": ..., "${kind}": ... }\``,
    })
  if (given.kind !== kind || given.server !== server || keyedHash(secret, given.name).slice(0, 32) !== hidden)
    throw new CommandFailed(`the call file is not of the ${kind} in the record`)
  return given
}

/** @throws CommandFailed when the arguments are not those whose keyed root is recorded */
async function requireSame(secret: Buffer, recorded: Payload, args: JsonObject): Promise<void> {
  // Large ones were hashed as the bytes that came, and most hosts write JSON without blanks.
  const { root } =
    recorded.scalars === null
      ? await keyedBytesRoot(secret, new TextEncoder().encode(JSON.stringify(args)))
      : keyedRoot(secret, args)
  if (root === recorded.root) return
  throw new CommandFailed('the arguments in the call file are not those of the recorded call', {
    fix:
      recorded.scalars === null
        ? `arguments over ${MAX_SCALAR_PAYLOAD_BYTES} bytes are held against the record as bytes: they must stand in the order in which the host sent them`
        : 'give exactly what the host sent, every member of it',
  })
}
