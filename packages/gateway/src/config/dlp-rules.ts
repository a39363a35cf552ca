import { globMatcher } from '../text/glob.ts'
import { endOfDay } from './check.ts'
import { type DataClass, dataClassOf } from '../text/data-class.ts'
import type { ScreenAction } from '../text/screen.ts'
import type { GatewayConfig } from './declaration.ts'

type Actions = Readonly<Partial<Record<DataClass, ScreenAction>>>

/** What is done where nobody says anything: nothing of a server's that is certain to harm, and nothing that could break a call. */
const RESULTS: Actions = { secret: 'placeholder', credit_card: 'placeholder', hidden_text: 'drop' }

/**
 * What becomes of data in the calls of a server.
 * @param server undefined: of one that says nothing itself
 */
export function dlpRules(
  { dlp, servers }: Pick<GatewayConfig, 'dlp' | 'servers'>,
  server: string | undefined,
) {
  const own = server === undefined ? undefined : servers[server]?.dlp
  return {
    mode: own?.mode ?? dlp.mode,
    arguments: actionOf({ ...dlp.arguments, ...own?.arguments }),
    results: actionOf({ ...RESULTS, ...dlp.results, ...own?.results }),
  }
}

function actionOf(actions: Actions) {
  return (found: string): ScreenAction => {
    const known = dataClassOf(found)
    return (known === undefined ? undefined : actions[known]) ?? 'count'
  }
}

/** What the operator lets pass, ready to be asked. */
export function dlpExceptions({ dlp }: Pick<GatewayConfig, 'dlp'>) {
  return dlp.exceptions.map((exception) => ({
    class: exception.class,
    in: exception.in,
    matchesTool: globMatcher(exception.tool),
    matchesActor: globMatcher(exception.actor),
    path: pointerParts(exception.path),
    until: endOfDay(exception.until),
  }))
}

/** Members of a JSON pointer (RFC 6901). */
export const pointerParts = (pointer: string): string[] =>
  pointer
    .slice(1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
