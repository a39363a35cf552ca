import { hash } from 'node:crypto'
import { CLOCKS_S, verifyAssertion } from './assertion.ts'
import type { Caller } from './caller.ts'
import { type JwkSet, type KeysSource, createKeys, verifyingKeys } from './keys.ts'
import { memberOf, objectMember } from './member.ts'
import { NotVouched } from './refusals.ts'
import { type ReplayStore, createReplayMemory } from './replay.ts'

export interface GuardOptions {
  /** `iss` of the gate's assertions: its `listener.publicUrl`, else `urn:callgate`. */
  readonly issuer: string
  /** Id of this server in the gate's configuration. */
  readonly server: string
  /** The gate's public keys, or where they come from (`keysFile`). */
  readonly keys: JwkSet | KeysSource
  /** Where used assertions are remembered. Default: in this process. */
  readonly replay?: ReplayStore
  /**
   * Methods beside those that tell nothing of anybody's objects that may come without an assertion, such as `resources/read`; the gate
   * asserts callers of tools alone. `response`: answers to what this server asked. Default none.
   */
  readonly withoutCaller?: readonly string[]
  /** Milliseconds since the epoch. Default: the clock of the machine. */
  readonly now?: () => number
}

/** A message that may go on. */
export interface Admitted {
  /** The message as JSON.parse reads it: hand on this and not the body, so that what was checked is what runs. */
  readonly message: object
  /** Undefined for messages that call no tool, such as `tools/list`. */
  readonly caller: Caller | undefined
}

export interface Guard {
  /**
   * Judges the body of a POST, as received and before any parser: the gate signs the very bytes of the arguments.
   * @throws NotVouched for whatever the gate did not vouch for
   */
  admit(body: Uint8Array): Promise<Admitted>
}

/** What a client asks before it calls anything, and what the gate asks for itself. */
const OPEN = new Set([
  'initialize',
  'ping',
  'server/discover',
  'logging/setLevel',
  'tools/list',
  'prompts/list',
  'resources/list',
  'resources/templates/list',
])

/** Member of `_meta` that the gate puts its assertion into. */
const MEMBER = 'callgate/caller'

/**
 * Makes the check of one server.
 * @throws TypeError for options without an issuer, a server or a usable key
 */
export function createGuard(options: GuardOptions): Guard {
  const { issuer, server, keys, now = Date.now } = options
  if (issuer === '' || server === '') throw new TypeError('a guard needs `issuer` and `server`')
  // A set that holds no key is told now, and not to the first caller.
  if (typeof keys !== 'function') verifyingKeys(keys)
  const keyOf = createKeys(typeof keys === 'function' ? keys : () => keys, () => performance.now())
  const replay = options.replay ?? createReplayMemory(now)
  const open = new Set([...OPEN, ...(options.withoutCaller ?? [])])

  async function callerOf(text: string, tool: unknown): Promise<Caller> {
    const params = objectMember(text, 'params') ?? '{}'
    const token = parsed(memberOf(objectMember(params, '_meta') ?? '{}', MEMBER) ?? 'null')
    // Read as written too: a second `name` would be another tool to another parser.
    const name = parsed(memberOf(params, 'name') ?? 'null')
    if (typeof name !== 'string' || name !== tool) throw new NotVouched('malformed', 'the call names no tool')
    if (typeof token !== 'string') throw new NotVouched('missing', 'the call carries no caller assertion')
    const argsSha256 = hash('sha256', objectMember(params, 'arguments') ?? '', 'base64url')
    const expected = { issuer, server, tool: name, argsSha256 }
    const { caller, jti, exp } = await verifyAssertion(token, expected, keyOf, now() / 1_000)
    if (!(await claimed(jti, exp + CLOCKS_S)))
      throw new NotVouched('replayed', 'the assertion was used before')
    return caller
  }

  async function claimed(jti: string, until: number): Promise<boolean> {
    try {
      return (await replay.claim(jti, until)) === true
    } catch (cause) {
      throw new NotVouched('unavailable', 'nobody knows whether the assertion was used before', { cause })
    }
  }

  return {
    async admit(body) {
      const text = textOf(body)
      const message = parsed(text)
      // Several messages at once are gone from the protocol, and the gate never sends any.
      if (typeof message !== 'object' || message === null || Array.isArray(message))
        throw new NotVouched('malformed', 'the body is no JSON-RPC message')
      const method = parsed(memberOf(text, 'method') ?? 'null') ?? 'response'
      if (method === 'tools/call') return { message, caller: await callerOf(text, toolOf(message)) }
      if (typeof method === 'string' && (open.has(method) || method.startsWith('notifications/')))
        return { message, caller: undefined }
      throw new NotVouched('missing', 'the method carries no caller; see `withoutCaller`')
    },
  }
}

function toolOf(message: object): unknown {
  const params = 'params' in message ? message.params : undefined
  return typeof params === 'object' && params !== null && 'name' in params ? params.name : undefined
}

function textOf(body: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body)
  } catch {
    throw new NotVouched('malformed', 'the body is no UTF-8')
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new NotVouched('malformed', 'the body is no JSON')
  }
}
