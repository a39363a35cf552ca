import type { Command } from 'commander'
import { CONFIG, JSON_FLAG, exit } from './program-options.ts'
import type { World } from './world.ts'

/** Commands about hosts that an administrator manages: `hosts`. */
export function addHosts(program: Command, world: World): void {
  program
    .command('hosts')
    .description('hosts that an administrator manages')
    .command('export')
    .description(
      'write the files by which hosts may use the gate alone, and none of the servers behind it; see docs/managed-hosts.md',
    )
    .option('--host <host>', 'claude-code, vscode or cursor; default: all, each in a folder of its own')
    .option(
      '--via <way>',
      'how hosts enter the gate: connect (the stdio line `callgate connect`) or http (its URL, and a login with your issuer)',
      'connect',
    )
    .option(
      '--program <file>',
      'absolute path of `callgate` on the managed machines; default: this one, when the gate is here',
    )
    .option('--ca <file>', "the gate's authorities in PEM, on the managed machines; for a gate elsewhere")
    .option(
      '--registry <url>',
      'MCP registry that VS Code is held to as well; default: none, the lists alone count',
    )
    .option('--out <folder>', 'write the files there; default: print them')
    .option('--check', 'write nothing: exit 1 when a file in --out no longer matches the configuration')
    .option(...CONFIG)
    .option(...JSON_FLAG)
    .addHelpText(
      'after',
      `
Example: callgate hosts export --out managed --program /opt/callgate/bin/callgate
         callgate hosts export --host claude-code --check --out /etc/claude-code`,
    )
    .action(async (options) => exit(await (await import('./hosts-export.ts')).hostsExport(world, options)))
}
