import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { Server } from 'node:http'
import type { Server as TlsServer } from 'node:https'
import {
  type DetailedPeerCertificate,
  type SecureContextOptions,
  type TLSSocket,
  createSecureContext,
} from 'node:tls'
import { signsOf, watchFiles } from './adapters/file/watch-files.ts'
import type { ClientTls } from './adapters/upstream/index.ts'
import type { JsonObject } from './call/json.ts'
import { CommandFailed } from './cli/output.ts'
import type { GatewayConfig } from './config/declaration.ts'
import { certificatesIn, inspectCertificate } from './net/certificate.ts'
import type { ExpiryWatch } from './compose-expiry.ts'
import type { Ending } from './telemetry/certificate-expiry.ts'
import { type TlsMaterial, tlsServerOptions } from './wire/tls.ts'

/** Milliseconds between looks at the files. */
const LOOK_MS = 500
/** Longest life of a certificate that is not told as a fault, in days. Source: playbook Play 2 ("cert rotation <= 90 days"). */
const MAX_LIFE_DAYS = 90

/** Longest chain that is walked. */
const MAX_CHAIN = 16

/** TLS of the listener, with the files of now. */
export interface ListenerTls {
  readonly material: TlsMaterial
  /** From now on the server takes what the files become; what cannot be used leaves it as it is. */
  watch(server: Server | TlsServer): void
  close(): void
}

/**
 * Reads the files of TLS.
 * @param key where they stand in the configuration
 * @throws CommandFailed naming the file that cannot be read, or what is wrong with them together
 */
export async function openTls(
  files: NonNullable<GatewayConfig['listener']['tls']>,
  note: (event: string, detail: JsonObject) => void,
  { expiry, look }: Pick<ExpiryWatch, 'expiry' | 'look'>,
  key = 'listener.tls',
): Promise<ListenerTls> {
  const paths = [files.key, files.cert, files.clientCa, files.crl].filter((path) => path !== undefined)
  const signs = await signsOf(paths)
  let taken = await read(files, key).catch((error: unknown) => {
    throw new CommandFailed(problemOf(error), {
      fix: `correct the files below \`${key}\`; \`callgate certs init\` and \`callgate certs issue\` make some`,
    })
  })
  const sayLives = ({ material, lists }: Taken): void => {
    const { cert, clientCa } = material
    expiry.hold(`${key}.cert`, endingsOf(cert))
    expiry.hold(`${key}.clientCa`, endingsOf(clientCa))
    expiry.hold(`${key}.crl`, lists)
    sayLong(cert, note)
  }
  sayLives(taken)
  let unwatch = (): void => undefined
  return {
    material: taken.material,
    watch(server) {
      if (!('setSecureContext' in server)) return
      const open = new Set<TLSSocket>()
      /** What a handshake of now would refuse ends, with all that goes on over it: requests, standing streams. */
      const sweep = (socket: TLSSocket, known: boolean): void => {
        if (!isTrusted(socket, taken, known)) socket.destroy()
      }
      server.on('secureConnection', (socket: TLSSocket) => {
        open.add(socket)
        socket.once('close', () => open.delete(socket))
        // Its handshake may have begun before the files changed. One that took up an older session shows no chain.
        sweep(socket, false)
      })
      unwatch = watchFiles(paths, signs, LOOK_MS, async () => {
        try {
          taken = await read(files, key)
          // Handshakes from here on take the new files and no ticket of the old ones; what they would take goes on.
          server.setSecureContext(tlsServerOptions(taken.material))
          for (const socket of open) sweep(socket, true)
          note('tls.loaded', {})
          sayLives(taken)
          look()
        } catch (error) {
          note('tls.refused', { problem: problemOf(error) })
        }
      })
    },
    close: () => unwatch(),
  }
}

/** Tells of a certificate of ours that lives longer than is sane; --strict refuses it. */
function sayLong(
  cert: Buffer,
  note: (event: string, detail: JsonObject) => void,
  whose: JsonObject = {},
): void {
  const days = inspectCertificate(cert, Date.now()).lifetimeDays
  if (days <= MAX_LIFE_DAYS) return
  note('tls.lifetime', {
    ...whose,
    problem: `the certificate lives ${days} days, at most ${MAX_LIFE_DAYS} are sane`,
  })
}

/** Files that fit together, and what they say of clients. */
interface Taken {
  readonly material: TlsMaterial
  /** Fingerprints of the authorities of clients. */
  readonly authorities: ReadonlySet<string>
  readonly revoked: ReadonlySet<string>
  /** Revocation lists, each with the time at which the next one is due. */
  readonly lists: readonly Omit<Ending, 'use'>[]
}

/** @throws Error when a file is missing, or key and certificate do not belong together */
async function read(files: NonNullable<GatewayConfig['listener']['tls']>, at: string): Promise<Taken> {
  const [key, cert, clientCa, crl] = await Promise.all([
    readFile(files.key),
    // A file with both is read once: between two reads it may change.
    files.cert === files.key ? undefined : readFile(files.cert),
    load(files.clientCa),
    load(files.crl),
  ])
  const clientCertificates = clientCa === undefined ? 'none' : files.clientCertificates
  const material: TlsMaterial = { key, cert: cert ?? key, clientCa, crl, clientCertificates }
  // Thrown here, before a server would take half of it.
  judge(`${at}.key\` and \`cert`, { key, cert: material.cert })
  if (clientCa !== undefined) judge(`${at}.clientCa`, { ca: clientCa })
  if (crl !== undefined) judge(`${at}.crl`, { crl })
  createSecureContext(tlsServerOptions(material))
  const authorities = certificatesIn(clientCa?.toString('latin1') ?? '')
  return {
    material,
    authorities: new Set(authorities.map((pem) => new X509Certificate(pem).fingerprint256)),
    ...(await revocations(crl)),
  }
}

/**
 * Whether the chain of a connection's client still ends in an authority of now and holds nothing that was revoked. Two authorities
 * may give out one serial number; then a good certificate has to connect anew.
 * @param whole whether a chain that is not known to its end is refused
 */
function isTrusted(socket: TLSSocket, { authorities, revoked }: Taken, whole: boolean): boolean {
  let certificate: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true)
  // Node gives an empty object where none was shown.
  if (certificate.fingerprint256 === undefined) return true
  for (let depth = 0; certificate !== undefined && depth < MAX_CHAIN; depth++) {
    if (revoked.has(certificate.serialNumber.toLowerCase())) return false
    if (authorities.has(certificate.fingerprint256)) return true
    certificate = certificate.issuerCertificate === certificate ? undefined : certificate.issuerCertificate
  }
  return !whole
}

/** TLS towards the servers that have their own, with the files of now. */
export interface ServerTls {
  of(server: string): ClientTls
  close(): void
}

/**
 * Reads the files of TLS towards servers, and reads them again when they change.
 * @throws CommandFailed naming the server, and the file that cannot be read or used
 */
export async function openServerTls(
  servers: GatewayConfig['servers'],
  note: (event: string, detail: JsonObject) => void,
  { expiry, look }: Pick<ExpiryWatch, 'expiry' | 'look'>,
): Promise<ServerTls> {
  const current = new Map<string, ClientTls>()
  const watches: (() => void)[] = []
  for (const [id, server] of Object.entries(servers)) {
    if (server.transport !== 'http' || server.tls === undefined) continue
    const { ca, cert, key } = server.tls
    const paths = [ca, cert, key].filter((path) => path !== undefined)
    const take = async (): Promise<void> => {
      const [caFile, keyFile, apart] = await Promise.all([
        load(ca),
        load(key),
        load(cert === key ? undefined : cert),
      ])
      const certFile = apart ?? keyFile
      if (caFile !== undefined) judge(`servers.${id}.tls.ca`, { ca: caFile })
      const own = certFile !== undefined && keyFile !== undefined ? { cert: certFile, key: keyFile } : {}
      judge(`servers.${id}.tls.cert`, own)
      current.set(id, { ...(caFile === undefined ? {} : { ca: caFile }), ...own })
      expiry.hold(`servers.${id}.tls.ca`, endingsOf(caFile))
      expiry.hold(`servers.${id}.tls.cert`, endingsOf(own.cert))
      if (own.cert !== undefined) sayLong(own.cert, note, { server: id })
    }
    const signs = await signsOf(paths)
    await take().catch((error: unknown) => {
      throw new CommandFailed(problemOf(error), { fix: `correct the files below \`servers.${id}.tls\`` })
    })
    watches.push(
      watchFiles(paths, signs, LOOK_MS, () =>
        take().then(
          () => {
            note('tls.loaded', { server: id })
            look()
          },
          (error: unknown) => note('tls.refused', { server: id, problem: problemOf(error) }),
        ),
      ),
    )
  }
  return {
    of: (server) => current.get(server) ?? {},
    close: () => {
      for (const unwatch of watches) unwatch()
    },
  }
}

async function load(path: string | undefined): Promise<Buffer | undefined> {
  return path === undefined ? undefined : readFile(path)
}

function judge(names: string, part: SecureContextOptions): void {
  try {
    createSecureContext(part)
  } catch (cause) {
    throw new Error(`\`${names}\`: ${problemOf(cause)}`, { cause })
  }
}

/** The certificates of a PEM file, each with its life. */
function endingsOf(pem: Buffer | undefined): Omit<Ending, 'use'>[] {
  return certificatesIn(pem?.toString('latin1') ?? '').map((certificate) => {
    const { subject, notBefore, notAfter } = inspectCertificate(certificate, Date.now())
    return { name: subject, notBefore, notAfter }
  })
}

/** The library that reads revocation lists is loaded where there is one. */
async function revocations(crl: Buffer | undefined): Promise<Pick<Taken, 'revoked' | 'lists'>> {
  if (crl === undefined) return { revoked: new Set(), lists: [] }
  const { revokedIn } = await import('./adapters/certs/revoked.ts')
  try {
    const { serials, lists } = revokedIn(crl.toString('latin1'))
    return {
      revoked: serials,
      lists: lists.flatMap(({ issuer, thisUpdate, nextUpdate }) =>
        nextUpdate === undefined ? [] : [{ name: issuer, notBefore: thisUpdate, notAfter: nextUpdate }],
      ),
    }
  } catch (cause) {
    throw new Error(`\`listener.tls.crl\`: ${problemOf(cause)}`, { cause })
  }
}

function problemOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
