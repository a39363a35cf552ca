import { hash } from 'node:crypto'
import type { Principal } from '../../call/call.ts'
import { signActor, signSubject } from './assertion.ts'
import { authenticate } from './client.ts'
import { Door } from './door.ts'
import { NotObtained } from './fault.ts'
import type { Source } from './kept.ts'
import type { ClientCredentials, GateIdentity, ReadSecret, SignInToken, TokenExchange } from './options.ts'
import { ACCESS_TOKEN, judgeTokenAnswer, JWT } from './token-answer.ts'
import { findTokenEndpoint } from './token-endpoint.ts'

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'

/** What a token source needs of the gate. */
export interface TokenSourceNeeds {
  readonly readSecret: ReadSecret
  readonly signInToken: SignInToken
  /** Signs subject tokens; undefined: no exchange can be configured. */
  readonly gate: GateIdentity | undefined
  /** Milliseconds since any fixed moment. */
  readonly now: () => number
}

/**
 * Tokens of one server: for the gate itself by client credentials, for a caller by exchange.
 * @throws TypeError for a configuration that cannot work
 */
export function tokenSource(
  server: string,
  config: ClientCredentials | TokenExchange,
  { readSecret, signInToken, gate, now }: TokenSourceNeeds,
): Source {
  const door = new Door(server, config.network ?? [])
  const endpointOf = findTokenEndpoint(server, config, door, now)
  const own = config.type === 'token_exchange' ? gate : undefined
  if (config.type === 'token_exchange' && own === undefined) {
    throw new TypeError(
      `\`servers.${server}.credentials.type\` is \`token_exchange\`, and the gate has no key to sign for its callers`,
    )
  }
  return {
    keyOf: (principal) => (own === undefined || principal === undefined ? '' : keyOf(principal)),
    async obtain(principal, signal, fresh) {
      const { url, name, audience } = await endpointOf(signal)
      const form = new URLSearchParams()
      const exchange = own !== undefined && principal !== undefined
      form.set('grant_type', exchange ? EXCHANGE : 'client_credentials')
      for (const member of ['scope', 'resource', 'audience'] as const) {
        const value = config[member]
        if (value !== undefined) form.set(member, value)
      }
      if (exchange) {
        const asserts = await Promise.all([
          signSubject(own, name, principal),
          ...(config.type === 'token_exchange' && config.actorToken === true
            ? [signActor(own, name, principal)]
            : []),
        ]).catch((cause: unknown) => {
          throw new NotObtained(
            'everyone',
            `the gate's key does not sign for callers of server \`${server}\``,
            {
              cause,
            },
          )
        })
        const [subject = '', actor] = asserts
        form.set('subject_token', subject)
        form.set('subject_token_type', JWT)
        form.set('requested_token_type', ACCESS_TOKEN)
        if (actor !== undefined) {
          form.set('actor_token', actor)
          form.set('actor_token_type', JWT)
        }
      }
      const proof = await authenticate(server, config, audience, { readSecret, signInToken }, fresh, form)
      const headers = { ...proof, 'content-type': 'application/x-www-form-urlencoded' }
      const reply = await door.ask({ method: 'POST', url, headers, body: form.toString() }, signal)
      return judgeTokenAnswer(server, { scope: config.scope, exchange }, reply)
    },
    close: () => door.close(),
  }
}

/** Whoever shares a token: the same person by the same agent with the same rights. Never a part of the caller's token itself. */
function keyOf({ token, tenant, actor, subject, clientId, grants, details = [] }: Principal): string {
  const who = [token.iss, tenant, actor.id, subject, clientId, grants.toSorted(), details]
  return hash('sha256', JSON.stringify(who), 'base64url')
}
