import { once } from 'node:events'
import { createServer } from 'node:https'
import { connect, type TLSSocket } from 'node:tls'
import { Refusal } from '../../packages/gateway/src/call/refusal.ts'
import { peerCertificateOf, tlsServerOptions } from '../../packages/gateway/src/wire/tls.ts'
import { type Issued, makeCa, makeCertificate } from './pki.ts'

/** A certificate that its owner holds the key to. */
export type Shown = Pick<Issued, 'pem' | 'keyPem'>

/** A client, what it shows, and what the gate trusts. */
export interface Handshake {
  /** The client's certificate, then whatever else it sends; undefined: it has none. */
  readonly shown: readonly [Shown, ...Pick<Issued, 'pem'>[]] | undefined
  readonly trusted: readonly Pick<Issued, 'pem'>[]
  /** Revocation lists. */
  readonly lists?: readonly string[]
}

const serverCa = makeCa()
const server = makeCertificate({ issuer: serverCa, usages: ['serverAuth'], names: [{ dns: 'localhost' }] })

/**
 * Lets a client connect to a listener as the gate makes it.
 * @returns `accepted`; what OpenSSL says, such as `CERT_HAS_EXPIRED`; or the internal text of our refusal
 */
export async function verdictOn({ shown, trusted, lists }: Handshake): Promise<string> {
  const listener = createServer(
    tlsServerOptions({
      key: Buffer.from(server.keyPem),
      cert: Buffer.from(server.pem),
      clientCa: Buffer.from(trusted.map(({ pem }) => pem).join('')),
      crl: lists === undefined ? undefined : Buffer.from(lists.join('')),
      clientCertificates: 'required',
    }),
  )
  const verdict = new Promise<string>((resolve) => {
    listener.on('secureConnection', (socket: TLSSocket) => {
      const peer = peerCertificateOf(socket)
      resolve(peer instanceof Refusal ? String(peer.internal) : peer === undefined ? 'nobody' : 'accepted')
    })
    listener.on('tlsClientError', (error: NodeJS.ErrnoException, socket) =>
      resolve(socket.authorizationError?.toString() ?? error.code ?? error.message),
    )
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const address = listener.address()
  const client = connect({
    host: '127.0.0.1',
    port: typeof address === 'object' ? (address?.port ?? 0) : 0,
    rejectUnauthorized: false,
    // A hostile client holds itself to no level.
    ciphers: 'DEFAULT@SECLEVEL=0',
    ...(shown === undefined ? {} : { key: shown[0].keyPem, cert: shown.map(({ pem }) => pem).join('') }),
  })
  client.on('error', () => undefined)
  try {
    return await verdict
  } finally {
    client.destroy()
    listener.closeAllConnections()
    listener.close()
  }
}
