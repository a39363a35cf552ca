import { z } from 'zod'
import { DATA_CLASSES } from '../text/data-class.ts'
import { SCREEN_ACTIONS } from '../text/screen.ts'

const known = z.enum(DATA_CLASSES)
/** What goes to a server can be had back from nobody. */
const inArguments = z.partialRecord(known, z.enum(SCREEN_ACTIONS.filter((action) => action !== 'reversible')))
const inResults = z.partialRecord(known, z.enum(SCREEN_ACTIONS))
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
  arguments: inArguments
    .prefault({})
    .describe(`What becomes of each class in arguments and in answers of hosts. Default count. ${ACTIONS}`),
  results: inResults
    .prefault({})
    .describe(
      'The same for what servers answer, ask, log and tell; also `reversible`: `<CLASS_1>` in its place, which tools with `restore` get back. Default: `placeholder` for secret and credit_card, `drop` for hidden_text, `count` for the rest.',
    ),
})

/** `servers.X.dlp`: the same for one server, class by class in place of `dlp`. */
export const serverDlp = z
  .strictObject({
    mode: mode.exactOptional().describe('In place of `dlp.mode`.'),
    arguments: inArguments
      .exactOptional()
      .describe('In place of the classes of `dlp.arguments` that it names.'),
    results: inResults.exactOptional().describe('In place of the classes of `dlp.results` that it names.'),
  })
  .exactOptional()
  .describe('What becomes of data in calls of its tools, where that differs from `dlp`.')

/** `servers.X.tools.T.restore`: which arguments of a tool get values back in the place of reversible placeholders. */
export const restore = z
  .record(
    z.string().regex(/^(?:\/(?:[^/~]|~[01])+){1,8}$/, {
      error: 'a JSON pointer to an argument, such as `/to` or `/cc/*`',
    }),
    z.array(known).min(1).max(DATA_CLASSES.length),
  )
  .exactOptional()
  .describe(
    'Arguments, as JSON pointers with `*` for any item, in which `<EMAIL_1>` becomes the value again that the session was shown so, and of which classes. Default: none.',
  )
