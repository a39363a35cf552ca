import type { OutcomeRecord } from '@callgate/evidence'
import { endOfDay } from '../config/check.ts'
import type { GatewayConfig } from '../config/declaration.ts'
import type { Problem } from '../config/problem.ts'
import { dataClassOf } from '../text/data-class.ts'
import { globMatcher } from '../text/glob.ts'
import { safeText } from '../text/safe-text.ts'

/** Days until an exception that is proposed ends: long enough to mend what is found wrongly, and no longer. */
const PROPOSED_DAYS = 30
const DAY_MS = 86_400_000

/**
 * The narrowest exceptions for what was found in a call, as lines of a diff of the configuration: one class, one tool, one place, one
 * caller, an owner and an end.
 */
export function proposedExceptions(record: OutcomeRecord, now: number): string[] {
  const { actor, call, found } = record
  if (actor === undefined || call.server === undefined || call.tool === undefined) return []
  const until = new Date(now + PROPOSED_DAYS * DAY_MS).toISOString().slice(0, 10)
  const lines = (found?.places ?? []).flatMap((place) => {
    const [, direction, path, name] = /^(arguments|results) (\/\S*) (\S+)$/.exec(place) ?? []
    const known = name === undefined ? undefined : dataClassOf(name)
    if (direction === undefined || path === undefined || known === undefined) return []
    const entry = {
      class: known,
      in: direction,
      tool: `${call.server}.${call.tool}`,
      path,
      actor: actor.id,
      owner: 'who answers for it',
      until,
    }
    // JSON is YAML: whatever stands in an id, it stays one value.
    return [`+     - ${safeText(JSON.stringify(entry))}`]
  })
  return lines.length === 0 ? [] : ['  dlp:', '+   exceptions:', ...new Set(lines)]
}

/** Exceptions that let nothing pass any more, or never did: whoever reads them is misled. */
export function exceptionProblems(
  file: string,
  { dlp, servers }: Pick<GatewayConfig, 'dlp' | 'servers'>,
  tools: readonly { readonly server: string; readonly name: string }[] | undefined,
  now: number,
): Problem[] {
  const problem = (message: string): Problem[] => [{ file, line: undefined, column: undefined, message }]
  return dlp.exceptions.flatMap(({ tool, until }, i): Problem[] => {
    const at = `\`dlp.exceptions[${i}]`
    const [server = ''] = tool.split('.', 1)
    if (!(endOfDay(until) > now))
      return problem(`${at}.until\` is \`${until}\`, which is over; remove it, or set another day`)
    if (servers[server] === undefined)
      return problem(`${at}.tool\` is \`${tool}\`, but there is no server \`${server}\``)
    // Of a server that never listed nobody knows its tools.
    const known = tools?.filter((each) => each.server === server) ?? []
    const matches = globMatcher(tool)
    if (known.length === 0 || known.some((each) => matches(`${each.server}.${each.name}`))) return []
    return problem(`${at}.tool\` is \`${tool}\`, which no approved tool of \`${server}\` is`)
  })
}
