import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { type RequestOptions, request as requestTls } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type StoredRecord, readRecords, verifyLog } from '@callgate/evidence'
import { openDevIssuer } from '../../packages/gateway/src/adapters/keys/dev-issuer.ts'
import { readFileSync } from 'node:fs'

/** The command line. */
export const BIN = fileURLToPath(new URL('../../packages/gateway/bin/callgate.mjs', import.meta.url))

/** Ends each gate that lets a caller's token out: every test spies on what goes upstream. */
const NO_TOKEN_LEAVES = new URL('no-token-leaves.ts', import.meta.url).href

/** The checkout. */
export const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** Path of a quickstart server's program. */
export const serverProgram = (name: string) =>
  join(ROOT, 'node_modules', '@modelcontextprotocol', `server-${name}`, 'dist', 'index.js')

export interface GateOptions {
  /** YAML of `servers:`, indented by nothing, such as `fs:\n  command: [...]`. */
  readonly servers: string
  /** YAML rules; default: allow everything. */
  readonly policy?: string
  /** YAML of `policy` where it is more than `policy.yaml` and packs. */
  readonly policyYaml?: string
  /** Packs of rules before the policy, such as `pack:read-only`. Default none. */
  readonly packs?: readonly string[]
  /** More YAML at the top level; may replace `identity`. */
  readonly more?: string
  /** YAML of `identity`; default the dev issuer with replay `session`. */
  readonly identity?: string
  /** Folder for configuration and state; default a new one that close removes. */
  readonly folder?: string
  readonly env?: Record<string, string>
  /** Whether what goes upstream is not looked through for tokens of callers: where the gate alone is measured. */
  readonly unwatched?: boolean
  /** Program and arguments put before the gate's own, such as a fault injector. */
  readonly wrap?: readonly string[]
}

/** Answer of one raw HTTP request. */
export interface HttpAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly rawHeaders: readonly string[]
  readonly body: string
  readonly json: () => Record<string, unknown>
}

export interface Minting {
  readonly path?: string
  readonly audience?: string
  readonly subject?: string
  readonly clientId?: string
  readonly scope?: string
  readonly lifetimeS?: number
  readonly once?: boolean
  readonly sid?: string
  readonly details?: readonly object[]
  readonly confirmation?: { readonly jkt: string } | { readonly 'x5t#S256': string }
}

const INDENT = (text: string) =>
  text
    .split('\n')
    .map((line) => (line === '' ? line : `  ${line}`))
    .join('\n')

/** A real gate in a process of its own, from a folder of its own. */
export class TestGate {
  readonly folder: string
  readonly state: string
  readonly config: string
  readonly process: ChildProcess
  readonly #owned: boolean
  url = ''
  stderr = ''
  /** How its TLS is met: authorities, and a certificate of one's own. */
  tls: Pick<RequestOptions, 'ca' | 'cert' | 'key' | 'agent' | 'ciphers' | 'minVersion' | 'maxVersion'> = {}

  private constructor(folder: string, owned: boolean, options: GateOptions) {
    this.folder = folder
    this.#owned = owned
    this.state = join(folder, 'state')
    this.config = join(folder, 'callgate.yaml')
    const identity =
      options.identity ?? 'issuers: [{ issuer: "urn:callgate:dev-issuer", dev: true }]\nreplay: session'
    mkdirSync(folder, { recursive: true })
    writeFileSync(
      join(folder, 'policy.yaml'),
      options.policy ?? '- rule: allow-everything\n  when: { tool: "*" }\n  decision: allow\n',
    )
    writeFileSync(
      this.config,
      `identity:\n${INDENT(identity)}\nservers:\n${INDENT(options.servers)}\npolicy: ${options.policyYaml ?? `{ files: [${[...(options.packs ?? []), 'policy.yaml'].join(', ')}] }`}\n${options.more ?? 'listener: { port: 0 }'}\n`,
    )
    const argv = [...(options.wrap ?? []), process.execPath, BIN, 'start', '--config', this.config, '--json']
    this.process = spawn(argv[0] ?? '', argv.slice(1), {
      env: {
        ...process.env,
        CALLGATE_STATE: this.state,
        CALLGATE_PORT: '',
        ...options.env,
        NODE_OPTIONS: `${options.env?.['NODE_OPTIONS'] ?? ''}${options.unwatched === true ? '' : ` --import ${NO_TOKEN_LEAVES}`}`,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.process.stderr?.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()))
  }

  /** Starts a gate and waits until every server has listed or failed once; with a test, it ends with the test. */
  static async start(options: GateOptions, t?: TestContext): Promise<TestGate> {
    const folder = options.folder ?? mkdtempSync(join(tmpdir(), 'callgate-test-'))
    const gate = new TestGate(folder, options.folder === undefined, options)
    // A test that fails before it closes its gate must not keep the run alive.
    t?.after(() => gate.close())
    await gate.#ready()
    return gate
  }

  #ready(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.process.once('exit', (code) => reject(new Error(`the gate ended with ${code}: ${this.stderr}`)))
      if (this.process.stdout === null) throw new Error('no stdout')
      createInterface({ input: this.process.stdout }).on('line', (line) => {
        if (!line.includes('gate.ready')) return
        this.url = String((JSON.parse(line) as { url: string }).url)
        resolve()
      })
    })
  }

  /** A token of the gate's dev issuer. */
  mint({
    path = '/mcp',
    audience,
    subject = 'tester',
    clientId = 'test-agent',
    ...rest
  }: Minting = {}): string {
    return openDevIssuer(this.state).mint({
      audience: audience ?? this.url + path,
      subject,
      clientId,
      ...rest,
    }).token
  }

  /** One raw HTTP request over a socket of its own. */
  http(
    method: string,
    path: string,
    headers: Record<string, string | string[]>,
    body?: string | Buffer,
  ): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      const send = this.url.startsWith('https:') ? requestTls : request
      const req = send(this.url + path, { agent: false, ...this.tls, method, headers }, (res) => {
        const chunks: Buffer[] = []
        res.on('data', (chunk: Buffer) => chunks.push(chunk))
        res.on('error', reject)
        res.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8')
          resolve({
            status: res.statusCode ?? 0,
            headers: res.headers,
            rawHeaders: res.rawHeaders,
            body: text,
            json: () => JSON.parse(text) as Record<string, unknown>,
          })
        })
      })
      req.on('error', reject)
      req.end(body)
    })
  }

  /** One legacy JSON-RPC request with a fresh token unless one is given. */
  async rpc(
    method: string,
    params: object,
    options: { path?: string; token?: string; id?: number | string } = {},
  ): Promise<HttpAnswer> {
    const { path = '/mcp', token = this.mint({ path }), id = 1 } = options
    return this.http(
      'POST',
      path,
      {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
      },
      JSON.stringify({ jsonrpc: '2.0', id, method, params }),
    )
  }

  /** One tools/call; the text of the first content item and whether the result is an error. */
  async call(
    name: string,
    args: object,
    options: { path?: string; token?: string } = {},
  ): Promise<{ text: string; isError: boolean; answer: HttpAnswer }> {
    const answer = await this.rpc('tools/call', { name, arguments: args }, options)
    const { result } = answer.json() as { result?: { content?: { text?: string }[]; isError?: boolean } }
    return { text: result?.content?.[0]?.text ?? '', isError: result?.isError === true, answer }
  }

  get log(): string {
    return join(this.state, 'evidence', '0')
  }

  /** Every record of the log, the unsigned tail too. */
  async records(): Promise<StoredRecord[]> {
    const all: StoredRecord[] = []
    for await (const stored of readRecords(this.log)) all.push(stored)
    return all
  }

  /** Verifies the log from outside. */
  verify() {
    return verifyLog(this.log, { verifierKey: readFileSync(join(this.log, 'vkey'), 'utf8').trim() })
  }

  /** Ends the gate as an operator would, or at once with SIGKILL. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return
    const gone = new Promise<void>((resolve) => this.process.once('exit', () => resolve()))
    this.process.kill(signal)
    await gone
  }

  async close(): Promise<void> {
    await this.stop()
    if (this.#owned) rmSync(this.folder, { recursive: true, force: true })
  }
}
