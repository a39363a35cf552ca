import type {
  AnsweredCall,
  AuthorizedCall,
  FoundData,
  ResolvedCall,
  ScreenedCall,
  Session,
} from '../../call/call.ts'
import { type Json, isJsonObject, member } from '../../call/json.ts'
import { onTrial } from '../../call/on-trial.ts'
import { Refusal, type Target } from '../../call/refusal.ts'
import type { Stage } from '../../call/stage.ts'
import { parseExact } from '../../mcp/json-exact.ts'
import type { Placeholders } from '../../ports/placeholders.ts'
import { PLACEHOLDER, type Screened } from '../../text/screen.ts'
import { DETECTOR_DOWN, type Detection } from './detection.ts'
import { screenedHost } from './host-link.ts'
import { type RestoreOptions, createRestoreStage } from './restore.ts'
import {
  type Asked,
  type Direction,
  type DlpRules,
  type ScreenerOptions,
  createScreener,
  whenKnown,
} from './screener.ts'

/** What a tool says of its structured answers. */
export interface OutputCheck {
  readonly fits: (value: Json) => boolean
  /** Whether it names formats: `fits` does not look at them, and hosts may. */
  readonly formats: boolean
}

export interface DlpOptions extends RestoreOptions, ScreenerOptions {
  readonly placeholders: Placeholders
  /** What the tool says of `structuredContent`; undefined: nothing. */
  readonly outputCheck: (target: Target) => OutputCheck | undefined
  /** Whether a rule reads what sessions have seen, and an answer reads like instructions to the model. */
  readonly instructs: (answer: Json) => boolean
  /** Told of a call that holds a value which must never be seen. */
  readonly onCanary: (of: Asked, direction: Direction) => void
  /** Keeps what a session has seen; durable when it resolves. */
  readonly label: (session: Session, label: string) => Promise<void>
}

/** Label of a session that was answered by what reads like instructions to the model. */
export const INJECTION = 'injection'

/** What the agent reads when an answer must be withheld: the usual text would have it tried again. */
const RAN = 'the call ran, and its answer is withheld'

/** Data loss prevention: before a call is judged, before it goes out, and before its answer comes back. */
export interface DlpStages {
  readonly restore: Stage<ResolvedCall, ResolvedCall>
  readonly arguments: Stage<AuthorizedCall, ScreenedCall>
  readonly results: Stage<AnsweredCall, AnsweredCall>
}

/**
 * Rows 4b, 7 and 12: finds personal data, secrets and hidden text in what a server gets and in what it says, and does with each class
 * what the operator wants (playbook Play 3, "Redaction for prompts and outputs").
 */
export function createDlpStages(options: DlpOptions): DlpStages {
  const { rulesFor, detector } = options
  const { screen, actionsOf, crosses, lookThrough } = createScreener(options)
  const budgetMs = 2_000 + (detector?.timeoutMs ?? 0)

  return {
    restore: createRestoreStage(options),
    arguments: {
      name: 'dlp-in',
      budgetMs,
      run: (call, signal) =>
        whenKnown(
          lookThrough(givenTo(call), call.target, signal, { judgement: judgementOf(call) }),
          (detection) => toSend(call, detection, signal),
        ),
    },
    results: {
      name: 'dlp-out',
      budgetMs,
      run(call, signal) {
        try {
          const publicText = `${RAN}: it could not be looked through; tell the user`
          const grown = whenKnown(
            lookThrough(call.answer.value, call.target, signal, { publicText }),
            (detection) => toRead(call, detection),
          )
          return grown instanceof Promise ? grown.catch(fail) : grown
        } catch (cause) {
          return fail(cause)
        }
      },
    },
  }

  function toSend(call: AuthorizedCall, detection: Detection, signal: AbortSignal): ScreenedCall {
    const rules = rulesFor(call.target, call.principal)
    const excepted: Record<string, number> = {}
    const actions = actionsOf(call, 'arguments', excepted)
    const given = givenTo(call)
    const screened = joined(given.map((value) => screen(value, call, actions, detection)))
    const found = foundIn(withDown(screened, detection), 'arguments', excepted)
    if ('canary' in screened.counts) options.onCanary(call, 'arguments')
    const writesBack = call.class !== 'read' && PLACEHOLDER.test(JSON.stringify(given))
    if (writesBack && rules.mode === 'enforce')
      throw new Refusal('CG_DLP_PLACEHOLDER', {
        internal: 'the arguments hold a placeholder',
        judgement: judgementOf(call),
      })
    if (screened.denied.length > 0)
      throw new Refusal('CG_DLP_ARGUMENT', {
        publicText: `the arguments hold what may not be sent to this tool${named(screened.denied)}; leave it out, or tell the user`,
        internal: `denied in the arguments: ${screened.denied.join(', ')}`,
        judgement: judgementOf(call),
        screened: found,
      })
    const observed = observedIn(
      rules,
      writesBack ? [...screened.acted, 'deny placeholder'] : screened.acted,
      'argument',
    )
    const side = (direction: Direction) => (value: Json) => {
      const actions = actionsOf(call, direction)
      return whenKnown(lookThrough(value, call.target, signal), (found) =>
        screen(value, call, actions, found),
      )
    }
    const grown: ScreenedCall = {
      ...onTrial(call, observed, observed.some(refuses) ? 'refuse' : 'change'),
      host: screenedHost(call.host, {
        says: side('results'),
        hears: side('arguments'),
        crosses: (before, text) => crosses(before, text, actionsOf(call, 'results')),
      }),
      screened: found,
    }
    return screened.changed ? withArguments(grown, call, detection) : grown
  }

  function toRead(call: AnsweredCall, detection: Detection): AnsweredCall | Promise<AnsweredCall> {
    const grown = answered(call, rulesFor(call.target, call.principal), detection)
    return options.instructs(call.answer.value) ? labelled(grown) : grown
  }

  /** The call with what may be sent, checked again: a placeholder may be too long for its place, or of another type. */
  function withArguments(grown: ScreenedCall, call: AuthorizedCall, detection: Detection): ScreenedCall {
    const actions = actionsOf(call, 'arguments')
    const given = parseExact(call.argsBytes) ?? call.args
    const fitting = (typed: boolean) => {
      const argsBytes = Buffer.from(JSON.stringify(screen(given, call, actions, detection, typed).value))
      const args: unknown = JSON.parse(argsBytes.toString('utf8'))
      return isJsonObject(args) && !call.schema?.validate(args) ? { args, argsBytes } : undefined
    }
    const fits = fitting(false) ?? fitting(true)
    if (fits === undefined) {
      throw new Refusal('CG_DLP_SCHEMA', {
        internal: 'the arguments without what may not be sent do not fit the schema of the tool',
        judgement: judgementOf(call),
      })
    }
    const responses = call.retry?.responses
    if (call.retry === undefined || responses === undefined) return { ...grown, ...fits }
    const { value } = screen(responses, call, actions, detection)
    return {
      ...grown,
      ...fits,
      retry: { ...call.retry, responses: isJsonObject(value) ? value : {} },
    }
  }

  function answered(call: AnsweredCall, rules: DlpRules, detection: Detection): AnsweredCall {
    const { answer, screened: before } = call
    const excepted: Record<string, number> = { ...before.excepted }
    const actions = actionsOf(call, 'results', excepted)
    const found = screen(answer.value, call, actions, detection)
    const screened = foundIn(withDown(found, detection), 'results', excepted, before)
    if ('canary' in found.counts) options.onCanary(call, 'results')
    const observed = observedIn(rules, found.acted, 'result')
    const grown: AnsweredCall = {
      // Whatever comes back, the call has run.
      ...onTrial(call, observed, 'change'),
      screened,
    }
    if (found.denied.length > 0)
      throw new Refusal('CG_DLP_RESULT', {
        publicText: `${RAN}: it holds what may not be read from this tool${named(found.denied)}`,
        internal: `denied in the result: ${found.denied.join(', ')}`,
        screened,
      })
    if (!found.changed) return grown
    const exact = parseExact(answer.bytes) ?? answer.value
    const value = screen(exact, call, actions, detection).value
    const bytes = Buffer.from(
      JSON.stringify(valid(call, exact, value, (part) => screen(part, call, actions, detection, true).value)),
    )
    const read: unknown = JSON.parse(bytes.toString('utf8'))
    if (!isJsonObject(read)) throw new TypeError('an answer is an object')
    return { ...grown, answer: { ...answer, value: read, bytes } }
  }

  /** What hosts validate must stay valid: they would take the whole answer for broken. */
  function valid(call: AnsweredCall, exact: Json, value: Json, typedOf: (part: Json) => Json): Json {
    if (!isJsonObject(exact) || !isJsonObject(value) || call.answer.kind === 'error') return value
    const given = member(exact, 'structuredContent')
    const structured = member(value, 'structuredContent')
    const output = options.outputCheck(call.target)
    if (given === undefined || structured === undefined || output === undefined) return value
    if (!output.formats && output.fits(plain(structured))) return value
    const typed = typedOf(given)
    if (output.fits(plain(typed))) return { ...value, structuredContent: typed }
    throw new Refusal('CG_DLP_SCHEMA', {
      publicText: `${RAN}: without what may not be read it is no answer of this tool any more`,
      internal: 'structuredContent without what may not be read does not fit the outputSchema of the tool',
    })
  }

  /** A signal for the rules of the calls that follow, never a refusal of its own: it is right often and not always. */
  async function labelled(call: AnsweredCall): Promise<AnsweredCall> {
    await options.label(call.session, INJECTION)
    return { ...call, screened: { ...call.screened, result: { ...call.screened.result, [INJECTION]: 1 } } }
  }
}

/** Everything that the server will get. */
function givenTo({ args, retry }: AuthorizedCall): Json[] {
  return retry?.responses === undefined ? [args] : [args, retry.responses]
}

/** What was found, and that the detector saw none of it. */
function withDown<T extends Pick<Screened, 'counts'>>(screened: T, { isDown }: Detection): T {
  return isDown ? { ...screened, counts: { ...screened.counts, [DETECTOR_DOWN]: 1 } } : screened
}

/** As schemas judge it: numbers that were kept as written are read. */
const plain = (value: Json): Json => JSON.parse(JSON.stringify(value)) as Json

/** What could not be screened, or not be remembered, does not reach the host. */
function fail(cause: unknown): never {
  if (cause instanceof Refusal) throw cause
  throw new Refusal('CG_DLP_FAILED', {
    internal: `the answer could not be screened: ${cause instanceof Error ? cause.message : String(cause)}`,
    cause,
  })
}

/** Classes that a caller is told of: that a value was a canary is nobody's business who may have been made to send it. */
function named(denied: readonly string[]): string {
  const shown = denied.filter((found) => found !== 'canary')
  return shown.length === 0 ? '' : ` (${shown.join(', ')})`
}

/** One of several values that were screened. */
function joined(all: readonly Screened[]): Omit<Screened, 'value'> {
  const counts: Record<string, number> = {}
  for (const each of all)
    for (const [found, count] of Object.entries(each.counts)) counts[found] = (counts[found] ?? 0) + count
  return {
    changed: all.some(({ changed }) => changed),
    counts,
    denied: [...new Set(all.flatMap(({ denied }) => denied))],
    acted: [...new Set(all.flatMap(({ acted }) => acted))],
    places: all.flatMap(({ places }) => places),
  }
}

/** What the record says of one direction, beside what it said of the other. */
function foundIn(
  { counts, places }: Omit<Screened, 'value'>,
  direction: Direction,
  excepted: Readonly<Record<string, number>>,
  before?: FoundData,
): FoundData {
  const all = [...(before?.places ?? []), ...places.map((place) => `${direction} ${place}`)]
  return {
    arguments: before?.arguments ?? counts,
    ...(direction === 'results' ? { result: counts } : {}),
    ...(all.length === 0 ? {} : { places: all }),
    ...(Object.keys(excepted).length === 0 ? {} : { excepted }),
  }
}

/** What enforcing would have done. */
function observedIn(
  { mode }: DlpRules,
  acted: readonly string[],
  where: 'argument' | 'result',
): readonly string[] {
  return mode === 'enforce' ? [] : acted.map((action) => `(dlp: ${action} in the ${where})`)
}

const refuses = (observed: string): boolean => observed.startsWith('(dlp: deny ')

const judgementOf = ({ decision, facts, policy }: AuthorizedCall) => ({ decision, facts, policy })
