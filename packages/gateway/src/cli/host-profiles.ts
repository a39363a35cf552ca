/** Where a value is from: seen on a wire, read in the host's source, in its documentation, told by others, or not found. */
export type Source = 'measured' | 'source' | 'doc' | 'reported'

/** A value with its source (PROTOCOL.md section 5, state of 2026-11-22). */
export type Known<T> = { readonly is: T; readonly from: Source; readonly note?: string } | NotFound

/** Neither measured nor documented. */
export interface NotFound {
  readonly from: 'not found'
}

/** Operating systems that have places of their own for configuration, as `process.platform` names them. */
export type Platform = 'linux' | 'darwin' | 'win32'

/** How a host writes one server. */
export interface EntryForm {
  /** Word of `type` in a stdio entry; undefined: the host writes none. */
  readonly stdio: string | undefined
  /** Words of `type` that mean Streamable HTTP. */
  readonly http: readonly string[]
  /** Words of `type` that mean HTTP+SSE of 2024-11-05. */
  readonly sse: readonly string[]
  /** What a `url` without `type` means to the host; `refused`: the host does not take it. */
  readonly urlAlone: 'http' | 'sse' | 'refused'
  /** How the host fills in values from elsewhere, for instance `${VAR}`; undefined: it does not. */
  readonly substitution: string | undefined
}

/** What a host makes of a tool's name. */
export interface ToolNames {
  /** Name that is counted and shown to the model, with `{server}` and `{tool}`. */
  readonly shown: string
  /** Longest shown name, in characters; undefined: no limit. */
  readonly most: number | undefined
  /** Letters that pass unchanged, as a character class. */
  readonly letters: string
  /** What becomes of a longer name. */
  readonly longer: string
}

/** What Callgate knows of one MCP host. */
export interface HostProfile {
  readonly title: string
  /** Version that the values were taken from. */
  readonly version: string
  /**
   * Files that hold servers. `{home}` and `{appData}` stand for the folders of the user, `{project}` for the working
   * directory. The first of `user` is made where none is there; the others only count when they exist.
   */
  readonly files: {
    readonly user: Readonly<Record<Platform, readonly string[]>>
    readonly project: readonly string[]
  }
  /** Environment variable that names another folder than `{home}` for the files of the user. */
  readonly homeVariable?: string
  readonly format: 'json' | 'yaml'
  /** What a new file holds before the first server is entered. */
  readonly blank: string
  /** Where servers stand in the file, the main place first; `*` stands for any key. */
  readonly places: readonly (readonly string[])[]
  readonly entry: EntryForm
  readonly clientInfo: Known<readonly string[]>
  /** Protocol versions, the one that is tried first before the others. */
  readonly protocol: Known<readonly string[]>
  readonly capabilities: Known<readonly string[]>
  readonly toolNames: Known<ToolNames>
  /** Bytes after which tool descriptions are cut. */
  readonly descriptionBytes: Known<number>
  /** What an HTTP 4xx makes of the server. */
  readonly on4xx: Known<string>
  /** Whether a changed tool list is taken without a new connection. */
  readonly listChanged: Known<boolean>
  /** What the model sees of `structuredContent`. */
  readonly structuredContent: Known<string>
  /** Places that this host starts servers from and that `install` does not change: what they hold bypasses the gate. */
  readonly elsewhere: readonly string[]
}

/** Name under which `install` enters the gate in every host. */
export const GATE_ENTRY = 'callgate'

const notFound = { from: 'not found' } as const satisfies NotFound
const everywhere = (file: string) => ({ linux: [file], darwin: [file], win32: [file] }) as const
const TOOL_LETTERS = '[A-Za-z0-9_-]'

/** The hosts that Callgate knows, by the word of `install --host`. */
export const hostProfiles = {
  'claude-code': {
    title: 'Claude Code',
    version: '2.1.330',
    files: { user: everywhere('{home}/.claude.json'), project: ['{project}/.mcp.json'] },
    // Measured: the file of the user lies there in place of the home folder.
    homeVariable: 'CLAUDE_CONFIG_DIR',
    format: 'json',
    blank: '{}\n',
    // Beside the servers of the user the same file holds those that belong to one folder alone ("local").
    places: [['mcpServers'], ['projects', '*', 'mcpServers']],
    entry: { stdio: 'stdio', http: ['http'], sse: ['sse'], urlAlone: 'refused', substitution: '${VAR}' },
    clientInfo: { is: ['claude-code'], from: 'measured' },
    protocol: {
      is: ['2026-07-28', '2025-11-25'],
      from: 'measured',
      note: 'asks server/discover first and falls back to initialize',
    },
    capabilities: { is: ['roots.listChanged', 'elicitation.form', 'elicitation.url'], from: 'measured' },
    toolNames: {
      is: {
        shown: 'mcp__{server}__{tool}',
        most: 128,
        letters: TOOL_LETTERS,
        longer: 'dropped without a word',
      },
      from: 'measured',
      note: '125 characters kept, 131 dropped; other letters become `_`',
    },
    descriptionBytes: { is: 2048, from: 'doc', note: 'instructions too' },
    on4xx: {
      is: '401 starts the search for an authorization server, 403 asks for more scope; on connect it means a login is needed',
      from: 'doc',
    },
    listChanged: { is: true, from: 'doc', note: 'since 2.1.0' },
    structuredContent: { is: 'read', from: 'doc', note: 'since 2.0.21' },
    elsewhere: [
      '`.mcp.json` of every other folder',
      'plugins, and managed-mcp.json where an administrator has put one',
      'connectors of the claude.ai account',
    ],
  },
  'claude-desktop': {
    title: 'Claude Desktop',
    version: 'of 2026-06',
    files: {
      user: {
        linux: ['{home}/.config/Claude/claude_desktop_config.json'],
        darwin: ['{home}/Library/Application Support/Claude/claude_desktop_config.json'],
        win32: ['{appData}/Claude/claude_desktop_config.json'],
      },
      project: [],
    },
    format: 'json',
    blank: '{}\n',
    places: [['mcpServers']],
    entry: { stdio: undefined, http: [], sse: [], urlAlone: 'refused', substitution: undefined },
    clientInfo: { is: ['claude-ai'], from: 'reported' },
    protocol: {
      is: ['2025-11-25'],
      from: 'reported',
      note: 'drops the connection when the answer names an older version',
    },
    capabilities: {
      is: ['extensions.ui'],
      from: 'reported',
      note: 'no sampling and no subscriptions (doc)',
    },
    toolNames: {
      is: { shown: '{server}__{tool}', most: 64, letters: TOOL_LETTERS, longer: 'the API refuses the tool' },
      from: 'reported',
      note: '64 for server and tool together',
    },
    descriptionBytes: notFound,
    on4xx: notFound,
    listChanged: notFound,
    structuredContent: notFound,
    elsewhere: [
      'desktop extensions (.mcpb, .dxt)',
      "connectors: they are reached from Anthropic's network, where no gate of yours stands",
    ],
  },
  vscode: {
    title: 'VS Code',
    version: 'of 2026-07',
    files: {
      user: {
        linux: ['{home}/.config/Code/User/mcp.json'],
        darwin: ['{home}/Library/Application Support/Code/User/mcp.json'],
        win32: ['{appData}/Code/User/mcp.json'],
      },
      project: ['{project}/.vscode/mcp.json'],
    },
    format: 'json',
    blank: '{}\n',
    places: [['servers']],
    entry: { stdio: 'stdio', http: ['http'], sse: ['sse'], urlAlone: 'http', substitution: '${input:ID}' },
    clientInfo: { is: ['Visual Studio Code', 'Visual Studio Code - Insiders'], from: 'source' },
    protocol: { is: ['2025-11-25'], from: 'reported', note: 'sends no MCP-Protocol-Version header (source)' },
    capabilities: {
      is: ['roots.listChanged', 'sampling', 'elicitation.form', 'elicitation.url', 'tasks'],
      from: 'source',
    },
    toolNames: {
      is: {
        shown: 'mcp_{server}_{tool}',
        most: 64,
        letters: TOOL_LETTERS,
        longer: 'cut',
      },
      from: 'source',
      note: 'the prefix is at most 18 characters long',
    },
    descriptionBytes: notFound,
    on4xx: {
      is: 'on the first POST it turns to HTTP+SSE; 401 and 403 force a new registration after one retry',
      from: 'source',
    },
    listChanged: { is: true, from: 'source' },
    structuredContent: { is: 'read in place of the text', from: 'source' },
    elsewhere: [
      '`.vscode/mcp.json` of every other folder, `.mcp.json` and ~/.copilot/mcp-config.json',
      'mcp.json of other profiles, of remote machines and of VS Code Insiders',
      'servers that extensions bring along',
    ],
  },
  cursor: {
    title: 'Cursor',
    version: 'of 2026-02',
    files: { user: everywhere('{home}/.cursor/mcp.json'), project: ['{project}/.cursor/mcp.json'] },
    format: 'json',
    blank: '{}\n',
    places: [['mcpServers']],
    entry: {
      stdio: undefined,
      http: ['http', 'streamable-http'],
      sse: ['sse'],
      urlAlone: 'http',
      substitution: '${env:NAME}',
    },
    clientInfo: { is: ['cursor-vscode'], from: 'reported' },
    protocol: { is: ['2025-06-18'], from: 'reported' },
    capabilities: { is: ['roots', 'elicitation'], from: 'doc' },
    toolNames: {
      is: { shown: '{server}{tool}', most: 60, letters: TOOL_LETTERS, longer: 'left out' },
      from: 'reported',
      note: 'server and tool are counted together',
    },
    descriptionBytes: notFound,
    on4xx: { is: 'starts OAuth; headers of the configuration are then ignored', from: 'reported' },
    listChanged: { is: true, from: 'reported' },
    structuredContent: notFound,
    elsewhere: ['`.cursor/mcp.json` of every other folder', 'servers that extensions register'],
  },
  cline: {
    title: 'Cline',
    version: 'CLI 3.0.65, extension 4.1.13',
    files: {
      user: {
        linux: [
          '{home}/.cline/data/settings/cline_mcp_settings.json',
          '{home}/.config/Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json',
        ],
        darwin: [
          '{home}/.cline/data/settings/cline_mcp_settings.json',
          '{home}/Library/Application Support/Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json',
        ],
        win32: [
          '{home}/.cline/data/settings/cline_mcp_settings.json',
          '{appData}/Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json',
        ],
      },
      project: [],
    },
    format: 'json',
    blank: '{}\n',
    places: [['mcpServers']],
    entry: {
      stdio: 'stdio',
      http: ['streamableHttp'],
      sse: ['sse'],
      urlAlone: 'sse',
      substitution: undefined,
    },
    clientInfo: { is: ['@cline/core', 'Cline'], from: 'measured', note: 'the extension: source' },
    protocol: { is: ['2025-11-25', '2024-11-05'], from: 'measured', note: 'stdio: 2024-11-05 only' },
    capabilities: { is: [], from: 'measured' },
    toolNames: {
      is: {
        shown: '{server}__{tool}',
        most: 64,
        letters: TOOL_LETTERS,
        longer: 'cut, then `_` and 8 hex digits',
      },
      from: 'measured',
    },
    descriptionBytes: notFound,
    on4xx: { is: 'says that authorization is required, and searches for no server', from: 'measured' },
    listChanged: { is: true, from: 'source', note: 'the extension; the CLI keeps its first list' },
    structuredContent: { is: 'passed on as it is', from: 'source' },
    elsewhere: ['the settings of the extension in editors other than VS Code'],
  },
  continue: {
    title: 'Continue',
    version: 'CLI 1.5.47',
    files: { user: everywhere('{home}/.continue/config.yaml'), project: [] },
    format: 'yaml',
    blank: 'name: Local Assistant\nversion: 1.0.0\nschema: v1\n',
    places: [['mcpServers']],
    entry: {
      stdio: 'stdio',
      http: ['streamable-http'],
      sse: ['sse'],
      urlAlone: 'http',
      substitution: '${{ secrets.NAME }}',
    },
    clientInfo: { is: ['continue-cli-client', 'continue-client'], from: 'measured', note: 'the IDE: source' },
    protocol: { is: ['2025-11-25'], from: 'measured' },
    capabilities: { is: [], from: 'measured' },
    toolNames: {
      is: {
        shown: '{server}_{tool}',
        most: undefined,
        letters: TOOL_LETTERS,
        longer: 'kept',
      },
      from: 'source',
      note: 'the CLI sends the bare name, and two of the same name (measured)',
    },
    descriptionBytes: notFound,
    on4xx: { is: 'the CLI starts mcp-remote on 401; the IDE knows OAuth for HTTP+SSE alone', from: 'source' },
    listChanged: { is: false, from: 'source' },
    structuredContent: { is: 'ignored', from: 'source' },
    elsewhere: [
      '`.continue/mcpServers/` of the user and of every folder, where it reads files of Claude and Cursor too',
      'assistants of the Continue hub',
    ],
  },
} as const satisfies Record<string, HostProfile>

/** Word of `install --host`. */
export type HostId = keyof typeof hostProfiles

/** The words of `install --host`, in the order of help and of `--all`. */
export const hostIds: readonly HostId[] = [
  'claude-code',
  'claude-desktop',
  'vscode',
  'cursor',
  'cline',
  'continue',
]

/** The profile of a host. */
export function profileOf(id: HostId): HostProfile {
  return hostProfiles[id]
}

/** A tool's name as the host counts and shows it, before any cutting; undefined when that is not known. */
export function shownToolName(profile: HostProfile, server: string, tool: string): string | undefined {
  const names = profile.toolNames
  if (names.from === 'not found') return undefined
  return names.is.shown.replace('{server}', server).replace('{tool}', tool)
}

/**
 * What an operating system leaves open around a host whose servers go through the gate. Said after every `install`:
 * the gate judges calls, it does not fence in programs (SECURITY.md 3.1).
 */
export const osGaps: Readonly<Record<Platform, readonly string[]>> = {
  linux: [
    'servers on stdio run as you, without a sandbox: what they read, write and reach by themselves is not judged',
    'every program that runs as you can read the state folder (mode 0700), and so mint tokens',
    'nothing keeps a host from starting a server that its own configuration names; files of an administrator do, for hosts that know them (`callgate hosts export`)',
  ],
  darwin: [
    'servers on stdio run as you, without a sandbox: what they read, write and reach by themselves is not judged',
    'every program that runs as you can read the state folder (mode 0700), and so mint tokens; the keys are not in the keychain',
    'nothing keeps a host from starting a server that its own configuration names; policies of an administrator (MDM) do, for hosts that know them (`callgate hosts export`)',
  ],
  win32: [
    'servers on stdio run as you, without a sandbox: what they read, write and reach by themselves is not judged',
    'file modes mean nothing here: the state folder, callgate.yaml and the backups are as private as the folder they lie in',
    'nothing keeps a host from starting a server that its own configuration names; group policies do, for hosts that know them (`callgate hosts export`)',
  ],
}
