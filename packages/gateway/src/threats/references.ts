import type { Threat } from './threat.ts'

/** What threats may refer to beyond this room. */
export interface Known {
  /** Every promise; `deferred` says that it is not built yet. */
  readonly promises: Readonly<Record<string, { readonly deferred?: string }>>
  /** Commands with their subcommands, such as `callgate enrol revoke`. */
  readonly commands: ReadonlySet<string>
  /** Keys of callgate.yaml as docs/config.md writes them. */
  readonly keys: ReadonlySet<string>
  /** Events that the gate writes. */
  readonly events: ReadonlySet<string>
}

/**
 * References that lead nowhere, each with what to do. A planned detection or step of which the promise is built is one too:
 * the page would say "not yet" of something that is there.
 */
export function deadReferences(threats: readonly Threat[], known: Known): string[] {
  return threats.flatMap((threat) => {
    const at = (what: string): string => `rules/threats/${threat.id}.yaml: ${what}`
    const dead: string[] = []
    for (const id of threat.tests) {
      const promise = promiseOf(known, id)
      if (promise === undefined)
        dead.push(at(`\`tests\` names \`${id}\`, which is no promise of requirements/`))
      else if (promise.deferred !== undefined)
        dead.push(at(`\`tests\` names \`${id}\`, which no test proves yet; name one that is not deferred`))
    }
    for (const { planned } of [...threat.detections, ...threat.response]) {
      if (planned === undefined) continue
      const promise = promiseOf(known, planned)
      if (promise === undefined)
        dead.push(at(`\`planned\` names \`${planned}\`, which is no promise of requirements/`))
      else if (promise.deferred === undefined)
        dead.push(at(`\`${planned}\` is planned here and built by now; name what there is in its place`))
    }
    for (const { event } of threat.detections)
      if (event !== undefined && !known.events.has(event))
        dead.push(at(`nothing writes the event \`${event}\``))
    for (const { command, key } of threat.response) {
      if (command !== undefined && !known.commands.has(command))
        dead.push(at(`there is no command \`${command}\``))
      if (key !== undefined && !known.keys.has(key)) dead.push(at(`callgate.yaml has no key \`${key}\``))
    }
    return dead
  })
}

function promiseOf({ promises }: Known, id: string): Known['promises'][string] | undefined {
  return Object.hasOwn(promises, id) ? promises[id] : undefined
}
