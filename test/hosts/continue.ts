import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { profileOf } from '../../packages/gateway/src/cli/host-profiles.ts'
import { HOST_MODULES, type Host } from './host.ts'

const profile = profileOf('continue')

/**
 * Continue CLI: hands its model the content of a tool's result alone, without `isError`. A refusal must therefore say
 * in its text that it is one.
 */
export const continueCli: Host = {
  name: 'Continue',
  profile,
  command: 'cn',
  program: join(HOST_MODULES, '@continuedev', 'cli', 'dist', 'cn.js'),
  protocol: { stdio: '2025-11-25', http: '2025-11-25' },
  phonesHome: true,
  env: () => ({}),
  // The profile tells the name that the editors show. The CLI shows the gate's own, whatever the server is called.
  toolName: (tool) => tool,
  handed: ({ text }) => {
    const content = JSON.parse(text) as { text: string }[]
    return { text: content.map((block) => block.text).join(''), isError: undefined }
  },
  async enter(home, entry) {
    const [user = ''] = profile.files.user.linux
    const file = user.replace('{home}', home.folder)
    const server =
      entry.transport === 'stdio'
        ? { type: profile.entry.stdio, command: entry.command, args: entry.args }
        : {
            type: profile.entry.http[0],
            url: entry.url,
            requestOptions: { headers: { Authorization: `Bearer ${entry.token}` } },
          }
    mkdirSync(dirname(file), { recursive: true })
    // JSON is YAML too.
    writeFileSync(
      file,
      JSON.stringify({
        name: 'test',
        version: '0.0.1',
        schema: 'v1',
        models: [
          {
            name: 'mock',
            provider: 'openai',
            model: 'mock',
            apiBase: `${home.llm}/v1`,
            apiKey: 'none',
            roles: ['chat'],
          },
        ],
        mcpServers: [{ name: 'callgate', ...server }],
      }),
    )
  },
  turn: (home, prompt) =>
    home.run('cn', ['--config', join(home.folder, '.continue', 'config.yaml'), '--auto', '-p', prompt]),
}
