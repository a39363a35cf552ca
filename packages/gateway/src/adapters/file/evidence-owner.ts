import { hash, randomUUID } from 'node:crypto'
import { mkdir, open, readFile, readlink, realpath, unlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { Server } from 'node:net'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { EvidenceBusy, systemCode } from './evidence-errors.ts'

/** The right to write one log. */
export interface Owner {
  release(): Promise<void>
}

/** How a log is owned. */
export interface OwnerOptions {
  /** Told once when another process has taken the lease: nothing may be written any more. */
  readonly onLost: () => void
  /** Milliseconds between heartbeats. Default 1,000. */
  readonly heartbeatMs?: number
}

interface Lease {
  readonly host: string
  readonly pid: number
  /** Kernel boot and network namespace: within one, the abstract socket decides alone. */
  readonly scope: string
  readonly token: string
  readonly beat: number
}

const LEASE = 'lease'
// In-place writes of one length: a full disk cannot stop them and a reader never sees a mix of two lengths.
const LEASE_BYTES = 512

/**
 * Takes the one right to write a log, or says who holds it. An abstract Unix socket named by the directory's real path
 * vanishes with its process, so kill -9 leaves nothing to clean up. Such sockets do not cross containers: there the
 * lease file tells by its heartbeat, compared with itself over 3.5 beats, since clocks of two machines differ.
 * @throws EvidenceBusy naming pid and host of the owner
 */
export async function ownDirectory(directory: string, options: OwnerOptions): Promise<Owner> {
  const heartbeatMs = options.heartbeatMs ?? 1000
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const path = await realpath(directory)
  const server = await claimSocket(path)
  try {
    const own: Lease = {
      host: hostname(),
      pid: process.pid,
      scope: await scope(),
      token: randomUUID(),
      beat: 0,
    }
    await awaitDeadLease(path, own, heartbeatMs)
    await writeFile(join(path, LEASE), leaseText(own), { mode: 0o600 })
    const stop = keepLease(path, own, heartbeatMs, options.onLost)
    return {
      release: async () => {
        await stop()
        await new Promise((resolve) => {
          server.close(resolve)
        })
      },
    }
  } catch (error) {
    server.close()
    throw error
  }
}

async function claimSocket(path: string): Promise<Server> {
  const server = createServer((socket) => socket.destroy())
  server.unref()
  // The name is at most 107 bytes, hence the hash.
  const name = `\0callgate-${hash('sha256', path, 'hex')}`
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen({ path: name, exclusive: true }, resolve)
    })
  } catch (error) {
    if (systemCode(error) !== 'EADDRINUSE') throw error
    throw busy(path, await readLease(path))
  }
  return server
}

async function awaitDeadLease(path: string, own: Lease, heartbeatMs: number): Promise<void> {
  const found = await readLease(path)
  if (found === undefined || found.scope === own.scope) return
  await sleep(heartbeatMs * 3.5)
  const later = await readLease(path)
  if (later !== undefined && (later.beat !== found.beat || later.token !== found.token))
    throw busy(path, later)
}

function busy(path: string, lease: Lease | undefined): EvidenceBusy {
  const who = lease === undefined ? 'another process' : `pid ${lease.pid} on host \`${lease.host}\``
  return new EvidenceBusy(
    `evidence log \`${path}\` is written by ${who}; stop it, or give this gate another state directory`,
  )
}

function keepLease(path: string, own: Lease, heartbeatMs: number, onLost: () => void): () => Promise<void> {
  let { beat } = own
  let last = Promise.resolve()
  const timer = setInterval(() => {
    last = last.then(async () => {
      const found = await readLease(path)
      if (found !== undefined && found.token !== own.token) {
        clearInterval(timer)
        onLost()
        return
      }
      beat++
      await writeLease(path, { ...own, beat })
    })
    // A lease that cannot be written now is written at the next beat; three missed beats let another host in.
    last = last.catch(() => undefined)
  }, heartbeatMs)
  timer.unref()
  return async () => {
    clearInterval(timer)
    await last
    const found = await readLease(path)
    if (found?.token === own.token) await unlink(join(path, LEASE))
  }
}

async function writeLease(path: string, lease: Lease): Promise<void> {
  const file = await open(join(path, LEASE), 'r+')
  try {
    await file.write(leaseText(lease), 0)
  } finally {
    await file.close()
  }
}

function leaseText(lease: Lease): string {
  return `${JSON.stringify(lease).padEnd(LEASE_BYTES - 1)}\n`
}

async function readLease(path: string): Promise<Lease | undefined> {
  try {
    const value: unknown = JSON.parse(await readFile(join(path, LEASE), 'utf8'))
    return isLease(value) ? value : undefined
  } catch {
    // Absent, or torn by a crash: then nobody beats it either.
    return undefined
  }
}

function isLease(value: unknown): value is Lease {
  if (typeof value !== 'object' || value === null) return false
  const texts = ['host', 'scope', 'token'].every((name) => typeof Reflect.get(value, name) === 'string')
  return texts && ['pid', 'beat'].every((name) => typeof Reflect.get(value, name) === 'number')
}

async function scope(): Promise<string> {
  try {
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8')
    return `${boot.trim()} ${await readlink('/proc/self/ns/net')}`
  } catch {
    return hostname()
  }
}
