import { hash } from 'node:crypto'
import { DETAIL_TYPE } from '../../call/authorization.ts'
import type { Principal } from '../../call/call.ts'
import type { LocalSigner } from '../../ports/signer.ts'
import { compact, unsignedJwt } from './jwt.ts'
import type { GateIdentity } from './options.ts'

/** Member of `_meta` that a caller assertion travels in. The gate passes nothing of a host's own under this name. */
export const CALLER_META_KEY = 'callgate/caller'

type AssertedCall = readonly [
  server: string,
  principal: Principal,
  tool: string,
  argsBytes: Uint8Array | undefined,
]

/**
 * Asserts who calls which tool with what, for that server alone and for one minute: a tool can then check that the caller owns what
 * the call is about, which no argument can prove (OWASP API1:2023, broken object level authorization). Made for each call: at once by a
 * key in memory (through WebCrypto, as jose does it, it would take three times as long), by a process when the key is in a token.
 * @param tool name of the tool as the server knows it
 * @param argsBytes `arguments` as they are sent; undefined: none are sent, and the hash is that of no bytes
 * @throws SecretUnavailable by rejection when the key does not sign
 */
export function signCaller(gate: GateIdentity<LocalSigner>, ...call: AssertedCall): string
export function signCaller(gate: GateIdentity, ...call: AssertedCall): string | Promise<string>
export function signCaller(
  { issuer, signer }: GateIdentity,
  ...[server, principal, tool, argsBytes]: AssertedCall
): string | Promise<string> {
  const unsigned = unsignedJwt(signer, 'callgate-caller+jwt', {
    iss: issuer,
    aud: server,
    ...whoOf(principal),
    tool,
    args_sha256: hash('sha256', argsBytes ?? new Uint8Array(), 'base64url'),
  })
  const signature = signer.sign(Buffer.from(unsigned))
  return signature instanceof Promise
    ? signature.then((bytes) => compact(unsigned, bytes))
    : compact(unsigned, signature)
}

/**
 * Asserts for whom the gate asks for a token (RFC 8693 section 2.1): the subject token of an exchange, in the place where
 * a caller's token must never stand.
 * @param audience URL of the token endpoint
 * @throws SecretUnavailable when the key does not sign
 */
export function signSubject(gate: GateIdentity, audience: string, principal: Principal): Promise<string> {
  const { grants, details } = principal
  return signed(gate, 'callgate-subject+jwt', {
    aud: audience,
    ...whoOf(principal),
    ...(grants.length === 0 ? {} : { scope: grants.join(' ') }),
    // What narrows the caller here narrows the token there, where the issuer reads it (RFC 9396).
    ...(details === undefined
      ? {}
      : { authorization_details: details.map((detail) => ({ type: DETAIL_TYPE, ...detail })) }),
  })
}

/** Asserts who acts: the actor token of an exchange. @throws SecretUnavailable when the key does not sign */
export function signActor(
  gate: GateIdentity,
  audience: string,
  { actor, tenant }: Principal,
): Promise<string> {
  return signed(gate, 'callgate-actor+jwt', { aud: audience, sub: actor.id, tenant })
}

async function signed(
  { issuer, signer }: GateIdentity,
  typ: string,
  claims: Readonly<Record<string, unknown>>,
): Promise<string> {
  const unsigned = unsignedJwt(signer, typ, { iss: issuer, ...claims })
  return compact(unsigned, await signer.sign(Buffer.from(unsigned)))
}

/** `sub_id` names the subject with its issuer (RFC 9493): two issuers may use one `sub` for two people. */
function whoOf({ subject, tenant, actor, clientId, token }: Principal) {
  return {
    sub: subject,
    sub_id: { format: 'iss_sub', iss: token.iss, sub: subject },
    act: { sub: actor.id },
    client_id: clientId,
    tenant,
  }
}
