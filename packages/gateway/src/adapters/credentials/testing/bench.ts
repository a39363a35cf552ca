import type { KeyObject } from 'node:crypto'
import { after } from 'node:test'
import type { Principal } from '../../../call/call.ts'
import type { Credentials } from '../../../ports/credentials.ts'
import type { LocalSigner } from '../../../ports/signer.ts'
import { localSigner } from '../../file/signing-key.ts'
import { createCredentials } from '../index.ts'
import type { CredentialConfig, GateIdentity, SignInToken } from '../options.ts'
import { keyPair, TestTokenEndpoint } from './token-endpoint.ts'

/** A secret that must be nowhere but where it belongs. */
export const SECRET = 'Sec%ret+with:odd&chars'

const client = keyPair()
const own = keyPair()

export const GATE: GateIdentity<LocalSigner> = {
  issuer: 'https://gate.example',
  signer: localSigner(own.privateKey),
}
export const GATE_PUBLIC = own.publicKey

/** Values behind the references of tests. */
export const SECRETS: Record<string, string> = {
  'file:client': SECRET,
  'file:pem': client.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  'file:jwk': JSON.stringify(client.privateKey.export({ format: 'jwk' })),
  'file:fixed': 'fixed-1',
}

/** A strict token endpoint that knows the gate; closed after the tests of the file. */
export async function tokenEndpoint(clientKey: KeyObject = client.publicKey): Promise<TestTokenEndpoint> {
  const endpoint = await new TestTokenEndpoint({
    clientId: 'gate client',
    secret: SECRET,
    clientKey,
    gateIssuer: GATE.issuer,
    gateKey: own.publicKey,
    scopes: ['read', 'write'],
    resources: ['https://crm.example/mcp'],
  }).start()
  after(() => endpoint.close())
  return endpoint
}

/** No key in a token. */
export const noToken: SignInToken = () => Promise.reject(new Error('no token'))

/** Credentials of one server `crm`, and the clock that they go by. */
export interface Bench {
  readonly credentials: Credentials
  /** Lets time pass, in milliseconds. */
  pass(ms: number): void
  /** Headers for a principal; default: for the gate itself. */
  headers(principal?: Principal, signal?: AbortSignal): Promise<readonly string[]>
}

export function bench(
  config: CredentialConfig,
  secrets: Readonly<Record<string, string>> = SECRETS,
  attemptMs?: number,
): Bench {
  let now = 1_000_000
  const credentials = createCredentials(
    { crm: config },
    {
      gate: GATE,
      now: () => now,
      attemptMs,
      readSecret: (reference) => {
        const value = secrets[reference]
        if (value === undefined) return Promise.reject(new Error(`no such secret \`${reference}\``))
        return Promise.resolve({ reveal: () => value })
      },
      signInToken: noToken,
    },
  )
  after(() => credentials.close())
  return {
    credentials,
    pass: (ms) => {
      now += ms
    },
    headers: async (principal, signal = AbortSignal.timeout(10_000)) =>
      credentials.headersFor('crm', principal, signal),
  }
}

export const NETWORK: readonly string[] = ['127.0.0.0/8']

/** A caller; `changes` make another one of it. */
export function principal(changes: Partial<Principal> = {}): Principal {
  return {
    actor: { id: 'planner', type: 'agent' },
    subject: 'ada',
    tenant: 'acme',
    clientId: 'desk',
    grants: ['crm:read', 'crm:write'],
    token: { iss: 'https://idp.example', jtiHash: '0'.repeat(32), exp: 2_000_000_000, iat: 1_999_999_700 },
    ...changes,
  }
}
