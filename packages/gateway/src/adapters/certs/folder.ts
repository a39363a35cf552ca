import { createPrivateKey, X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { makeDirectories, realDisk, replaceDurably } from '../file/disk.ts'
import { EvidenceBusy } from '../file/evidence-errors.ts'
import { ownDirectory } from '../file/evidence-owner.ts'
import { certificatesIn } from '../../net/certificate.ts'
import type { KeyedCertificate } from './x509.ts'

/**
 * The folder of the local authority. Every file is 0600, put in place whole, and durable when written:
 *
 *     authorities.pem     keys and certificates of the authorities, the newest first. Whoever reads it can be anybody
 *     ca.pem              their certificates: what peers trust
 *     crl.pem             their revocation lists, in the same order
 *     leaves/NAME.pem     key and certificate in one file: two files, or a link to follow twice, may be read one before
 *                         and one after a rotation, and such a pair opens nothing
 *     issued/NAME.pem     every certificate of that name that has not expired: a rotated one still counts until then,
 *                         so revoking the name must revoke them all
 */
export interface CertificateFolder {
  authorities(): Promise<KeyedCertificate[]>
  /** Revocation lists as PEM, one an entry; none when there is no file. */
  revocationLists(): Promise<string[]>
  /** Names of the leaves, in order. */
  names(): Promise<string[]>
  /** @returns undefined when there is no leaf of that name */
  leaf(name: string): Promise<string | undefined>
  issued(name: string): Promise<string[]>
  putAuthorities(authorities: readonly KeyedCertificate[], lists: readonly string[]): Promise<void>
  putRevocationLists(lists: readonly string[]): Promise<void>
  putLeaf(name: string, leaf: KeyedCertificate, stillIssued: readonly string[]): Promise<void>
  /** Runs what writes while no other process does. @throws Error when one does */
  alone<T>(work: () => Promise<T>): Promise<T>
  pathOf(name: string): string
}

const KEY = block('PRIVATE KEY')
const LIST = block('X509 CRL')

/** One block of a PEM text (RFC 7468). */
function block(label: string): RegExp {
  return new RegExp(`-----BEGIN ${label}-----[^-]+-----END ${label}-----`, 'g')
}

/** Opens the folder of a local authority; it need not be there yet. */
export function openCertificateFolder(folder: string): CertificateFolder {
  let mine = true
  const read = async (...path: string[]): Promise<string | undefined> =>
    (await realDisk.read(join(folder, ...path)))?.toString('latin1')
  const put = async (text: readonly string[], ...path: string[]): Promise<void> => {
    if (!mine) throw new Error(`\`${folder}\` was taken over by another process; run the command again`)
    const file = join(folder, ...path)
    await makeDirectories(realDisk, join(file, '..'), new Set())
    await replaceDurably(realDisk, file, Buffer.from(text.map((pem) => `${pem.trim()}\n`).join('')))
  }
  const leafPath = (name: string): [string, string] => ['leaves', `${name}.pem`]

  return {
    async authorities() {
      const text = (await read('authorities.pem')) ?? ''
      const keys = text.match(KEY) ?? []
      return certificatesIn(text).map((certificate, i) => {
        const key = keys[i]
        if (key === undefined || !fits(certificate, key)) {
          throw new Error(`\`${join(folder, 'authorities.pem')}\` is damaged; restore it from a backup`)
        }
        return { certificate, key }
      })
    },
    revocationLists: async () => (await read('crl.pem'))?.match(LIST) ?? [],
    names: async () =>
      (await realDisk.list(join(folder, 'leaves')))
        .filter((file) => file.endsWith('.pem'))
        .map((file) => file.slice(0, -4))
        .toSorted(),
    leaf: (name) => read(...leafPath(name)),
    issued: async (name) => certificatesIn((await read('issued', `${name}.pem`)) ?? ''),
    async putAuthorities(authorities, lists) {
      // Peers first: what a new authority signs must meet its certificate and its list.
      await put(
        authorities.map(({ certificate }) => certificate),
        'ca.pem',
      )
      await put(lists, 'crl.pem')
      await put(
        authorities.flatMap(({ key, certificate }) => [key, certificate]),
        'authorities.pem',
      )
    },
    putRevocationLists: (lists) => put(lists, 'crl.pem'),
    async putLeaf(name, { key, certificate }, stillIssued) {
      // Listed before it can be used: a certificate in use is always one that can be revoked.
      await put([certificate, ...stillIssued], 'issued', `${name}.pem`)
      await put([key, certificate], ...leafPath(name))
    },
    async alone(work) {
      const owner = await ownDirectory(folder, { onLost: () => (mine = false) }).catch((error: unknown) => {
        if (!(error instanceof EvidenceBusy)) throw error
        throw new Error(`\`${folder}\` is being written by another process; wait until it has ended`, {
          cause: error,
        })
      })
      try {
        return await work()
      } finally {
        await owner.release()
      }
    },
    pathOf: (name) => join(folder, ...leafPath(name)),
  }
}

function fits(certificate: string, key: string): boolean {
  return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key))
}
