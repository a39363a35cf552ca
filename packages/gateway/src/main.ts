import { readFileSync } from 'node:fs'
import { enableCompileCache, flushCompileCache } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { World } from './cli/world.ts'

// Compiled code is kept inside the installation, never in a folder that others may write to. Where it cannot be kept,
// starting is slower and nothing else. It must be switched on before the first module that is worth keeping.
enableCompileCache(fileURLToPath(new URL('../.cache/', import.meta.url)))

/** Milliseconds until a relay keeps what it compiled: the gate works on the first message by then. */
const KEEP_MS = 100

const { createProgram, runProgram } = await import('./cli/program.ts')
const manifest: { version: string } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
)
const { version } = manifest

const examination = () => import('./adapters/examine/index.ts')

/** What commands may use of rooms that they must not know; each is loaded when it is used. */
const world: World = {
  env: process.env,
  now: Date.now,
  startGate: async (config) => (await import('./compose.ts')).startGate(config, version),
  encloseGate: async (config, onEvent) =>
    (await import('./compose.ts')).encloseGate(config, version, onEvent),
  openDevIssuer: async (state) => (await import('./adapters/keys/dev-issuer.ts')).openDevIssuer(state),
  bundle: async (config) => (await import('./compose-policy.ts')).readLiveBundle(config, Date.now()),
  pins: async (path) => (await import('./adapters/file/pin-store.ts')).createPinStore(path).load(),
  async approve(state, given) {
    const { createApprovals } = await import('./adapters/file/approvals.ts')
    await createApprovals(join(state, 'approvals')).put({ ...given, at: new Date().toISOString() })
  },
  sealKeys: {
    names: async (directory) => (await import('./adapters/file/seal-keys.ts')).namesOfSealKeys(directory),
    async list(directory) {
      const { namesOfSealKeys, readSealKeys } = await import('./adapters/file/seal-keys.ts')
      return readSealKeys(directory, await namesOfSealKeys(directory))
    },
    rotate: async (directory, now, revoke) =>
      (await import('./adapters/file/seal-keys.ts')).rotateSealKeys(directory, now, revoke),
  },
  certificates: {
    open: async (folder) =>
      (await import('./adapters/certs/authority.ts')).openLocalAuthority(folder, Date.now),
    inspect: async (pem, path) => (await import('./adapters/certs/rows.ts')).rowsOf(pem, path, Date.now()),
    nextUpdates: async (pem) =>
      (await import('./adapters/certs/revoked.ts'))
        .revokedIn(pem)
        .lists.flatMap(({ issuer, nextUpdate }) =>
          nextUpdate === undefined ? [] : [{ issuer, nextUpdate }],
        ),
  },
  macKeys: async (state) =>
    (await import('./adapters/file/mac-keys.ts')).openMacKeys(join(state, 'keys', 'evidence-mac.key')),
  examine: {
    secret: async (config, text, algorithm) => (await examination()).examineSecret(config, text, algorithm),
    signer: async (config, place) => (await examination()).examineSigner(config, place),
    keys: async (jwks) => (await examination()).examineKeys(jwks),
    server: async (id, server) => (await examination()).examineServer(id, server),
    resolver: async (servers) => (await examination()).examineResolver(servers),
    health: async (url, isTls) => (await examination()).examineHealth(url, isTls),
  },
  openScan: async (config) => (await import('./compose-scan.ts')).openScan(config),
  openResolver: async () => (await import('./adapters/dns/resolver.ts')).createDnsResolver(),
  consent: {
    listen: async () => (await import('./wire/consent-callback.ts')).listenForConsent(),
    post: async (target, body) => (await import('./adapters/gate/post.ts')).postTo(target, body),
  },
  remote: {
    read: async (folder) => (await import('./adapters/gate/enrolled-key.ts')).readEnrolment(folder),
    async enrol({ folder, gate, code, ca }) {
      const { NotEnrolled, redeem } = await import('./adapters/gate/redeem.ts')
      const { keepEnrolment } = await import('./adapters/gate/enrolled-key.ts')
      try {
        await keepEnrolment(folder, await redeem({ gate, code, ca, now: Date.now }))
        return undefined
      } catch (error) {
        if (error instanceof NotEnrolled) return error.code ?? `HTTP ${error.status}`
        throw error
      }
    },
    async credential({ folder, ...options }) {
      const { createEnrolledCredential } = await import('./adapters/gate/enrolled-credential.ts')
      const { readEnrolment } = await import('./adapters/gate/enrolled-key.ts')
      const enrolment = await readEnrolment(folder)
      if (enrolment === undefined) throw new Error(`the key in \`${folder}\` is gone; enrol anew with --code`)
      return createEnrolledCredential({ enrolment, now: Date.now, ...options })
    },
  },
  async relay({ url, credential, ca, dial, signal, closing }) {
    const { createGateClient } = await import('./adapters/gate/client.ts')
    const { relayStdio } = await import('./wire/stdio-relay.ts')
    // Node keeps it at the end of a process, and hosts end theirs by a signal.
    setTimeout(flushCompileCache, KEEP_MS).unref()
    const client = createGateClient({
      url,
      credential,
      ...(ca === undefined ? {} : { ca }),
      ...(dial === undefined ? {} : { dial }),
    })
    await relayStdio({
      input: process.stdin,
      output: process.stdout,
      send: client.send,
      ...(signal === undefined ? {} : { signal }),
      ...(closing === undefined ? {} : { closing }),
    })
    client.close()
  },
}

process.exitCode = await runProgram(createProgram(world, version), process.argv.slice(2))
