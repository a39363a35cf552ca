import type { ActionOf, Direction } from './screener.ts'
import { dataClassOf } from '../../text/data-class.ts'

/** What an operator lets pass: a class of data in one place of one tool, for one caller, until a day. */
export interface DlpException {
  readonly class: string
  readonly in: Direction
  /** @param tool as `server.tool` */
  readonly matchesTool: (tool: string) => boolean
  readonly matchesActor: (actor: string) => boolean
  /** JSON pointer in parts, `*` for any member or item. */
  readonly path: readonly string[]
  /** Milliseconds since the epoch. */
  readonly until: number
}

/** The actions of a direction, but for what exceptions let pass. @param onPassed told of each finding that one let pass */
export function excepting(
  actionOf: ActionOf,
  exceptions: readonly DlpException[],
  onPassed: (found: string) => void,
): ActionOf {
  if (exceptions.length === 0) return actionOf
  return (found, path) => {
    const action = actionOf(found, path)
    if (action === 'count') return action
    const passes = exceptions.some(
      (exception) => exception.class === dataClassOf(found) && isBelow(path, exception.path),
    )
    if (!passes) return action
    onPassed(found)
    return 'count'
  }
}

/** Whether a path is the one of a pattern, or leads on from there. */
function isBelow(path: readonly string[], pattern: readonly string[]): boolean {
  return pattern.length <= path.length && pattern.every((part, i) => part === '*' || part === path[i])
}
