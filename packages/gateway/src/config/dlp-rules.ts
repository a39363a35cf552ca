import { globMatcher } from '../text/glob.ts'
import { endOfDay } from './check.ts'
import { BINARY_ACTIONS, BINARY_KINDS, type BinaryAction, type BinaryKind, MISMATCH } from '../text/binary.ts'
import { type DataClass, dataClassOf } from '../text/data-class.ts'
import type { ScreenAction } from '../text/screen.ts'
import type { GatewayConfig } from './declaration.ts'

type Actions = Readonly<Partial<Record<DataClass, ScreenAction>>>

type BinaryActions = Readonly<Partial<Record<BinaryKind, BinaryAction>>>

/** What is done where nobody says anything: nothing of a server's that is certain to harm, and nothing that could break a call. */
const RESULTS: Actions = { secret: 'placeholder', credit_card: 'placeholder', hidden_text: 'drop' }

/**
 * What becomes of data in the calls of a server.
 * @param server undefined: of one that says nothing itself
 * @param ofTool what one of its tools says of binary content
 */
export function dlpRules(
  { dlp, servers }: Pick<GatewayConfig, 'dlp' | 'servers'>,
  server: string | undefined,
  ofTool: BinaryActions = {},
) {
  const own = server === undefined ? undefined : servers[server]?.dlp
  const ofBinary = binaryActionOf({ ...dlp.binary, ...own?.binary, ...ofTool })
  return {
    mode: own?.mode ?? dlp.mode,
    // A tool that got a text for a picture would store that: in arguments it is refused, or let be.
    arguments: actionOf({ ...dlp.arguments, ...own?.arguments }, (found) =>
      found.startsWith('binary.')
        ? ofBinary(found) === 'deny'
          ? 'deny'
          : 'count'
        : ofOwn(found, 'arguments'),
    ),
    results: actionOf({ ...RESULTS, ...dlp.results, ...own?.results }, (found) =>
      found.startsWith('binary.') ? ofBinary(found) : ofOwn(found, 'results'),
    ),
  }

  function ofOwn(found: string, direction: 'arguments' | 'results'): ScreenAction {
    return found === 'canary' ? 'deny' : (dlp.own[found.slice('own.'.length)]?.[direction] ?? 'count')
  }
}

function binaryActionOf(actions: BinaryActions) {
  const strictest = Math.max(...BINARY_KINDS.map((kind) => BINARY_ACTIONS.indexOf(actions[kind] ?? 'pass')))
  return (found: string): ScreenAction => {
    const kind = BINARY_KINDS.find((each) => found === `binary.${each}`)
    // By a false claim nothing gets around the rule for what it is.
    const action = found === MISMATCH ? BINARY_ACTIONS[strictest] : kind && actions[kind]
    return action === undefined || action === 'pass' ? 'count' : action
  }
}

function actionOf(actions: Actions, ofOthers: (found: string) => ScreenAction) {
  return (found: string): ScreenAction => {
    const known = dataClassOf(found)
    return known === undefined ? ofOthers(found) : (actions[known] ?? 'count')
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
