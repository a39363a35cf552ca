import { X509Certificate, randomBytes } from 'node:crypto'
import { type CertificateFolder, openCertificateFolder } from './folder.ts'
import { type CertificateFacts, certificatesIn, inspectCertificate } from '../../net/certificate.ts'
import { type LeafRequest, MAX_LEAF_DAYS, checkName, checkRequest } from './names.ts'
import { type CertificateRow, leafRow, listRow, authorityRow, kindOf } from './rows.ts'
import { makeAuthority, makeLeaf, makeRevocationList, readRevocationList } from './x509.ts'
import type { KeyedCertificate, RevocationContents } from './x509.ts'

/** A small certificate authority for those who have none. Each verb but `status` leaves files that are durable. */
export interface LocalAuthority {
  /** Makes the authority and an empty revocation list. @throws Error when there is one */
  init(): Promise<CertificateRow[]>
  /** Makes a key and a certificate. @throws Error when the name is in use, or asks for what must not be issued */
  issue(request: LeafRequest): Promise<CertificateRow>
  /**
   * Makes anew what has less than a third of its life left, with new keys; renews the revocation lists.
   * @returns what it made
   */
  rotate(options: { all: boolean; ca: boolean }): Promise<CertificateRow[]>
  /** Revokes every certificate of a name that has not expired. @returns the row, and how many were revoked now */
  revoke(name: string): Promise<{ row: CertificateRow; revoked: number }>
  /** Everything there is. Signs the revocation lists again when less than half of their life is left. */
  status(): Promise<CertificateRow[]>
}

const DAY_MS = 86_400_000
const AUTHORITY_DAYS = 365
const LIST_DAYS = 7
/** Clocks of two machines differ. */
const BACKDATE_MS = 300_000

/**
 * Opens the local authority of a folder; the folder need not exist.
 * @param now clock, milliseconds since the epoch
 */
export function openLocalAuthority(path: string, now: () => number): LocalAuthority {
  const folder = openCertificateFolder(path)

  /** Runs a verb on what is there, alone. */
  const onState = <T>(verb: (state: State) => Promise<T>): Promise<T> =>
    requireState(folder, path).then(() => folder.alone(async () => verb(await requireState(folder, path))))

  return {
    init: () =>
      folder.alone(async () => {
        if ((await folder.authorities()).length > 0) {
          throw new Error(
            `\`${path}\` holds an authority already; to renew it, run \`callgate certs rotate --ca\``,
          )
        }
        const state = await addAuthority(folder, [], now())
        return state.flatMap(({ authority, list }) => [
          authorityRow(authority, now()),
          listRow(authority, list, now()),
        ])
      }),

    async issue(request) {
      checkRequest(request)
      return onState(async (state) => {
        const there = await folder.leaf(request.name)
        if (
          there !== undefined &&
          !isRevoked(state, there) &&
          inspectCertificate(there, now()).daysLeft >= 0
        ) {
          throw new Error(
            `\`${request.name}\` has a certificate; run \`callgate certs rotate\` to renew it, or revoke it first`,
          )
        }
        return issueLeaf(folder, state, request, now())
      })
    },

    rotate: ({ all, ca }) =>
      onState(async (found) => {
        const at = now()
        const made: CertificateRow[] = []
        let state = found
        const newAuthority = async (): Promise<void> => {
          state = await addAuthority(folder, state, at)
          made.push(...state.slice(0, 1).map(({ authority }) => authorityRow(authority, at)))
        }
        const [current] = found.map(({ authority }) => inspectCertificate(authority.certificate, at))
        const due = ca || current === undefined || isLate(current, at)
        // Peers trust a new authority only once they have its certificate. So leaves that are due now still come from the
        // old one, unless it cannot cover their life, or the old one is what the operator wants to be rid of.
        const first = due && (all || current === undefined || current.daysLeft < MAX_LEAF_DAYS)
        if (first) await newAuthority()
        for (const name of await folder.names()) {
          const pem = (await folder.leaf(name)) ?? ''
          const facts = inspectCertificate(pem, at)
          if (isRevoked(state, pem) || !(all || isLate(facts, at))) continue
          made.push(await issueLeaf(folder, state, requestOf(name, facts), at))
        }
        if (due && !first) await newAuthority()
        else await signLists(folder, state, at)
        return made
      }),

    async revoke(name) {
      checkName(name)
      return onState(async (state) => {
        const at = now()
        const leaf = await folder.leaf(name)
        if (leaf === undefined) {
          const names = await folder.names()
          throw new Error(
            `there is no certificate \`${name}\`; ${names.length === 0 ? 'none was issued' : `there are \`${names.join('`, `')}\``}`,
          )
        }
        const counting = [...certificatesIn(leaf), ...(await folder.issued(name))].filter(
          (pem) => inspectCertificate(pem, at).notAfter > at && !isRevoked(state, pem),
        )
        const serials = new Map(
          counting.map((pem) => [inspectCertificate(pem, at).serial, new X509Certificate(pem)]),
        )
        const changed = state.map(({ authority, list }) => {
          const issuer = new X509Certificate(authority.certificate)
          const mine = [...serials].filter(([, certificate]) => certificate.checkIssued(issuer))
          return {
            authority,
            list: { ...list, revoked: [...list.revoked, ...mine.map(([serial]) => ({ serial, at }))] },
          }
        })
        const signed = await signLists(folder, changed, at)
        return {
          row: leafRow(name, leaf, at, isRevoked(signed, leaf), folder.pathOf(name)),
          revoked: serials.size,
        }
      })
    },

    async status() {
      const at = now()
      let state = await requireState(folder, path)
      if (state.some(({ list }) => list.nextUpdate - at < (LIST_DAYS * DAY_MS) / 2)) {
        state = await onState((found) => signLists(folder, found, at))
      }
      const leaves = await Promise.all(
        (await folder.names()).map(async (name) => {
          const pem = (await folder.leaf(name)) ?? ''
          return leafRow(name, pem, at, isRevoked(state, pem), folder.pathOf(name))
        }),
      )
      return [
        ...state.flatMap(({ authority, list }) => [
          authorityRow(authority, at),
          listRow(authority, list, at),
        ]),
        ...leaves,
      ]
    },
  }
}

/** Authorities, the newest first, each with what it has revoked. */
type State = readonly { readonly authority: KeyedCertificate; readonly list: RevocationContents }[]

async function requireState(folder: CertificateFolder, path: string): Promise<State> {
  const authorities = await folder.authorities()
  if (authorities.length === 0) {
    throw new Error(`\`${path}\` holds no authority; run \`callgate certs init\``)
  }
  const lists = await folder.revocationLists()
  return Promise.all(
    authorities.map(async (authority) => {
      for (const pem of lists) {
        const list = await readRevocationList(authority, pem)
        if (list !== undefined) return { authority, list }
      }
      // Signing an empty one in its place would let every revoked certificate count again.
      throw new Error(`\`${path}/crl.pem\` lacks the list of an authority; restore it from a backup`)
    }),
  )
}

/** Makes a new authority before those that have not expired. */
async function addAuthority(folder: CertificateFolder, state: State, now: number): Promise<State> {
  const from = now - BACKDATE_MS
  // Lists and chains are matched by name first, so no two authorities share one.
  const name = `Callgate local authority ${randomBytes(4).toString('hex')}`
  const authority = await makeAuthority(name, from, from + AUTHORITY_DAYS * DAY_MS)
  const kept = state.filter((one) => inspectCertificate(one.authority.certificate, now).notAfter > now)
  const all = [{ authority, list: { number: 0, revoked: [], thisUpdate: 0, nextUpdate: 0 } }, ...kept]
  const signed = await renewLists(all, now)
  await folder.putAuthorities(
    signed.map((one) => one.authority),
    signed.map((one) => one.pem),
  )
  return signed
}

async function signLists(folder: CertificateFolder, state: State, now: number): Promise<State> {
  const signed = await renewLists(state, now)
  await folder.putRevocationLists(signed.map(({ pem }) => pem))
  return signed
}

async function renewLists(state: State, now: number): Promise<(State[number] & { readonly pem: string })[]> {
  return Promise.all(
    state.map(async ({ authority, list }) => {
      const next = {
        number: list.number + 1,
        revoked: list.revoked,
        thisUpdate: now - BACKDATE_MS,
        nextUpdate: now + LIST_DAYS * DAY_MS,
      }
      return { authority, list: next, pem: await makeRevocationList(authority, next) }
    }),
  )
}

async function issueLeaf(
  folder: CertificateFolder,
  state: State,
  request: LeafRequest,
  now: number,
): Promise<CertificateRow> {
  const { name, days, ...rest } = request
  const notBefore = now - BACKDATE_MS
  const notAfter = notBefore + days * DAY_MS
  const authority = state[0]?.authority
  if (authority === undefined || inspectCertificate(authority.certificate, now).notAfter < notAfter) {
    throw new Error(
      `the authority ends before \`${name}\` would; run \`callgate certs rotate --ca\`, or give it fewer \`--days\``,
    )
  }
  const leaf = await makeLeaf(authority, { ...rest, name, notBefore, notAfter })
  const earlier = await folder.issued(name)
  await folder.putLeaf(
    name,
    leaf,
    earlier.filter((pem) => inspectCertificate(pem, now).notAfter > now),
  )
  return leafRow(name, leaf.certificate, now, false, folder.pathOf(name))
}

function requestOf(name: string, facts: CertificateFacts): LeafRequest {
  const { dns, ips, uris, lifetimeDays } = facts
  return { name, kind: kindOf(facts) === 'server' ? 'server' : 'client', dns, ips, uris, days: lifetimeDays }
}

function isLate({ notBefore, notAfter }: CertificateFacts, now: number): boolean {
  return notAfter - now < (notAfter - notBefore) / 3
}

function isRevoked(state: State, pem: string): boolean {
  const { serial } = inspectCertificate(pem, 0)
  return state.some(({ list }) => list.revoked.some((one) => one.serial === serial))
}
