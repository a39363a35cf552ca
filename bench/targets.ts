import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { TestGate } from '../test/harness/gate.ts'

/** Something that carries the load, on a core of its own where there are two. */
export interface Target {
  readonly name: 'nginx' | 'pass-through' | 'gate'
  readonly pid: number
  readonly port: number
  readonly stop: () => Promise<void>
}

export interface TargetOptions {
  readonly folder: string
  readonly upstream: number
  /** taskset and its arguments; empty: not pinned. */
  readonly pin: readonly string[]
  /** More of NODE_OPTIONS for the gate, such as a profiler. */
  readonly nodeOptions?: string
}

/** Ten rules, as an operator would have: most name other tools, three are asked about this call, one reads its arguments. */
const POLICY = `
- { rule: allow-reading, when: { class: read }, decision: allow }
- { rule: no-secrets, when: { tool: "up.echo", cond: "args.text.contains('BEGIN PRIVATE KEY')" }, decision: deny }
- { rule: no-strangers, when: { cond: "actor.tenant != 'default'" }, decision: deny }
- { rule: deny-bulk, when: { tool: "crm.bulk_update" }, decision: deny }
- { rule: no-delete, when: { tool: "crm.delete_*" }, decision: deny }
- { rule: no-drop, when: { tool: "db.drop" }, decision: deny }
- { rule: block-ssrf, when: { tool: "web.fetch", cond: "url.is_link_local || url.hostname in ['169.254.169.254']" }, decision: deny }
- { rule: allow-crm, when: { server: crm, class: write }, decision: allow }
- { rule: allow-web, when: { tool: "web.fetch" }, decision: allow }
- { rule: allow-db, when: { tool: "db.query" }, decision: allow }
`

/** One of our own programs, ready when it has printed its port. */
export function startProgram(
  file: string,
  args: readonly string[],
  pin: readonly string[],
): Promise<Omit<Target, 'name'>> {
  const path = fileURLToPath(new URL(file, import.meta.url))
  const [command = '', ...rest] = [...pin, process.execPath, path, ...args]
  const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'inherit'] })
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`\`${file}\` ended with ${code}`)))
    createInterface({ input: child.stdout }).once('line', (line) => {
      const stop = async (): Promise<void> => {
        child.kill()
        await gone
      }
      resolve({ pid: child.pid ?? 0, port: (JSON.parse(line) as { port: number }).port, stop })
    })
  })
}

export async function startPassThrough({ upstream, pin }: TargetOptions): Promise<Target> {
  return {
    name: 'pass-through',
    ...(await startProgram('pass-through.ts', [`http://127.0.0.1:${upstream}`], pin)),
  }
}

export async function startNginx({ folder, upstream, pin }: TargetOptions): Promise<Target> {
  const own = join(folder, 'nginx')
  mkdirSync(own, { recursive: true })
  const port = await freePort()
  const template = readFileSync(new URL('nginx.conf', import.meta.url), 'utf8')
  // Started by root, nginx would give its worker to `nobody`, who may not write into the folder.
  const user = process.getuid?.() === 0 ? 'user root;\n' : ''
  const filled = template
    .replaceAll('@FOLDER@', own)
    .replaceAll('@PORT@', String(port))
    .replaceAll('@UPSTREAM@', String(upstream))
  writeFileSync(join(own, 'nginx.conf'), user + filled)
  const [command = '', ...rest] = [
    ...pin,
    'nginx',
    '-p',
    own,
    '-c',
    join(own, 'nginx.conf'),
    '-e',
    join(own, 'nginx-error.log'),
  ]
  const child = spawn(command, rest, { stdio: ['ignore', 'ignore', 'inherit'] })
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  await listening(port)
  return {
    name: 'nginx',
    pid: child.pid ?? 0,
    port,
    async stop() {
      child.kill('SIGTERM')
      await gone
    },
  }
}

/** The gate with everything on: cached JWTs, replay per session, pins, strict schema, ten rules, evidence with fdatasync. */
export async function startGate(options: TargetOptions): Promise<{ target: Target; gate: TestGate }> {
  const { folder, upstream, pin, nodeOptions = '' } = options
  const gate = await TestGate.start({
    folder: join(folder, 'gate'),
    servers: `up:
  url: http://127.0.0.1:${upstream}/mcp
  network: [127.0.0.0/8]
  approve: first-use
  tools: { echo: { class: read } }`,
    policy: POLICY,
    env: { NODE_OPTIONS: nodeOptions },
    unwatched: true,
    wrap: pin,
  })
  const target: Target = {
    name: 'gate',
    pid: gate.process.pid ?? 0,
    port: Number(new URL(gate.url).port),
    stop: () => gate.stop(),
  }
  return { target, gate }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}

async function listening(port: number): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => socket.end(() => resolve(true)))
      socket.on('error', () => resolve(false))
    })
    if (open) return
    await new Promise((resolve) => {
      setTimeout(resolve, 50)
    })
  }
  throw new Error(`nginx does not listen on ${port}`)
}
