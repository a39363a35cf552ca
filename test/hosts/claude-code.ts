import { join } from 'node:path'
import { profileOf, shownToolName } from '../../packages/gateway/src/cli/host-profiles.ts'
import { HOST_MODULES, type Host } from './host.ts'

const profile = profileOf('claude-code')

/** Claude Code: tells its model by a flag that a tool failed. */
export const claudeCode: Host = {
  name: 'Claude Code',
  profile,
  command: 'claude',
  program: join(HOST_MODULES, '@anthropic-ai', `claude-code-${process.platform}-${process.arch}`, 'claude'),
  protocol: { stdio: '2026-07-28', http: '2026-07-28' },
  phonesHome: false,
  env: (llm) => ({
    ANTHROPIC_BASE_URL: llm,
    ANTHROPIC_API_KEY: 'none',
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    // Without it the model is offered a search instead of the tools, and nobody could see which ones the host took.
    ENABLE_TOOL_SEARCH: 'false',
  }),
  toolName: (tool) => shownToolName(profile, 'callgate', tool) ?? tool,
  handed: ({ text, isError }) => ({ text, isError }),
  enter: (home, entry) => {
    const add = ['mcp', 'add', '--scope', 'user', '--transport', entry.transport, 'callgate']
    return home.configure(
      'claude',
      entry.transport === 'http'
        ? [...add, entry.url, '--header', `Authorization: Bearer ${entry.token}`]
        : [...add, '--', entry.command, ...entry.args],
    )
  },
  turn: (home, prompt) => home.run('claude', ['-p', prompt, '--allowedTools', 'mcp__callgate']),
}
