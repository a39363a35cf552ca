import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import type { HostProfile } from '../../packages/gateway/src/cli/host-profiles.ts'
import type { ToolResult } from '../harness/llm.ts'

/** Packages of test/hosts/package-lock.json. */
export const HOST_MODULES = join(import.meta.dirname, 'node_modules')

/** How the gate stands in a host's configuration, under the name `callgate`. */
export type Entry =
  | { readonly transport: 'stdio'; readonly command: string; readonly args: readonly string[] }
  | { readonly transport: 'http'; readonly url: string; readonly token: string }

/** How a run of the host ended. */
export interface HostRun {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A tool's answer as the model gets it, without the host's wrapping. */
export interface Handed {
  readonly text: string
  /** Undefined: this host tells its model nothing but the text. */
  readonly isError: boolean | undefined
}

/** A real MCP host that runs without a screen. */
export interface Host {
  readonly name: string
  readonly profile: HostProfile
  /** Word on the command line, and the file behind it. */
  readonly command: string
  readonly program: string
  /** The one platform that test/hosts/package-lock.json has it for, as `linux-x64`; undefined: wherever npm has it. */
  readonly only?: string
  /** Protocol version that it asks for first. */
  readonly protocol: Readonly<Record<Entry['transport'], string>>
  /** It asks addresses of its maker in every run, which the mock refuses; without it, asking any is a failure. */
  readonly phonesHome: boolean
  /** Variables beside those of every home. @param llm URL of the mock model */
  env(llm: string): Readonly<Record<string, string>>
  /** A tool of the gate as the model is offered it. */
  toolName(tool: string): string
  /** Takes apart what the host made of a tool's answer. */
  handed(result: ToolResult): Handed
  /** Enters the gate and the mock model in the host's own configuration. */
  enter(home: HostHome, entry: Entry): Promise<void>
  /** One turn; every tool of the gate may be used unasked. */
  turn(home: HostHome, prompt: string): Promise<HostRun>
}

/** Whether test/hosts holds the host's program for this machine. */
export const isInstalled = (host: Host): boolean => existsSync(host.program)

/**
 * A home of one host: no setting, login or variable of this machine reaches it, and both its model and its proxy are
 * the mock. Loopback is all there is: any other address goes to the mock, which refuses and counts it.
 */
export class HostHome {
  readonly folder: string
  /** URL of the mock model. */
  readonly llm: string
  readonly #env: Readonly<Record<string, string>>

  /** @param folder a new folder; @param llm URL of the mock model */
  constructor(host: Host, folder: string, llm: string) {
    this.folder = folder
    this.llm = llm
    const bin = join(folder, 'bin')
    const tmp = join(folder, 'tmp')
    for (const each of [bin, tmp]) mkdirSync(each, { recursive: true })
    // Run as npm unpacked it: install scripts do not run here.
    symlinkSync(host.program, join(bin, host.command))
    this.#env = {
      HOME: folder,
      TMPDIR: tmp,
      PATH: [bin, dirname(process.execPath), '/usr/bin', '/bin'].join(delimiter),
      HTTP_PROXY: llm,
      HTTPS_PROXY: llm,
      NO_PROXY: '127.0.0.1,localhost',
      // Node minds the three above only when told to.
      NODE_USE_ENV_PROXY: '1',
      ...host.env(llm),
    }
  }

  /** Runs one line in a shell, as a person pastes it. The host is found by PATH. */
  shell(line: string): Promise<HostRun> {
    return this.run('/bin/sh', ['-c', line])
  }

  /** Runs a program in this home until it has ended and closed its output. */
  run(command: string, args: readonly string[]): Promise<HostRun> {
    return new Promise((resolve, reject) => {
      const child = spawn(command, args, {
        cwd: this.folder,
        env: this.#env,
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      let stdout = ''
      let stderr = ''
      child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
      child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
      child.once('error', reject)
      child.once('close', (code) => resolve({ code, stdout, stderr }))
    })
  }

  /** Runs the host to configure it. @throws Error with its output when it fails */
  async configure(command: string, args: readonly string[]): Promise<void> {
    const { code, stdout, stderr } = await this.run(command, args)
    if (code !== 0) throw new Error(`\`${command} ${args[0]}\` ended with ${code}: ${stdout}${stderr}`)
  }

  /** Processes whose command line or environment names this home: what a host has left behind. Linux only. */
  processes(): { pid: number; command: string }[] {
    if (!existsSync('/proc/self/environ')) return []
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
      .filter((pid) => ['cmdline', 'environ'].some((file) => proc(pid, file).includes(this.folder)))
      .map((pid) => ({ pid: Number(pid), command: proc(pid, 'cmdline').replaceAll('\0', ' ') }))
  }
}

/** A file of one process; empty when it is gone meanwhile, or another user's. */
function proc(pid: string, file: string): string {
  try {
    return readFileSync(join('/proc', pid, file), 'utf8')
  } catch {
    return ''
  }
}
