import type { Command } from 'commander'
import { JSON_FLAG } from './program-options.ts'
import type { World } from './world.ts'

/** Commands about who may call, who approves, and in whose name: `enrol`, `approvals`, `consent`. */
export function addPeople(program: Command, world: World): void {
  const enrol = program
    .command('enrol')
    .description(
      'make a one-time code with which a machine enrols a key of its own at the gate that runs here',
    )
    .option('--actor <name>', 'who will call')
    .option('--type <type>', 'agent, human or service', 'agent')
    .option('--subject <name>', 'on whose behalf; default: the actor')
    .option('--tenant <name>', 'tenant of the actor', 'default')
    .option('--scope <scope>', 'most that its tokens may hold, grants separated by spaces, no wildcards', '')
    .option('--expires <time>', 'how long the code can be redeemed, at most 24h', '10m')
    .option('--key-life <time>', 'how long the key counts, at most 365d', '30d')
    .option('--state <folder>', 'state folder of the gate')
    .option(...JSON_FLAG)
    .addHelpText(
      'after',
      '\nExample: callgate enrol --actor billing --tenant acme --scope "tools/call:crm.get"',
    )
    .action(async (options) => (await import('./enrol.ts')).enrol(world, options))
  enrol
    .command('list')
    .description('list enrolments, the newest first; never a code')
    .action(async (_, command) => (await import('./enrol.ts')).enrolList(world, command.optsWithGlobals()))
  enrol
    .command('revoke')
    .description('end an enrolment: its key counts no longer, and its calls and streams end at once')
    .argument('<id>', 'as `callgate enrol list` shows it')
    .action(async (id, _, command) =>
      (await import('./enrol.ts')).enrolRevoke(world, id, command.optsWithGlobals()),
    )

  const approvals = program
    .command('approvals')
    .description('calls that wait until somebody approves them, the newest first')
    .option('--all', 'also those that were decided or have lapsed within the last day')
    .option('--state <folder>', 'state folder of the gate')
    .option(...JSON_FLAG)
    .addHelpText('after', '\nExample: callgate approvals show 3f2a90c5d1e84b7796a0b1c2d3e4f506')
    .action(async (options) => (await import('./approvals.ts')).approvals(world, options))
  approvals
    .command('show')
    .description('who wants to call what, why it needs approval, and the arguments without personal data')
    .argument('<id>', 'as `callgate approvals` shows it')
    .action(async (id, _, command) =>
      (await import('./approvals.ts')).approvalShow(world, id, command.optsWithGlobals()),
    )
  for (const verdict of ['approve', 'deny'] as const) {
    approvals
      .command(verdict)
      .description(
        verdict === 'approve' ? 'let the call be made once' : 'refuse the call until its request lapses',
      )
      .argument('<id>', 'as `callgate approvals` shows it')
      .option(
        '--as <name>',
        'who decides, as `approvals.roles` has it behind `cli:`; default: your user name',
      )
      .option('--comment <text>', 'why, for the record')
      .action(async (id, _, command) =>
        (await import('./approvals.ts')).approvalDecide(world, verdict, id, command.optsWithGlobals()),
      )
  }

  const consent = program
    .command('consent')
    .description('let a server act in your name, and take it back (servers with `authorization_code`)')
  const asCaller = (command: Command): Command =>
    command
      .argument('<server>', 'id of the server')
      .argument('[url]', 'endpoint of a gate elsewhere, at which this machine is enrolled')
      .option('--client <id>', 'which client, as for `callgate connect`', 'connect')
      .option('--subject <sub>', 'on whose behalf', 'you')
      .option('--scope <scope>', 'grants, separated by spaces', 'quickstart')
      .option('--ca <file>', 'authorities of the gate elsewhere, in PEM')
      .option('--state <folder>', 'state folder of the gate')
      .option(...JSON_FLAG)
  asCaller(consent.command('give'))
    .description('say yes in a browser on this machine; the tokens stay in the gate, sealed')
    .option('--own', 'for the gate itself, by its operator: what it lists the tools of the server by')
    .addHelpText(
      'after',
      '\nExample: callgate consent give github\n         callgate consent give github https://gate.example/mcp',
    )
    .action(async (server, url, options) =>
      (await import('./consent.ts')).consentGive(world, server, url, options),
    )
  asCaller(consent.command('end'))
    .description('take your own consent back')
    .addHelpText('after', '\nExample: callgate consent end github')
    .action(async (server, url, options) =>
      (await import('./consent.ts')).consentEnd(world, server, url, options),
    )
  consent
    .command('list')
    .description('list every consent that the gate here keeps, the newest first; never a token')
    .option('--state <folder>', 'state folder of the gate')
    .option(...JSON_FLAG)
    .addHelpText('after', '\nExample: callgate consent list')
    .action(async (options) => (await import('./consent.ts')).consentList(world, options))
  consent
    .command('revoke')
    .description('end a consent of anybody, as operator')
    .argument('<id>', 'as `callgate consent list` shows it')
    .option('--state <folder>', 'state folder of the gate')
    .option(...JSON_FLAG)
    .addHelpText('after', '\nExample: callgate consent revoke 3f1c09ab55d2e7a8')
    .action(async (id, options) => (await import('./consent.ts')).consentRevoke(world, id, options))
}
