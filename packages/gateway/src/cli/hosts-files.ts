import { GATE_ENTRY } from './host-profiles.ts'
import type { ManagedGate } from './hosts-gate.ts'
import type { ServerLists } from './hosts-lists.ts'
import { safeJson } from '../text/safe-text.ts'

/** Hosts that document how an administrator says which servers they may use. */
export const managedHosts = ['claude-code', 'vscode', 'cursor'] as const

/** Word of `hosts export --host`. */
export type ManagedHost = (typeof managedHosts)[number]

/** A file for managed machines. Holds no secret: every user there can read it. */
export interface ManagedFile {
  readonly name: string
  /** What it says: an object of JSON, or lines. */
  readonly value: Readonly<Record<string, unknown>> | readonly string[]
  /** Members that this command writes into a file of this name, now or with other options. */
  readonly own: readonly string[]
  /** Members by which servers would come past the lists. */
  readonly wayPast: readonly string[]
}

/** The text of a file. The same for the same configuration and options, on every machine. */
export function fileText({ value }: Pick<ManagedFile, 'value'>): string {
  return isLines(value) ? value.map((line) => `${line}\n`).join('') : `${safeJson(value, 2)}\n`
}

/** Tells lines from an object of JSON. */
export function isLines(value: ManagedFile['value']): value is readonly string[] {
  return Array.isArray(value)
}

/** What the files of one host are made from. */
export interface ManagedSources {
  readonly gate: Pick<ManagedGate, 'url' | 'line' | 'via'>
  readonly lists: ServerLists
  /** Registry that VS Code takes its servers from, beside the lists. */
  readonly registry: string | undefined
}

/** The files of a host, in the order in which they are printed. */
export function managedFiles(host: ManagedHost, sources: ManagedSources): ManagedFile[] {
  switch (host) {
    case 'claude-code':
      return claudeCode(sources)
    case 'vscode':
      return vscode(sources)
    case 'cursor':
      return cursor(sources)
  }
}

/** https://code.claude.com/docs/en/managed-mcp, read 2026-11. Denied beats allowed, also for what managed-mcp.json names. */
function claudeCode({ gate, lists }: ManagedSources): ManagedFile[] {
  return [
    serverFile(
      'managed-mcp.json',
      'mcpServers',
      entry(gate, 'claude-code', { stdio: 'stdio', http: 'http' }),
    ),
    {
      name: 'managed-settings.json',
      value: {
        // Without it a user adds to the list by settings of his own.
        allowManagedMcpServersOnly: true,
        allowedMcpServers: lists.allowed,
        deniedMcpServers: lists.denied,
      },
      own: ['allowManagedMcpServersOnly', 'allowedMcpServers', 'deniedMcpServers'],
      wayPast: ['allowAllClaudeAiMcps', 'managedMcpServers'],
    },
  ]
}

/** https://code.visualstudio.com/docs/enterprise/policies, and src/vs/platform/mcp/common/allowedMcpServers.ts of VS Code. */
function vscode({ gate, lists, registry }: ManagedSources): ManagedFile[] {
  return [
    serverFile('mcp.json', 'servers', entry(gate, 'vscode', { stdio: 'stdio', http: 'http' })),
    {
      name: 'policy.json',
      value: {
        // A policy that is no text, number or truth value is a text of JSON.
        ChatAllowManagedMcpServersOnly: true,
        ChatAllowedMcpServers: safeJson(lists.allowed),
        ChatDeniedMcpServers: safeJson(lists.denied),
        ...(registry === undefined ? {} : { ChatMCP: 'registry', McpGalleryServiceUrl: registry }),
      },
      own: [
        'ChatAllowManagedMcpServersOnly',
        'ChatAllowedMcpServers',
        'ChatDeniedMcpServers',
        'ChatMCP',
        'McpGalleryServiceUrl',
      ],
      wayPast: [],
    },
  ]
}

/** https://cursor.com/docs/enterprise/model-and-integration-management: a list of what is allowed, entered on a web page. */
function cursor({ gate, lists }: ManagedSources): ManagedFile[] {
  return [
    serverFile('mcp.json', 'mcpServers', entry(gate, 'cursor', { stdio: undefined, http: undefined })),
    {
      name: 'mcp-allowlist.txt',
      value: lists.allowed.flatMap((each) =>
        'serverUrl' in each
          ? [each.serverUrl]
          : 'serverCommand' in each
            ? [each.serverCommand.join(' ')]
            : [],
      ),
      own: [],
      wayPast: [],
    },
  ]
}

function serverFile(name: string, place: string, gate: object): ManagedFile {
  return { name, value: { [place]: { [GATE_ENTRY]: gate } }, own: [place], wayPast: [] }
}

/** The gate as a server of a host. @param types what the host calls the two ways; undefined: it writes no `type` */
function entry(
  { url, line, via }: ManagedSources['gate'],
  host: ManagedHost,
  types: { readonly stdio: string | undefined; readonly http: string | undefined },
): object {
  const [command, ...args] = (via === 'connect' ? line(host) : undefined) ?? []
  const typed = (type: string | undefined): object => (type === undefined ? {} : { type })
  return command === undefined ? { ...typed(types.http), url } : { ...typed(types.stdio), command, args }
}
