import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { stateFolder } from './locate.ts'
import { CommandFailed, print, printJson } from './output.ts'
import { safeText } from '../text/safe-text.ts'

/** A certificate, an authority or a revocation list, as `callgate certs` tells of it. */
export interface CertificateFacts {
  readonly name: string
  /** `ca`, `crl`, or what the certificate is for. */
  readonly kind: string
  readonly names: readonly string[]
  /** ISO 8601, UTC. */
  readonly notAfter: string
  readonly daysLeft: number
  readonly flags: readonly string[]
  /** File with key and certificate. */
  readonly path?: string
}

/** What `callgate certs` needs of adapters/certs; main hands it in. */
export interface Certificates {
  readonly open: (folder: string) => Promise<{
    init(): Promise<readonly CertificateFacts[]>
    issue(request: {
      name: string
      kind: 'server' | 'client'
      dns: readonly string[]
      ips: readonly string[]
      uris: readonly string[]
      days: number
    }): Promise<CertificateFacts>
    rotate(options: { all: boolean; ca: boolean }): Promise<readonly CertificateFacts[]>
    revoke(name: string): Promise<{ row: CertificateFacts; revoked: number }>
    status(): Promise<readonly CertificateFacts[]>
  }>
  /** The certificates of a PEM file of whatever origin. @throws Error when it holds none */
  readonly inspect: (pem: string, path: string) => Promise<readonly CertificateFacts[]>
  /** When the next of each revocation list of a PEM text is due. @throws Error for a list that cannot be read */
  readonly nextUpdates: (pem: string) => Promise<readonly { issuer: string; nextUpdate: number }[]>
}

/** The part of the world that these commands use. */
export interface CertsWorld {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly certificates: Certificates
}

/** Options that every command of this file takes. */
export interface CertsOptions {
  /** Folder of the authority; default: `certs` in the state folder. */
  readonly dir?: string
  readonly json?: boolean
}

/** Options of `callgate certs issue`. */
export interface IssueOptions extends CertsOptions {
  readonly server?: boolean
  readonly client?: boolean
  readonly dns: readonly string[]
  readonly ip: readonly string[]
  readonly uri: readonly string[]
  readonly days: string
}

/** Flags that make `callgate certs status` fail: what is refused already, or lives longer than the playbook lets it. */
const FAULTS = new Set(['expired', 'over 90 days'])

/** `callgate certs init`: a new authority, and an empty revocation list. */
export async function certsInit(world: CertsWorld, options: CertsOptions): Promise<void> {
  const folder = folderOf(world, options)
  const rows = await (await world.certificates.open(folder)).init()
  if (options.json === true) return printJson(rows)
  printRows(rows)
  print(
    `peers trust what ${join(folder, 'ca.pem')} holds, and look for revoked certificates in crl.pem beside it`,
  )
  print(`whoever reads ${join(folder, 'authorities.pem')} can be any of them: keep it here`)
}

/** `callgate certs issue`: a key and a certificate in one file. */
export async function certsIssue(world: CertsWorld, name: string, options: IssueOptions): Promise<void> {
  if ((options.server === true) === (options.client === true)) {
    throw new CommandFailed('a certificate is for a server or for a client', {
      fix: 'give either --server or --client',
      exitCode: 2,
    })
  }
  const days = Number(options.days)
  if (!Number.isInteger(days) || days < 1 || days > 90) {
    throw new CommandFailed(`--days is \`${options.days}\` (expected an integer from 1 to 90)`, {
      exitCode: 2,
    })
  }
  const row = await (
    await world.certificates.open(folderOf(world, options))
  ).issue({
    name,
    kind: options.server === true ? 'server' : 'client',
    dns: options.dns,
    ips: options.ip,
    uris: options.uri,
    days,
  })
  if (options.json === true) return printJson(row)
  printRows([row])
  print(`key and certificate: ${row.path}`)
}

/** `callgate certs rotate`: new keys and certificates for what has less than a third of its life left. */
export async function certsRotate(
  world: CertsWorld,
  options: CertsOptions & { all?: boolean; ca?: boolean },
): Promise<void> {
  const folder = folderOf(world, options)
  const authority = await world.certificates.open(folder)
  const made = await authority.rotate({ all: options.all === true, ca: options.ca === true })
  if (options.json === true) return printJson(made)
  if (made.length === 0) return print('nothing is due; the revocation list was signed again')
  printRows(made)
  if (made.some(({ kind }) => kind === 'ca')) {
    print(
      `the next certificates come from a new authority: give ${join(folder, 'ca.pem')} to every peer before that`,
    )
  }
}

/** `callgate certs revoke`: no certificate of that name counts any more. */
export async function certsRevoke(world: CertsWorld, name: string, options: CertsOptions): Promise<void> {
  const folder = folderOf(world, options)
  const { row, revoked } = await (await world.certificates.open(folder)).revoke(name)
  if (options.json === true) return printJson({ ...row, revoked })
  print(
    revoked === 0
      ? `${name} was revoked before`
      : `${name}: ${revoked} revoked, in ${join(folder, 'crl.pem')}`,
  )
}

/**
 * `callgate certs status`: what there is and how long it lives, or the same of files that others made.
 * @returns exit code: 1 when something has expired or lives over 90 days
 */
export async function certsStatus(
  world: CertsWorld,
  files: readonly string[],
  options: CertsOptions,
): Promise<number> {
  const rows =
    files.length === 0
      ? await (await world.certificates.open(folderOf(world, options))).status()
      : (await Promise.all(files.map((file) => world.certificates.inspect(contentOf(file), file)))).flat()
  if (options.json === true) printJson(rows)
  else printRows(rows)
  return rows.some(({ flags }) => flags.some((flag) => FAULTS.has(flag))) ? 1 : 0
}

function folderOf(world: CertsWorld, options: CertsOptions): string {
  return options.dir === undefined ? join(stateFolder(world.env), 'certs') : resolve(options.dir)
}

function contentOf(file: string): string {
  try {
    return readFileSync(file, 'latin1')
  } catch (cause) {
    throw new CommandFailed(
      `\`${file}\` cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`,
      {
        cause,
      },
    )
  }
}

/** Names come from files of strangers too, so nothing of them reaches the terminal raw. */
function printRows(rows: readonly CertificateFacts[]): void {
  for (const { name, kind, names, notAfter, daysLeft, flags } of rows) {
    const marks = flags.length === 0 ? '' : `  ${flags.join(', ').toUpperCase()}`
    const known = names.length === 0 ? '' : ` ${names.join(' ')}`
    print(
      `${safeText(name)} (${kind})${safeText(known)}  until ${notAfter.slice(0, 10)}, ${daysLeft} days left${marks}`,
    )
  }
}
