import { type KeyObject, generateKeyPairSync, randomUUID, sign } from 'node:crypto'
import { type Server, createServer } from 'node:http'

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

/** A signing key of an issuer. */
export class IssuerKey {
  readonly kid: string
  readonly jwk: Readonly<Record<string, unknown>>
  readonly #key: KeyObject

  constructor(kid: string) {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    this.kid = kid
    this.jwk = { ...publicKey.export({ format: 'jwk' }), kid, alg: 'ES256', use: 'sig' }
    this.#key = privateKey
  }

  /** A token that the gate takes, unless changed. */
  mint(issuer: string, audience: string, claims: Readonly<Record<string, unknown>> = {}): string {
    const iat = Math.floor(Date.now() / 1_000)
    const payload = {
      iss: issuer,
      sub: 'tester',
      aud: audience,
      iat,
      nbf: iat,
      exp: iat + 300,
      jti: randomUUID(),
      client_id: 'test-agent',
      scope: 'test',
      ...claims,
    }
    const signed = `${encode({ alg: 'ES256', typ: 'at+jwt', kid: this.kid })}.${encode(payload)}`
    const signature = sign('sha256', Buffer.from(signed), { key: this.#key, dsaEncoding: 'ieee-p1363' })
    return `${signed}.${signature.toString('base64url')}`
  }
}

/** An issuer's key set over HTTP on loopback, which can be changed, fall silent and go away. */
export class JwksServer {
  keys: readonly IssuerKey[] = []
  /** Takes questions and answers none. */
  silent = false
  asked = 0
  readonly #server: Server
  url = ''

  private constructor() {
    this.#server = createServer((_, response) => {
      this.asked++
      if (this.silent) return
      response.writeHead(200, { 'content-type': 'application/jwk-set+json' })
      response.end(JSON.stringify({ keys: this.keys.map(({ jwk }) => jwk) }))
    })
  }

  static async start(keys: readonly IssuerKey[]): Promise<JwksServer> {
    const jwks = new JwksServer()
    jwks.keys = keys
    await new Promise<void>((resolve) => jwks.#server.listen(0, '127.0.0.1', resolve))
    const address = jwks.#server.address()
    jwks.url = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}/jwks.json`
    return jwks
  }

  close(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }
}
