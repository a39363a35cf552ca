import assert from 'node:assert/strict'
import { generateKeyPairSync, randomUUID, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import type { Caller, Endpoint } from '../../../call/call.ts'
import type { ReasonCode } from '../../../call/reason-code.ts'
import { Refusal } from '../../../call/refusal.ts'
import { createSessions } from '../../../adapters/memory/sessions.ts'
import type { KeySource, VerificationKey } from '../../../ports/key-source.ts'
import type { Claim, ReplayGuard } from '../../../ports/replay-guard.ts'
import type { Identified, Identity, IdentityDeps, IdentityOptions } from '../identity.ts'
import { createIdentity } from '../identity.ts'

export const NOW_S = 1_800_000_000
export const ISSUER = 'https://id.example'
export const GATE = 'https://gate.example/mcp'
export const AGGREGATE: Endpoint = { server: undefined, resource: GATE }
export const CRM: Endpoint = { server: 'crm', resource: `${GATE}/crm` }

const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
export const KEY: VerificationKey = { kid: 'k1', alg: 'ES256', key: pair.publicKey }
export const PRIVATE_KEY: KeyObject = pair.privateKey

/** Claims of a token that is right in every way; `undefined` takes one out. */
export function goodClaims(over: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    iss: ISSUER,
    sub: 'alice',
    aud: GATE,
    iat: NOW_S,
    nbf: NOW_S,
    exp: NOW_S + 600,
    jti: randomUUID(),
    client_id: 'agent-7',
    scope: 'tools:read',
    ...over,
  }
}

export interface Signing {
  header?: Record<string, unknown>
  /** JSON text of the payload, instead of the claims. */
  payload?: string
  key?: KeyObject
}

/** A token of the test issuer, ES256 with key `k1`. */
export function token(over: Record<string, unknown> = {}, signing: Signing = {}): string {
  const header = encode(JSON.stringify({ alg: 'ES256', kid: 'k1', typ: 'at+jwt', ...signing.header }))
  const signed = `${header}.${encode(signing.payload ?? JSON.stringify(goodClaims(over)))}`
  const signature = sign('sha256', Buffer.from(signed), {
    key: signing.key ?? PRIVATE_KEY,
    dsaEncoding: 'ieee-p1363',
  })
  return `${signed}.${signature.toString('base64url')}`
}

export function encode(text: string): string {
  return Buffer.from(text).toString('base64url')
}

/** Keys of the test issuer that a test can rotate. */
export class TestKeys implements KeySource {
  keys = new Map<string, VerificationKey>([[KEY.kid, KEY]])
  asked = 0
  down = false
  #generation = 0

  key(issuer: string, kid: string): VerificationKey | undefined {
    this.asked++
    if (this.down) throw new Error('connect ECONNREFUSED')
    return issuer === ISSUER ? this.keys.get(kid) : undefined
  }

  generation(): number {
    return this.#generation
  }

  remove(kid: string): void {
    this.keys.delete(kid)
    this.#generation++
  }
}

/** Replay guard of a test: a map, and a count of how often it was asked. */
export class TestReplay implements ReplayGuard {
  asked = 0
  down = false
  /** Whether no revocation is taken down. */
  full = false
  readonly #bindings = new Map<string, string>()
  readonly #revoked = new Set<string>()

  revoke(jti: string): Promise<void> {
    this.#revoked.add(jti)
    return this.full ? Promise.reject(new Error('ENOSPC: no space left on device')) : Promise.resolve()
  }

  claim(jti: string, _exp: number, binding: string): Promise<Claim> {
    this.asked++
    if (this.down) return Promise.reject(new Error('ENOSPC: no space left on device'))
    if (this.#revoked.has(jti)) return Promise.resolve('revoked')
    const known = this.#bindings.get(jti)
    if (known === undefined) this.#bindings.set(jti, binding)
    return Promise.resolve(known === undefined ? 'first' : known === binding ? 'same' : 'replay')
  }
}

/** An identity room with its neighbours. */
export function bench(
  options: Partial<IdentityOptions> = {},
  deps: Partial<Pick<IdentityDeps, 'nonces' | 'replay'>> = {},
): {
  identity: Identity
  keys: TestKeys
  replay: TestReplay
  ask(text: string | undefined, over?: Partial<Caller>, nowS?: number): Promise<Identified>
} {
  const keys = new TestKeys()
  const replay = new TestReplay()
  const identity = createIdentity(
    { keys, replay, sessions: createSessions(), ...deps },
    { issuers: [{ issuer: ISSUER }], replay: 'once', ...options },
  )
  return {
    identity,
    keys,
    replay,
    ask: async (text, over = {}, nowS = NOW_S) =>
      identity.authenticate({ peer: '192.0.2.1', token: text, endpoint: AGGREGATE, ...over }, nowS * 1_000),
  }
}

/** Asserts a refusal with its code, and that its internal text says `says`. */
export async function refuses(
  work: Promise<unknown> | (() => unknown),
  code: ReasonCode,
  says: RegExp,
): Promise<Refusal> {
  let caught: unknown
  try {
    await (typeof work === 'function' ? work() : work)
  } catch (error) {
    caught = error
  }
  assert.ok(caught instanceof Refusal, `expected ${code}, got ${String(caught)}`)
  assert.equal(caught.code, code, caught.message)
  assert.match(caught.internal, says)
  return caught
}
