import type { Json, JsonObject } from '../../call/json.ts'
import { Refusal, type Target } from '../../call/refusal.ts'
import type { Screened } from '../../text/screen.ts'
import { type DlpOptions, INJECTION } from './dlp.ts'
import { screenedMessages } from './messages.ts'
import { type Direction, type Whose, createScreener, whenKnown } from './screener.ts'

/** Screens what passes beside calls: lists, completion, and the log messages of streams that stay open. */
export type BesideCalls = ReturnType<typeof createBesideCalls>

/** The rules of rows 7 and 12 for what is no call. It has no record; a canary is told of all the same. */
export function createBesideCalls(options: DlpOptions) {
  const { screen, actionsOf, crosses, lookThrough } = createScreener(options)
  const timeLimit = () => AbortSignal.timeout(2_000 + (options.detector?.timeoutMs ?? 0))

  return {
    /**
     * Each of several values by itself, in their order.
     * @param direction `results` for what a server says
     * @throws Refusal CG_DLP_DETECTOR, CG_DLP_FAILED: what could not be screened does not pass
     */
    async screened(
      whose: Whose,
      target: Target,
      direction: Direction,
      values: readonly Json[],
    ): Promise<readonly Screened[]> {
      if (values.length === 0) return []
      const of = { ...whose, target }
      try {
        const detection = await lookThrough(values, target, timeLimit())
        const actions = actionsOf(of, direction)
        const all = values.map((value) => screen(value, whose, actions, detection))
        if (all.some(hasCanary)) options.onCanary(of, direction)
        if (direction === 'results' && options.instructs(values))
          await options.label(whose.session, INJECTION)
        return all
      } catch (cause) {
        if (cause instanceof Refusal) throw cause
        throw new Refusal('CG_DLP_FAILED', {
          publicText: 'what was asked for could not be looked through',
          internal: `not screened: ${cause instanceof Error ? cause.message : String(cause)}`,
          cause,
        })
      }
    },

    /** Log messages of a server in their order; one that may not be read, or could not be screened, is lost. */
    logs(whose: Whose, server: string): (params: JsonObject, to: (params: JsonObject) => void) => void {
      const of = { ...whose, target: { server, kind: 'resource', name: '' } as const }
      const tell = screenedMessages({
        says: (value) =>
          whenKnown(lookThrough(value, of.target, timeLimit()), (detection) => {
            const screened = screen(value, whose, actionsOf(of, 'results'), detection)
            if (hasCanary(screened)) options.onCanary(of, 'results')
            return screened
          }),
        crosses: (before, text) => crosses(before, text, actionsOf(of, 'results')),
      })
      return (params, to) => {
        try {
          tell(params, 'data', to)
        } catch {
          // A message that nobody could look through is lost: no call waits for it that could be refused.
        }
      }
    },
  }
}

const hasCanary = ({ counts }: Screened): boolean => 'canary' in counts
