import type { AuthorizedCall, IdentifiedCall, Principal } from '../../call/call.ts'
import type { Json } from '../../call/json.ts'
import { Refusal, type Judgement, type Target } from '../../call/refusal.ts'
import { DetectorDown } from '../../ports/detector.ts'
import type { Placeholders } from '../../ports/placeholders.ts'
import { dataClassOf } from '../../text/data-class.ts'
import { type ScreenAction, type Screened, screenValue } from '../../text/screen.ts'
import { type Detection, type DlpDetector, type Scan, detectIn } from './detection.ts'
import { type DlpException, excepting } from './exceptions.ts'

/** What becomes of each class in one direction. */
export type ActionOf = (found: string, path: readonly string[]) => ScreenAction

/** Towards the server, or towards the host. */
export type Direction = 'arguments' | 'results'

/** The rules for one target. */
export interface DlpRules {
  readonly mode: 'observe' | 'enforce'
  readonly arguments: ActionOf
  readonly results: ActionOf
}

export interface ScreenerOptions {
  readonly placeholders: Pick<Placeholders, 'keep'>
  /** @param principal undefined: nobody knows yet who calls; then what is enforced for anybody is enforced */
  readonly rulesFor: (target: Target, principal?: Principal) => DlpRules
  readonly scan: Scan
  /** Undefined: nobody else is asked, and screening does not wait. */
  readonly detector?: DlpDetector | undefined
  readonly exceptions: readonly DlpException[]
  /** Milliseconds since the epoch, for the end of exceptions. */
  readonly now: () => number
  /** Keyed hash of a text, by tenant: equal values stay equal, and nobody without the key can try values. */
  readonly hash: (tenant: string, text: string) => string
}

/** Whose data it is. */
export type Whose = Pick<IdentifiedCall, 'principal' | 'session'>

/** Who does what, as far as rules and exceptions look at it. */
export type Asked = Pick<AuthorizedCall, 'target' | 'principal' | 'redactions'>

/** The rules for one direction of one call. */
export interface Actions {
  readonly actionOf: ActionOf
  readonly mode: DlpRules['mode']
  /** What rules of policy take out, on trial too; undefined: nothing. */
  readonly redacts: ((found: string) => boolean) | undefined
}

/** Applies the operator's rules to values: what rows 7 and 12 and everything beside calls have in common. */
export type Screener = ReturnType<typeof createScreener>

export function createScreener(options: ScreenerOptions) {
  const { rulesFor, scan, detector } = options
  const own: Detection = { scan, isDown: false }

  const mayPass = (target: Target): boolean =>
    detector?.onFailure === 'pass' || rulesFor(target).mode === 'observe'

  return {
    /** Under observe nothing is changed or denied; what would have been stands in `acted` and `places` all the same. */
    screen(
      value: Json,
      { principal, session }: Whose,
      { actionOf, mode, redacts }: Actions,
      { scan }: Detection,
      typed = false,
    ): Screened {
      const isTrial = mode === 'observe'
      const screening = {
        scan,
        actionOf,
        typed,
        hash: (text: string) => options.hash(principal.tenant, text),
        keep: (found: string, text: string) =>
          isTrial ? '' : options.placeholders.keep(session, found, text),
      }
      const screened = screenValue(value, screening)
      if (!isTrial) return screened
      if (redacts === undefined) return { ...screened, value, changed: false, denied: [] }
      const only: ActionOf = (found) => (redacts(found) ? 'placeholder' : 'count')
      const { value: passed, changed } = screenValue(value, { ...screening, actionOf: only })
      return { ...screened, value: passed, changed, denied: [] }
    },

    /** What becomes of what is found. @param excepted counts what exceptions let pass */
    actionsOf(
      { target, principal, redactions }: Asked,
      direction: Direction,
      excepted: Record<string, number> = {},
    ): Actions {
      const rules = rulesFor(target, principal)
      const now = options.now()
      const tool = `${target.server}.${target.name}`
      const exceptions = options.exceptions.filter(
        (exception) =>
          exception.in === direction &&
          exception.until > now &&
          exception.matchesTool(tool) &&
          exception.matchesActor(principal.actor.id),
      )
      const actionOf = excepting(rules[direction], exceptions, (found) => {
        excepted[found] = (excepted[found] ?? 0) + 1
      })
      const classes = (redactions ?? []).flatMap((redaction) =>
        redaction.in.includes(direction) ? redaction.classes : [],
      )
      if (classes.length === 0) return { actionOf, mode: rules.mode, redacts: undefined }
      // Neither an exception nor a trial of the operator's `dlp` lets pass what a rule takes out.
      const redacts = (found: string): boolean => classes.includes(dataClassOf(found) ?? '')
      return {
        actionOf: (found, path) => {
          const action = actionOf(found, path)
          return action === 'count' && redacts(found) ? 'placeholder' : action
        },
        mode: rules.mode,
        redacts,
      }
    },

    /** Whether something that may not pass stands over the seam of two texts that follow one another. */
    crosses(before: string, text: string, { actionOf, mode, redacts }: Actions): boolean {
      if (mode === 'observe' && redacts === undefined) return false
      const stays = (found: string): boolean =>
        mode === 'observe' ? redacts?.(found) !== true : actionOf(found, []) === 'count'
      const seam = before.length
      return scan(before + text, false).some(
        ({ class: found, start, end }) => start < seam && end > seam && !stays(found),
      )
    },

    /**
     * How a value is looked through; a promise where the operator's detector is asked.
     * @throws Refusal CG_DLP_DETECTOR where it does not answer and nothing may pass without it
     */
    lookThrough(
      value: Json,
      target: Target,
      signal: AbortSignal,
      said: { readonly publicText?: string; readonly judgement?: Judgement } = {},
    ): Detection | Promise<Detection> {
      if (detector === undefined) return own
      return detectIn(value, scan, detector, mayPass(target), signal).catch((cause: unknown) => {
        if (!(cause instanceof DetectorDown)) throw cause
        // Of what the detector did not answer for nobody knows what it holds.
        throw new Refusal('CG_DLP_DETECTOR', { ...said, internal: cause.message, cause })
      })
    },
  }
}

/** The next step, at once where nobody has to be waited for. */
export function whenKnown<T, U>(value: T | Promise<T>, next: (value: T) => U | Promise<U>): U | Promise<U> {
  return value instanceof Promise ? value.then(next) : next(value)
}
