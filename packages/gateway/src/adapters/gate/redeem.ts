import { hash } from 'node:crypto'
import { request } from 'node:http'
import { request as requestTls } from 'node:https'
import { ENROLLED_ISSUER } from '../../ports/enrolments.ts'
import { codeIn } from './client.ts'
import { type KeptEnrolment, type SigningJwk, makeKey } from './enrolled-key.ts'

/** A gate would not enrol a key. */
export class NotEnrolled extends Error {
  override readonly name = 'NotEnrolled'
  /** HTTP status. */
  readonly status: number
  /** Code of the refusal; undefined when the answer has none. */
  readonly code: string | undefined

  constructor(status: number, code: string | undefined) {
    super(`the gate answered ${status}${code === undefined ? '' : ` ${code}`}`)
    this.status = status
    this.code = code
  }
}

export interface RedeemOptions {
  /** Origin of the gate. */
  readonly gate: string
  readonly code: string
  /** Authorities in PEM; default those of Node. */
  readonly ca?: string | undefined
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

const MAX_ANSWER_BYTES = 64 * 1024
const TIMEOUT_MS = 15_000

/**
 * Redeems a code for a new key.
 * @throws NotEnrolled for an answer that is none of 200, Error when the gate cannot be reached or says what cannot be true
 */
export async function redeem(options: RedeemOptions): Promise<KeptEnrolment> {
  const { gate, code } = options
  const key = makeKey()
  let answer = await ask(options, key, undefined)
  // A gate that wants nonces says so with the first of them (RFC 9449 section 8).
  if (answer.status === 401 && answer.nonce !== undefined) answer = await ask(options, key, answer.nonce)
  if (answer.status !== 200) throw new NotEnrolled(answer.status, codeIn(answer.body))
  const said = membersOf(answer.body)
  // A gate that calls itself by another name, or names another key, would have this side sign for somebody else.
  if (said('audience') !== gate)
    throw new Error(`the gate calls itself \`${safe(said('audience'))}\`; connect to it by that name`)
  if (said('issuer') !== ENROLLED_ISSUER + key.thumbprint) throw new Error('the gate enrolled another key')
  return {
    gate,
    codeHash: hash('sha256', code, 'hex'),
    key: key.jwk,
    issuer: said('issuer'),
    clientId: said('client_id'),
    subject: said('subject'),
    actor: said('actor'),
    tenant: said('tenant'),
    scope: said('scope'),
    expiresAt: said('expires_at'),
  }
}

interface Answer {
  readonly status: number
  readonly nonce: string | undefined
  readonly body: Buffer
}

function ask(
  { gate, code, ca, now }: RedeemOptions,
  key: SigningJwk,
  nonce: string | undefined,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const url = `${gate}/enrol`
    const body = Buffer.from(JSON.stringify({ code }))
    const proof = key.proof(
      { htm: 'POST', htu: url, ...(nonce === undefined ? {} : { nonce }) },
      now() / 1_000,
    )
    const send = url.startsWith('https:') ? requestTls : request
    const sent = send(
      url,
      {
        method: 'POST',
        agent: false,
        timeout: TIMEOUT_MS,
        ...(ca === undefined ? {} : { ca }),
        headers: { dpop: proof, 'content-type': 'application/json', 'content-length': body.length },
      },
      (answer) => {
        const chunks: Buffer[] = []
        let size = 0
        answer.on('data', (chunk: Buffer) => {
          size += chunk.length
          if (size > MAX_ANSWER_BYTES) answer.destroy(new Error('the answer of the gate is too long'))
          else chunks.push(chunk)
        })
        answer.on('error', reject)
        answer.on('end', () => {
          const { 'dpop-nonce': fresh } = answer.headers
          resolve({
            status: answer.statusCode ?? 0,
            nonce: typeof fresh === 'string' ? fresh : undefined,
            body: Buffer.concat(chunks),
          })
        })
      },
    )
    sent.on('timeout', () => sent.destroy(new Error(`no answer within ${TIMEOUT_MS / 1_000} s`)))
    sent.on('error', reject)
    sent.end(body)
  })
}

/** Reads texts of the answer. @throws Error when one is missing or too long to be one */
function membersOf(body: Buffer): (name: string) => string {
  let value: unknown
  try {
    value = JSON.parse(body.toString('utf8'))
  } catch {
    value = undefined
  }
  const object: object = typeof value === 'object' && value !== null ? value : {}
  return (name) => {
    const text: unknown = Object.getOwnPropertyDescriptor(object, name)?.value
    if (typeof text === 'string' && text.length <= 2_048) return text
    throw new Error(`the answer of the gate has no \`${name}\`; is it a Callgate gate?`)
  }
}

function safe(text: string): string {
  return text.slice(0, 200).replace(/[^\x20-\x7e]/g, '?')
}
