import type { Command } from 'commander'
import { CONFIG, JSON_FLAG, exit } from './program-options.ts'
import type { World } from './world.ts'

/** Commands about rules: `policy`. */
export function addPolicy(program: Command, world: World): void {
  const policy = program.command('policy').description('check, test and try policy')
  policy
    .command('check')
    .description('check policy files against the pinned tools')
    .argument('[files...]', 'policy files; default: those of the configuration')
    .option(...CONFIG)
    .option(...JSON_FLAG)
    .addHelpText('after', '\nExample: callgate policy check policy.yaml')
    .action(async (files, options) =>
      exit(await (await import('./policy.ts')).policyCheck(world, files, options)),
    )
  policy
    .command('test')
    .description('run golden files: policy, `---`, calls with what they must come to')
    .argument('<golden...>', 'golden files')
    .option(
      '--policy <file...>',
      'policy files that the cases are judged by, beside the policy in the golden file; `pack:NAME` is a pack',
    )
    .option('--require-coverage', 'exit 1 unless the cases show every rule and every branch of its condition')
    .option(...JSON_FLAG)
    .addHelpText('after', '\nExample: callgate policy test tests/*.yaml --policy policy.yaml')
    .action(async (golden, options) => exit(await (await import('./policy.ts')).policyTest(golden, options)))
  policy
    .command('eval')
    .description('judge one call without running it')
    .option('--policy <file...>', 'policy files; default: those of the configuration')
    .requiredOption('--call <file>', 'JSON with server, tool, arguments and, if wanted, ctx and actor')
    .option(...CONFIG)
    .option(...JSON_FLAG)
    .addHelpText('after', '\nExample: callgate policy eval --policy policy.yaml --call call.json --json')
    .action(async (options) => (await import('./policy.ts')).policyEval(world, options))

  policy
    .command('bundle')
    .description('sign rules and their cases to one file, for gates with `policy.bundle`')
    .requiredOption(
      '--policy <file...>',
      'policy files; `pack:NAME` takes a pack along as it is in this version',
    )
    .option('--cases <file...>', 'golden files: they must pass, and go along')
    .requiredOption('--key <file>', 'private key, PEM: Ed25519 or P-256')
    .requiredOption('--out <file>', 'the bundle')
    .option('--release <number>', 'version, above those before; default: seconds since 1970')
    .option(...JSON_FLAG)
    .addHelpText(
      'after',
      '\nExample: callgate policy bundle --policy policy.yaml --cases tests/*.yaml --key policy.key --out policy.bundle.json',
    )
    .action(async (options) => (await import('./policy-bundle.ts')).policyBundle(world, options))
  policy
    .command('new')
    .description(
      'draft a rule and its test from a recorded call: allow what was denied, for that caller alone',
    )
    .requiredOption('--from <id>', 'evidence id, as a refusal names it')
    .option('--decision <effect>', 'allow, or deny for a call that was allowed', 'allow')
    .option('--rule <id>', 'id of the rule; default: made of decision, tool and actor')
    .option(
      '--args <file>',
      'the call again with its arguments, as for `policy eval`; held against the record',
    )
    .option('--pin <path...>', 'bind the rule to the value of an argument, such as args.path; needs --args')
    .option('--out <file>', 'policy file to write to, listed in the configuration; default: its first one')
    .option('--dry-run', 'print the diff and write nothing')
    .option(...CONFIG)
    .option(...JSON_FLAG)
    .addHelpText('after', '\nExample: callgate policy new --from 01M82G7AVHZFQRPDSCV397TV66')
    .action(async (options) => (await import('./policy-new.ts')).policyNew(world, options))
}
