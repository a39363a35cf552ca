import { z } from 'zod'
import { DATA_CLASSES } from '../text/data-class.ts'
import { SCREEN_ACTIONS } from '../text/screen.ts'

const action = z.enum(SCREEN_ACTIONS)
const classes = z.partialRecord(z.enum(DATA_CLASSES), action)
const mode = z.enum(['observe', 'enforce'])

const ACTIONS =
  '`count` records how many, `placeholder` puts `[redacted:CLASS]` in its place, `hash` a keyed hash beside that, `mask` stars it out, `drop` takes it away, `deny` refuses the call.'

/** `dlp`: what becomes of personal data, secrets and hidden text. */
export const dlp = z.strictObject({
  mode: mode
    .default('enforce')
    .describe(
      'Whether what is found is changed or refused, or only counted and recorded as what would have been done.',
    ),
  arguments: classes
    .prefault({})
    .describe(`What becomes of each class in arguments and in answers of hosts. Default count. ${ACTIONS}`),
  results: classes
    .prefault({})
    .describe(
      'The same for what servers answer, ask, log and tell. Default: `placeholder` for secret and credit_card, `drop` for hidden_text, `count` for the rest.',
    ),
})

/** `servers.X.dlp`: the same for one server, class by class in place of `dlp`. */
export const serverDlp = z
  .strictObject({
    mode: mode.exactOptional().describe('In place of `dlp.mode`.'),
    arguments: classes.exactOptional().describe('In place of the classes of `dlp.arguments` that it names.'),
    results: classes.exactOptional().describe('In place of the classes of `dlp.results` that it names.'),
  })
  .exactOptional()
  .describe('What becomes of data in calls of its tools, where that differs from `dlp`.')
