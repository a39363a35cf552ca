import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { profileOf, shownToolName } from '../../packages/gateway/src/cli/host-profiles.ts'
import { HOST_MODULES, type Host } from './host.ts'

const profile = profileOf('cline')
const MODEL = ['openai-compatible', '-k', 'none', '-m', 'mock']

/**
 * Cline CLI: hands its model the whole result of a tool as JSON, so that `isError` is there to be read. Its stdio client
 * gives a server 3 seconds to answer `initialize`, then starts it once more and cuts messages by `Content-Length`, for 3 seconds
 * again; a server whose entry has a `timeout` has that long each time.
 */
export const cline: Host = {
  name: 'Cline',
  profile,
  command: 'cline',
  // What the package `cline` starts; that one would bring 300 more which its own program does not need.
  program: join(HOST_MODULES, '@cline', 'cli-linux-x64', 'bin', 'cline'),
  only: 'linux-x64',
  protocol: { stdio: '2024-11-05', http: '2025-11-25' },
  phonesHome: true,
  env: () => ({
    // Its hub is a daemon on one fixed port of the machine: it would outlive the test, or meet the hub of a developer.
    CLINE_SESSION_BACKEND_MODE: 'local',
    CLINE_NO_AUTO_UPDATE: '1',
  }),
  toolName: (tool) => shownToolName(profile, 'callgate', tool) ?? tool,
  handed: ({ text }) => {
    const { content, isError } = JSON.parse(text) as { content: { text: string }[]; isError?: boolean }
    return { text: content.map((block) => block.text).join(''), isError: isError === true }
  },
  async enter(home, entry) {
    const [user = ''] = profile.files.user.linux
    const file = user.replace('{home}', home.folder)
    const server =
      entry.transport === 'stdio'
        ? { type: profile.entry.stdio, command: entry.command, args: entry.args }
        : { type: profile.entry.http[0], url: entry.url, headers: { Authorization: `Bearer ${entry.token}` } }
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, JSON.stringify({ mcpServers: { callgate: server } }))
    await home.configure('cline', ['auth', ...MODEL, '-b', `${home.llm}/v1`])
  },
  // One word alone it takes for a command.
  turn: (home, prompt) => home.run('cline', ['-P', ...MODEL, prompt]),
}
