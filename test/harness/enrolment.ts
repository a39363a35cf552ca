import { randomUUID } from 'node:crypto'
import { type IncomingMessage, request } from 'node:http'
import { join } from 'node:path'
import { DpopKey, type ProofClaims } from './dpop.ts'
import type { HttpAnswer, TestGate } from './gate.ts'

/** What the control API answers. */
export interface ControlReply {
  readonly status: number
  readonly body: Record<string, unknown>
}

/** One request to the control API of a gate, over its socket. */
export function control(
  state: string,
  method: string,
  path: string,
  body?: string | Buffer | object,
  headers: Record<string, string> = {},
): Promise<ControlReply> {
  const bytes = typeof body === 'string' || Buffer.isBuffer(body) ? body : body && JSON.stringify(body)
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        socketPath: join(state, 'control.sock'),
        method,
        path,
        agent: false,
        headers: {
          ...(bytes === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(bytes) }),
          ...headers,
        },
      },
      (answer: IncomingMessage) => {
        const chunks: Buffer[] = []
        answer.on('data', (chunk: Buffer) => chunks.push(chunk))
        answer.on('error', reject)
        answer.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8')
          resolve({ status: answer.statusCode ?? 0, body: JSON.parse(text) as Record<string, unknown> })
        })
      },
    )
    sent.on('error', reject)
    sent.end(bytes)
  })
}

/** Makes an enrolment. */
export async function enrolmentOf(
  gate: TestGate,
  wanted: object = {},
): Promise<{ readonly id: string; readonly code: string }> {
  const { status, body } = await control(gate.state, 'POST', '/v1/enrolments', {
    actor: 'billing',
    ...wanted,
  })
  if (status !== 201) throw new Error(`${status} ${JSON.stringify(body)}`)
  return { id: String(body['id']), code: String(body['code']) }
}

/** A host with a key of its own that speaks the protocol by hand, right in every way unless told otherwise. */
export class EnrolledHost {
  readonly key = new DpopKey()
  readonly gate: TestGate
  /** What the gate answered to the code. */
  said: Record<string, unknown> = {}

  constructor(gate: TestGate) {
    this.gate = gate
  }

  static async of(gate: TestGate, wanted: object = {}): Promise<EnrolledHost & { readonly id: string }> {
    const { id, code } = await enrolmentOf(gate, wanted)
    const host = new EnrolledHost(gate)
    const answer = await host.redeem(code)
    if (answer.status !== 200) throw new Error(`${answer.status} ${answer.body}`)
    host.said = answer.json()
    return Object.assign(host, { id })
  }

  redeem(code: string, claims: ProofClaims = {}): Promise<HttpAnswer> {
    const dpop = this.key.proof(`${this.gate.url}/enrol`, '', { ath: undefined, ...claims })
    return this.gate.http(
      'POST',
      '/enrol',
      { dpop, 'content-type': 'application/json' },
      JSON.stringify({ code }),
    )
  }

  /** A token that this key signs. */
  token(claims: ProofClaims = {}, header: ProofClaims = {}): string {
    const iat = Math.floor(Date.now() / 1_000)
    return this.key.jws(
      { typ: 'at+jwt', kid: this.key.jkt, ...header },
      {
        iss: this.said['issuer'],
        sub: this.said['subject'],
        aud: `${this.gate.url}/mcp`,
        iat,
        nbf: iat,
        exp: iat + 300,
        jti: randomUUID(),
        client_id: this.said['client_id'],
        act: { sub: this.said['actor'] },
        tenant: this.said['tenant'],
        scope: this.said['scope'] === '' ? undefined : this.said['scope'],
        sid: 'test',
        cnf: { jkt: this.key.jkt },
        ...claims,
      },
    )
  }

  /** One JSON-RPC message with a token and its proof. */
  post(token: string, message: object, prover: DpopKey = this.key): Promise<HttpAnswer> {
    return this.gate.http(
      'POST',
      '/mcp',
      {
        ...prover.headers(`${this.gate.url}/mcp`, token),
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
      },
      JSON.stringify({ jsonrpc: '2.0', id: 1, ...message }),
    )
  }

  list(token: string, prover?: DpopKey): Promise<HttpAnswer> {
    return this.post(token, { method: 'tools/list' }, prover)
  }
}
