import { readFile } from 'node:fs/promises'
import type { Server } from 'node:http'
import type { Server as TlsServer } from 'node:https'
import { createSecureContext } from 'node:tls'
import { signsOf, watchFiles } from './adapters/file/watch-files.ts'
import type { JsonObject } from './call/json.ts'
import { CommandFailed } from './cli/output.ts'
import type { GatewayConfig } from './config/declaration.ts'
import { type TlsMaterial, lifetimeDays, tlsServerOptions } from './wire/tls.ts'

/** Milliseconds between looks at the files. */
const LOOK_MS = 500
/** Longest life of a certificate that is not told as a fault, in days. Source: playbook Play 2 ("cert rotation <= 90 days"). */
const MAX_LIFE_DAYS = 90

/** TLS of the listener, with the files of now. */
export interface ListenerTls {
  readonly material: TlsMaterial
  /** From now on the server takes what the files become; what cannot be used leaves it as it is. */
  watch(server: Server | TlsServer): void
  close(): void
}

/**
 * Reads the files of TLS.
 * @throws CommandFailed naming the file that cannot be read, or what is wrong with them together
 */
export async function openTls(
  files: NonNullable<GatewayConfig['listener']['tls']>,
  note: (event: string, detail: JsonObject) => void,
): Promise<ListenerTls> {
  const paths = [files.key, files.cert, files.clientCa, files.crl].filter((path) => path !== undefined)
  const signs = await signsOf(paths)
  const material = await read(files).catch((error: unknown) => {
    throw new CommandFailed(problemOf(error), {
      fix: 'correct the files below `listener.tls`; `callgate certs init` and `callgate certs issue` make some',
    })
  })
  const sayLife = (cert: Buffer): void => {
    const days = lifetimeDays(cert)
    if (days > MAX_LIFE_DAYS)
      note('tls.lifetime', {
        problem: `the certificate lives ${Math.ceil(days)} days, at most ${MAX_LIFE_DAYS} are sane`,
      })
  }
  sayLife(material.cert)
  let unwatch = (): void => undefined
  return {
    material,
    watch(server) {
      if (!('setSecureContext' in server)) return
      unwatch = watchFiles(paths, signs, LOOK_MS, async () => {
        try {
          const next = await read(files)
          // Handshakes from here on take the new files and no ticket of the old ones; what is open goes on.
          server.setSecureContext(tlsServerOptions(next))
          note('tls.loaded', {})
          sayLife(next.cert)
        } catch (error) {
          note('tls.refused', { problem: problemOf(error) })
        }
      })
    },
    close: () => unwatch(),
  }
}

/** @throws Error when a file is missing, or key and certificate do not belong together */
async function read(files: NonNullable<GatewayConfig['listener']['tls']>): Promise<TlsMaterial> {
  const load = (path: string | undefined): Promise<Buffer> | undefined =>
    path === undefined ? undefined : readFile(path)
  const [key, cert, clientCa, crl] = await Promise.all([
    readFile(files.key),
    readFile(files.cert),
    load(files.clientCa),
    load(files.crl),
  ])
  const clientCertificates = clientCa === undefined ? 'none' : files.clientCertificates
  const material: TlsMaterial = { key, cert, clientCa, crl, clientCertificates }
  // Thrown here, before a server would take half of it.
  createSecureContext(tlsServerOptions(material))
  return material
}

function problemOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
