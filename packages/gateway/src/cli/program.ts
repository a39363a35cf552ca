import { Command } from 'commander'
import { CommandFailed } from './output.ts'
import { addHosts } from './program-hosts.ts'
import { addKeys } from './program-keys.ts'
import { CONFIG, JSON_FLAG, exit, listed } from './program-options.ts'
import { addPeople } from './program-people.ts'
import { addPolicy } from './program-policy.ts'
import type { World } from './world.ts'

/** Every command of `callgate`; each loads its own file when it runs. */
export function createProgram(world: World, version: string): Command {
  const program = new Command('callgate')
    .description('The control point between AI agents and MCP tool servers.')
    .version(version)
    .showHelpAfterError('(see `callgate --help`)')
    .exitOverride()
    .configureOutput({
      // A host writes what goes wrong into its log: an option that does not exist is told without its value.
      outputError: (text, write) => write(text.replaceAll(/(--[\w-]+=)[^'\n]*/g, '$1***')),
    })

  program
    .command('start')
    .description('run the gate')
    .option(...CONFIG)
    .option(
      '--strict',
      'refuse what is meant for development: dev issuer, first-use approval, keys over plain HTTP',
    )
    .option('--quickstart', 'print calls to paste once it is ready')
    .option(...JSON_FLAG)
    .addHelpText('after', '\nExample: callgate start --config callgate.yaml --strict')
    .action(async (options) => (await import('./start.ts')).start(world, options))

  program
    .command('demo')
    .description(
      'show an allowed call, a denied SSRF, a denied bulk change and a changed tool, each with its record',
    )
    .option(...JSON_FLAG)
    .addHelpText('after', '\nExample: callgate demo')
    .action(async (options) => (await import('./demo.ts')).demo(world, options))

  program
    .command('tail')
    .description('print one line a call as it happens')
    .option('-n, --lines <count>', 'lines of the past', '10')
    .option('--no-follow', 'print what is there and end')
    .option(...JSON_FLAG)
    .addHelpText('after', '\nExample: callgate tail --lines 50')
    .action(async (options) => (await import('./tail.ts')).tail(world, options))

  program
    .command('explain')
    .description('say who called what, for whom, what was decided, why, and what to do')
    .argument('<id>', 'evidence id, as a refusal names it')
    .option(...JSON_FLAG)
    .addHelpText('after', '\nExample: callgate explain 01M82G7AVHZFQRPDSCV397TV66')
    .action(async (id, options) => (await import('./explain.ts')).explain(world, id, options))

  program
    .command('check')
    .description('check the configuration and its policy files')
    .option(...CONFIG)
    .option('--strict', 'check as `start --strict` would')
    .option(...JSON_FLAG)
    .addHelpText('after', '\nExample: callgate check --config callgate.yaml --strict')
    .action(async (options) => exit(await (await import('./check.ts')).check(world, options)))

  program
    .command('doctor')
    .description('look at everything that the gate needs; exit 0 when nothing is wrong, 1 when something is')
    .option(...CONFIG)
    .option('--offline', 'connect to nothing, and read no secrets')
    .option(...JSON_FLAG)
    .addHelpText('after', '\nExample: callgate doctor --offline')
    .action(async (options) => exit(await (await import('./doctor.ts')).doctor(world, options)))

  addPolicy(program, world)

  const token = program.command('token').description('tokens of the development issuer')
  token
    .command('mint')
    .description('mint a token for the gate that runs here')
    .option(...CONFIG)
    .option('--server <id>', 'for /mcp/<id> alone; default: the whole gate')
    .option('--subject <sub>', 'on whose behalf', 'you')
    .option('--client <id>', 'which client, and so which actor', 'cli')
    .option('--scope <scope>', 'grants, separated by spaces; wildcards are refused by the gate', 'quickstart')
    .option('--lifetime <seconds>', 'the gate refuses more than 600', '600')
    .option('--once', 'a token that opens one call only')
    .option('--sid <id>', 'session id')
    .option('--jkt <thumbprint>', 'bind it to a key (RFC 9449): each request must prove that key by DPoP')
    .option('--dpop-key <file>', 'the same, by the key itself: PEM or JWK, private or public')
    .option('--certificate <file>', 'bind it to a client certificate, PEM (RFC 8705)')
    .option('--details <json>', 'what it is for: authorization_details (RFC 9396); or @file')
    .option(...JSON_FLAG)
    .addHelpText('after', '\nExample: callgate token mint --once --json')
    .action(async (options) => (await import('./token-mint.ts')).tokenMint(world, options))

  const servers = program.command('servers').description('the catalogue: what is approved and what waits')
  servers
    .command('list', { isDefault: true })
    .description('list servers, approved tools and waiting changes with their diffs')
    .option(...JSON_FLAG)
    .addHelpText('after', '\nExample: callgate servers list')
    .action(async (options) => (await import('./servers.ts')).serversList(world, options))
  servers
    .command('approve')
    .description('approve the definitions that wait now, by their digests')
    .argument('<server>')
    .argument('[tool]', 'default: all of the server')
    .option(
      '--digest <digits>',
      'approve only the definition that `callgate servers` showed with these first digits: the server may have changed it since',
    )
    .option(...JSON_FLAG)
    .addHelpText(
      'after',
      '\nExample: callgate servers approve crm get --digest 3f1c09ab55d2e7a8640b91c3d5f20e7a',
    )
    .action(async (server, tool, options) =>
      (await import('./servers.ts')).serversApprove(world, server, tool, options),
    )

  program
    .command('connect')
    .description(
      'stdio line for a host: mints and renews its own token and relays to a gate, by default the one that runs here',
    )
    .argument(
      '[url]',
      'endpoint of a gate elsewhere, at which this machine is enrolled, such as https://gate/mcp',
    )
    .option('--code <code>', 'enrol this machine first, with the code of `callgate enrol`; or CALLGATE_CODE')
    .option('--ca <file>', 'authorities of the gate elsewhere, in PEM')
    .option('--state <folder>', 'state folder of the gate')
    .option('--server <id>', 'connect to /mcp/<id>, with bare names, resources and prompts')
    .option('--client <id>', 'which client, and so which actor', 'connect')
    .option('--subject <sub>', 'on whose behalf', 'you')
    .option('--scope <scope>', 'grants, separated by spaces', 'quickstart')
    .option('--token-life <seconds>', 'life of each token, from 5 to 600', '300')
    .addHelpText(
      'after',
      `
Example: claude mcp add callgate -- callgate connect --state /var/lib/callgate
         claude mcp add callgate -- callgate connect https://gate.example/mcp --code cgenrol_...`,
    )
    .action(async (url, options) => (await import('./connect.ts')).connect(world, url, options))

  addPeople(program, world)

  program
    .command('wrap')
    .description(
      'the gate as a stdio server: one server behind it, one host before it, one process, no port and no configuration',
    )
    .argument('<command...>', 'program and arguments of the server, behind `--`')
    .option(
      '--policy <file>',
      'policy file, may be repeated; default: every call is allowed and recorded',
      listed,
      [],
    )
    .option(
      '--name <id>',
      'id of the server in policy and records, and its folder in the state folder; default: made of the command',
    )
    .option('--read <glob>', 'tools that only read, may be repeated; every other one is `write`', listed, [])
    .option('--env <variable>', 'pass this variable on to the server, may be repeated', listed, [])
    .option(
      '--ask <capability>',
      'what the server may ask of the host, such as elicitation.form; may be repeated, default: nothing',
      listed,
      [],
    )
    .option('--client <id>', 'which client, and so which actor; default: the local user')
    .option('--state <folder>', 'state folder; default: CALLGATE_STATE, or `state` here')
    .addHelpText(
      'after',
      `
Example: callgate wrap --policy policy.yaml -- npx -y @modelcontextprotocol/server-everything stdio

Standard output is the protocol; all notes go to standard error. It ends with the host, and at once when the server cannot be
started (exit code 1). Answers have 5 seconds after the host closed its end.`,
    )
    .action(async (command, options) => exit(await (await import('./wrap.ts')).wrap(world, command, options)))

  program
    .command('install')
    .description(
      "put a host's MCP servers behind the gate, and the gate in their place; shows the diff first",
    )
    .option('--host <host>', 'claude-code, claude-desktop, vscode, cursor, cline or continue')
    .option('--all', 'every host that has a configuration here')
    .option('--observe', 'allow what the new servers did before, and record what the policy would deny')
    .option('--undo', 'put back what the host had before')
    .option('--config <file>', "the host's configuration, in place of the usual ones")
    .option('--gate <file>', 'callgate.yaml, which is made when it is not there; default: the usual places')
    .option('--yes', 'do not ask')
    .option('--dry-run', 'show the diff and write nothing')
    .option(...JSON_FLAG)
    .addHelpText('after', '\nExample: callgate install --host claude-code --observe')
    .action(async (options) => (await import('./install.ts')).install(world, options))

  addHosts(program, world)

  addKeys(program, world)

  program
    .command('rollout')
    .description('controls that are on trial')
    .command('status')
    .description('say what each control in observe mode would have refused or changed, and the narrowest fix')
    .option('--days <number>', 'how far back to look', '7')
    .option(...CONFIG)
    .option(...JSON_FLAG)
    .addHelpText('after', '\nExample: callgate rollout status --days 30')
    .action(async (options) => (await import('./rollout.ts')).rolloutStatus(world, options))

  program
    .command('threats')
    .description(
      'one page: what may happen, where it breaks, what shows it, what to do, and which controls are on',
    )
    .option('--format <format>', 'text, html or json', 'text')
    .option(...CONFIG)
    .option(
      '--log [folder]',
      'count how often each control fired, by a log folder; without one: this node of the state folder',
    )
    .option('--threats <folder>', 'YAML files of threats; default: those that Callgate brings')
    .option(...JSON_FLAG)
    .addHelpText(
      'after',
      `
Example: callgate threats --config callgate.yaml --log
         callgate threats --format html > threats.html

Without a configuration the page tells of no control whether it is on.`,
    )
    .action(async (options) => (await import('./threats.ts')).threats(world, options))

  program
    .command('egress')
    .description('where URLs in the arguments of tools may lead')
    .command('check')
    .description('say what the gate makes of URLs; exit 0 when all are allowed, 1 when not')
    .argument('[urls...]', 'URLs, as they would stand in arguments')
    .option(
      '-c, --config <file>',
      'callgate.yaml whose `egress` counts; default: an `egress` that says nothing',
    )
    .option('--server <id>', 'server whose tools would get them')
    .option('--dns', 'look names up; default: judge them by their text alone')
    .option('--resolve <file>', 'JSON file of names and addresses in place of the DNS')
    .option('--jsonl', 'judge rows {"id","url"} of standard input, one answer a row')
    .option(...JSON_FLAG)
    .addHelpText('after', '\nExample: callgate egress check https://example.com http://169.254.169.254')
    .action(async (urls, options) =>
      exit(await (await import('./egress.ts')).egressCheck(world, urls, options)),
    )

  const scan = program
    .command('scan')
    .description(
      'find personal data, secrets, hidden text and instructions to a model; exit 0 when there is none, 1 when there is, 2 for what cannot be read',
    )
    .argument('[file]', 'file of text, or - for standard input', '-')
    .option('-c, --config <file>', 'callgate.yaml whose `dlp.own` and `dlp.canaries` are looked for too')
    .option('--jsonl', 'rows {"id","text","surface"?}, one answer a row with UTF-16 offsets')
    .option(
      '--surface <surface>',
      'where the text came from: tool_definition, tool_result, argument or prompt',
      'tool_result',
    )
    .option('--threshold <score>', 'score from which on something counts as found, 0 to 1', '0.5')
    .option(...JSON_FLAG)
    .addHelpText(
      'after',
      '\nExample: callgate scan export.csv\n         callgate scan - --jsonl < rows.jsonl\n         callgate scan --config callgate.yaml export.csv',
    )
    .action(async (file, options) => exit(await (await import('./scan.ts')).scan(world, file, options)))
  scan
    .command('servers')
    .description(
      'start the configured servers apart from the gate and scan the definitions that they list; exit 0 when none is suspicious, 1 when some are, 2 for a server that cannot be asked',
    )
    .argument('[servers...]', 'default: all')
    .option('-c, --config <file>', 'configuration')
    .option(...JSON_FLAG)
    .addHelpText('after', '\nExample: callgate scan servers crm --json')
    // `scan` has a --json of its own, which takes this one.
    .action(async (names, _, command) =>
      exit(await (await import('./scan-servers.ts')).scanServers(world, names, command.optsWithGlobals())),
    )

  const evidence = program.command('evidence').description('the log of record')
  evidence
    .command('verify')
    .description('recompute the whole log; exit 0 when it holds, 1 when not')
    .argument('[folder]', 'log folder; default: this node of the state folder')
    .option(
      '--key <vkey>',
      'verifier key or a file with it; default: the one beside the log, which proves only that nobody changed one without the other',
    )
    .option(...JSON_FLAG)
    .addHelpText('after', '\nExample: callgate evidence verify --key vkey.txt')
    .action(async (folder, options) =>
      exit(await (await import('./evidence.ts')).evidenceVerify(world, folder, options)),
    )
  evidence
    .command('show')
    .description('show the records of one call, or the last ones')
    .argument('[id]', 'evidence id')
    .option('--last <count>', 'how many, when no id is given', '20')
    .option(...JSON_FLAG)
    .addHelpText('after', '\nExample: callgate evidence show --last 5')
    .action(async (id, options) => (await import('./evidence.ts')).evidenceShow(world, id, options))

  return program
}

/** Runs a command line. @returns the exit code: 0, 1 for a command that failed, 2 for a wrong command line */
export async function runProgram(program: Command, argv: readonly string[]): Promise<number> {
  try {
    await program.parseAsync(argv, { from: 'user' })
    return Number(process.exitCode ?? 0)
  } catch (error) {
    if (error instanceof CommandFailed) {
      process.stderr.write(`callgate: ${error.message}\n`)
      return error.exitCode
    }
    if (error instanceof Error && 'code' in error && String(error.code).startsWith('commander.')) {
      return 'exitCode' in error && error.exitCode === 0 ? 0 : 2
    }
    return reportFault(error)
  }
}

/**
 * Everything else that a command may meet: a message for what the world did, and the stack as well for what is surely
 * a fault of ours.
 */
function reportFault(error: unknown): number {
  const ours = !(error instanceof Error) || error instanceof TypeError || error instanceof ReferenceError
  process.stderr.write(
    `callgate: ${ours && error instanceof Error ? error.stack : error instanceof Error ? error.message : String(error)}\n`,
  )
  return 1
}
