import { type KeyObject, generateKeyPairSync, hash, randomUUID, sign } from 'node:crypto'
import type { Jwk } from '../keys.ts'

/** A key pair of a gate under test. */
export interface TestKey {
  readonly alg: 'EdDSA' | 'ES256'
  readonly privateKey: KeyObject
  readonly jwk: Jwk
}

export function testKey(alg: TestKey['alg'], kid: string): TestKey {
  const { publicKey, privateKey } =
    alg === 'EdDSA' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { alg, privateKey, jwk: { ...publicKey.export({ format: 'jwk' }), kid } }
}

/** An assertion as a gate makes it, right but for its changes; `undefined` leaves a claim out. */
export function assertion(key: TestKey, args: string, claims: object = {}, header: object = {}): string {
  const iat = Math.floor(Date.now() / 1_000)
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const unsigned = `${part({ alg: key.alg, typ: 'callgate-caller+jwt', kid: key.jwk.kid, ...header })}.${part(
    {
      iss: 'urn:callgate',
      aud: 'shop',
      sub: 'ada',
      sub_id: { format: 'iss_sub', iss: 'https://idp.example', sub: 'ada' },
      act: { sub: 'planner' },
      client_id: 'desk',
      tenant: 'acme',
      tool: 'get_order',
      args_sha256: hash('sha256', args, 'base64url'),
      iat,
      exp: iat + 60,
      jti: randomUUID(),
      ...claims,
    },
  )}`
  const bytes = sign(key.alg === 'ES256' ? 'sha256' : null, Buffer.from(unsigned), {
    key: key.privateKey,
    dsaEncoding: 'ieee-p1363',
  })
  return `${unsigned}.${bytes.toString('base64url')}`
}

/** The body of a call with an assertion; undefined: without one. */
export function callBody(token: string | undefined, args: string, tool = 'get_order'): string {
  const meta = token === undefined ? '' : `,"_meta":{"callgate/caller":${JSON.stringify(token)}}`
  return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"${tool}","arguments":${args}${meta}}}`
}
