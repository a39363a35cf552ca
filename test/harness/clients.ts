import { join } from 'node:path'
import {
  Client,
  StreamableHTTPClientTransport,
  type VersionNegotiationMode,
} from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import {
  StdioClientTransport as StdioTransportV1,
  type StdioServerParameters,
} from '@modelcontextprotocol/sdk/client/stdio.js'
import { StreamableHTTPClientTransport as HttpTransportV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { ROOT, type TestGate } from './gate.ts'

/** A tool result as both SDKs hand it over, told apart from everything else that they allow. */
export interface Called {
  readonly text: string
  readonly isError: boolean
  readonly structured: unknown
}

export interface CallOptions {
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: number) => unknown
}

/** What the tests do with a client, whichever SDK it comes from. */
export interface SomeClient {
  /** Era that the client ended up in. */
  readonly era: 'legacy' | 'modern'
  tools(): Promise<string[]>
  call(name: string, args: Record<string, unknown>, options?: CallOptions): Promise<Called>
  resources(): Promise<string[]>
  read(uri: string): Promise<unknown[]>
  prompts(): Promise<string[]>
  prompt(name: string, args: Record<string, string>): Promise<unknown[]>
  close(): Promise<void>
}

/** Over HTTP straight to the gate, or over stdio through `callgate connect`. */
export type Way = 'http' | 'stdio'

export interface Kind {
  readonly name: string
  readonly era: 'legacy' | 'modern'
  connect(gate: TestGate, way: Way, server?: string): Promise<SomeClient>
}

const INFO = { name: 'test-client', version: '1.0.0' }

/** The clients that the gate must serve: SDK v1, and SDK v2 in each of its ways to find the era. */
export const KINDS: readonly Kind[] = [
  { name: 'SDK v1', era: 'legacy', connect: connectV1 },
  { name: 'SDK v2 legacy', era: 'legacy', connect: v2('legacy') },
  { name: 'SDK v2 auto', era: 'modern', connect: v2('auto') },
  { name: 'SDK v2 pinned', era: 'modern', connect: v2({ pin: '2026-07-28' }) },
]

function connectV1(gate: TestGate, way: Way, server?: string): Promise<SomeClient> {
  const { url, requestInit, command, args } = reach(gate, server)
  return way === 'http' ? runV1(new HttpTransportV1(url, { requestInit })) : connectThrough({ command, args })
}

/** A client of SDK v1 that starts any program which speaks MCP on stdio, such as another gateway. */
export function connectThrough(program: StdioServerParameters): Promise<SomeClient> {
  return runV1(new StdioTransportV1(program))
}

async function runV1(transport: HttpTransportV1 | StdioTransportV1): Promise<SomeClient> {
  const client = new ClientV1(INFO)
  await client.connect(transport)
  return {
    era: 'legacy',
    tools: async () => (await client.listTools()).tools.map(({ name }) => name),
    call: async (name, args_, options) =>
      called(await client.callTool({ name, arguments: args_ }, undefined, requestOptions(options))),
    resources: async () => (await client.listResources()).resources.map(({ uri }) => uri),
    read: async (uri) => (await client.readResource({ uri })).contents,
    prompts: async () => (await client.listPrompts()).prompts.map(({ name }) => name),
    prompt: async (name, args_) => (await client.getPrompt({ name, arguments: args_ })).messages,
    close: () => client.close(),
  }
}

function v2(mode: VersionNegotiationMode) {
  return async (gate: TestGate, way: Way, server?: string): Promise<SomeClient> => {
    const { url, requestInit, command, args } = reach(gate, server)
    const client = new Client(INFO, { versionNegotiation: { mode } })
    await client.connect(
      way === 'http'
        ? new StreamableHTTPClientTransport(url, { requestInit })
        : new StdioClientTransport({ command, args }),
    )
    return {
      era: client.getNegotiatedProtocolVersion() === '2026-07-28' ? 'modern' : 'legacy',
      tools: async () => (await client.listTools()).tools.map(({ name }) => name),
      call: async (name, args_, options) =>
        called(await client.callTool({ name, arguments: args_ }, requestOptions(options))),
      resources: async () => (await client.listResources()).resources.map(({ uri }) => uri),
      read: async (uri) => (await client.readResource({ uri })).contents,
      prompts: async () => (await client.listPrompts()).prompts.map(({ name }) => name),
      prompt: async (name, args_) => (await client.getPrompt({ name, arguments: args_ })).messages,
      close: () => client.close(),
    }
  }
}

/** Both ways to one endpoint of a gate. */
export function reach(gate: TestGate, server: string | undefined) {
  const path = server === undefined ? '/mcp' : `/mcp/${server}`
  return {
    url: new URL(gate.url + path),
    requestInit: { headers: { authorization: `Bearer ${gate.mint({ path })}` } },
    command: process.execPath,
    args: [
      join(ROOT, 'packages', 'gateway', 'bin', 'callgate.mjs'),
      'connect',
      '--state',
      gate.state,
      ...(server === undefined ? [] : ['--server', server]),
    ],
  }
}

function requestOptions({ signal, onProgress }: CallOptions = {}) {
  return {
    ...(signal === undefined ? {} : { signal }),
    ...(onProgress === undefined
      ? {}
      : { onprogress: (said: { progress: number }) => onProgress(said.progress) }),
  }
}

function called(result: Record<string, unknown>): Called {
  const [first]: unknown[] = Array.isArray(result['content']) ? result['content'] : []
  const text = typeof first === 'object' && first !== null && 'text' in first ? String(first.text) : ''
  return { text, isError: result['isError'] === true, structured: result['structuredContent'] }
}
