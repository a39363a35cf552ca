import { hash, randomUUID } from 'node:crypto'
import type { Asked, GateCredential } from '../../ports/gate-credential.ts'
import { type KeptEnrolment, openKey } from './enrolled-key.ts'

export interface EnrolledCredentialOptions {
  readonly enrolment: KeptEnrolment
  /** URL of the endpoint: the audience of its tokens. */
  readonly audience: string
  /** Session of this process. */
  readonly sid: string
  /** Life of a token in seconds; it is made anew at half of it. */
  readonly lifetimeS: number
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Told once when the gate says that the enrolment is over. */
  readonly onEnded: () => void
}

/** Makes what an enrolled key shows with each request: a short token that it signs itself, and a proof for this request alone. */
export function createEnrolledCredential(options: EnrolledCredentialOptions): GateCredential {
  const { enrolment, audience, sid, lifetimeS, now } = options
  const key = openKey(enrolment.key)
  let token = { jwt: '', hash: '', renewAt: 0 }
  let nonce: string | undefined
  let ended = false

  function freshToken(): { readonly jwt: string; readonly hash: string } {
    if (now() < token.renewAt) return token
    const iat = Math.floor(now() / 1_000)
    const { issuer, clientId, subject, actor, tenant, scope } = enrolment
    const jwt = key.jws(
      { typ: 'at+jwt', kid: key.thumbprint },
      {
        iss: issuer,
        sub: subject,
        aud: audience,
        iat,
        nbf: iat,
        exp: iat + lifetimeS,
        jti: randomUUID(),
        client_id: clientId,
        act: { sub: actor },
        tenant,
        ...(scope === '' ? {} : { scope }),
        sid,
        cnf: { jkt: key.thumbprint },
      },
    )
    // The other half is left for clocks that differ and calls that wait.
    token = { jwt, hash: hash('sha256', jwt, 'base64url'), renewAt: now() + lifetimeS * 500 }
    return token
  }

  return {
    headersFor({ method, url, headers, body }: Asked) {
      const { jwt, hash: ath } = freshToken()
      const claims = { htm: method, htu: url, ath, ...(nonce === undefined ? {} : { nonce }) }
      const shown = { authorization: `DPoP ${jwt}`, dpop: key.proof(claims, now() / 1_000) }
      // Signed whether the gate asks for it or not: a proxy on the way that changes something is then noticed.
      const message = {
        method,
        targetUri: url,
        headers: Object.entries({ ...headers, ...shown }).flat(),
        body: method === 'GET' ? undefined : body,
      }
      const signature = key.sign(message, now() / 1_000)
      return { ...shown, ...pairs(signature) }
    },
    learn(fresh) {
      nonce = fresh
    },
    refused({ code }) {
      if (code === 'CG_IDENTITY_NONCE') return nonce !== undefined
      if (code === 'CG_IDENTITY_ENROLMENT_ENDED' && !ended) {
        ended = true
        options.onEnded()
      }
      return false
    },
  }
}

/** Names and values in turn, as an object. */
function pairs(flat: readonly string[]): Record<string, string> {
  const all: Record<string, string> = {}
  for (let i = 0; i < flat.length; i += 2) all[flat[i] ?? ''] = flat[i + 1] ?? ''
  return all
}
