import type { Command } from 'commander'
import { CERTS_FOLDER, JSON_FLAG, exit, listed } from './program-options.ts'
import type { World } from './world.ts'

/** Commands about keys of the gate and certificates of its own authority: `keys`, `certs`. */
export function addKeys(program: Command, world: World): void {
  const keys = program.command('keys').description('the keys that seal sessions and parked calls')
  keys
    .command('list', { isDefault: true })
    .description('list the keys, the current one first; never the keys themselves')
    .option(...JSON_FLAG)
    .addHelpText('after', '\nExample: callgate keys list')
    .action(async (options) => (await import('./keys.ts')).keysList(world, options))
  keys
    .command('rotate')
    .description('make a new current key; older ones open what they sealed for 24 hours more')
    .option(
      '--revoke',
      'end all older keys at once, as when somebody may have read them: open sessions and parked calls end',
    )
    .option(...JSON_FLAG)
    .addHelpText('after', '\nExample: callgate keys rotate')
    .action(async (options) => (await import('./keys.ts')).keysRotate(world, options))

  const certs = program.command('certs').description('a local certificate authority, for those who have none')
  certs
    .command('init')
    .description('make the authority and an empty revocation list')
    .option(...CERTS_FOLDER)
    .option(...JSON_FLAG)
    .addHelpText('after', '\nExample: callgate certs init')
    .action(async (options) => (await import('./certs.ts')).certsInit(world, options))
  certs
    .command('issue')
    .description('make a key and a certificate, both in one file')
    .argument('<name>', 'a-z, 0-9 and `-`; the file is named after it')
    .option('--server', 'for a server: it is known by DNS names and addresses')
    .option('--client', 'for a client: it is known by a SPIFFE id and DNS names')
    .option('--dns <name>', 'DNS name, may be repeated', listed, [])
    .option('--ip <address>', 'address of a server, may be repeated', listed, [])
    .option('--uri <id>', 'SPIFFE id of a client', listed, [])
    .option('--days <count>', 'life in days, from 1 to 90', '30')
    .option(...CERTS_FOLDER)
    .option(...JSON_FLAG)
    .addHelpText(
      'after',
      '\nExample: callgate certs issue billing --client --uri spiffe://acme.example/agent/billing',
    )
    .action(async (name, options) => (await import('./certs.ts')).certsIssue(world, name, options))
  certs
    .command('rotate')
    .description('make anew what has less than a third of its life left, and sign the revocation list again')
    .option('--all', 'every certificate, however long it lives')
    .option('--ca', 'a new authority; the old one is trusted until it expires')
    .option(...CERTS_FOLDER)
    .option(...JSON_FLAG)
    .addHelpText('after', '\nRun it every day.\n\nExample: callgate certs rotate')
    .action(async (options) => (await import('./certs.ts')).certsRotate(world, options))
  certs
    .command('revoke')
    .description('let no certificate of that name count any more, rotated ones included')
    .argument('<name>')
    .option(...CERTS_FOLDER)
    .option(...JSON_FLAG)
    .addHelpText('after', '\nExample: callgate certs revoke billing')
    .action(async (name, options) => (await import('./certs.ts')).certsRevoke(world, name, options))
  certs
    .command('status')
    .description('say how long each certificate lives; exit 1 when one has expired or lives over 90 days')
    .argument('[files...]', 'PEM files of any origin; default: those of the authority')
    .option(...CERTS_FOLDER)
    .option(...JSON_FLAG)
    .addHelpText('after', '\nExample: callgate certs status /etc/callgate/tls/*.pem')
    .action(async (files, options) =>
      exit(await (await import('./certs.ts')).certsStatus(world, files, options)),
    )
}
