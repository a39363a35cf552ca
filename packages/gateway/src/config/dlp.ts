import { z } from 'zod'
import { BINARY_ACTIONS } from '../text/binary.ts'
import { isServerUrl, path, text, word } from './forms.ts'
import { secret } from './server-access.ts'
import { DATA_CLASSES } from '../text/data-class.ts'
import { SCREEN_ACTIONS } from '../text/screen.ts'

const known = z.enum(DATA_CLASSES)
/** What goes to a server can be had back from nobody. */
const inArguments = z.partialRecord(known, z.enum(SCREEN_ACTIONS.filter((action) => action !== 'reversible')))
const inResults = z.partialRecord(known, z.enum(SCREEN_ACTIONS))
const binaryAction = z.enum(BINARY_ACTIONS).exactOptional()
const binary = z.strictObject({
  image: binaryAction.describe('What becomes of pictures.'),
  audio: binaryAction.describe('What becomes of sound and film.'),
  pdf: binaryAction.describe('What becomes of PDF.'),
  other: binaryAction.describe('What becomes of every other file.'),
})
const mode = z.enum(['observe', 'enforce'])

const ACTIONS =
  '`count` records how many, `placeholder` puts `[redacted:CLASS]` in its place, `hash` a keyed hash beside that, `mask` stars it out, `drop` takes it away, `deny` refuses the call.'

const pointer = z.string().regex(/^(?:\/(?:[^/~]|~[01])+){1,8}$/, {
  error: 'a JSON pointer, such as `/to` or `/cc/*`',
})

const exception = z.strictObject({
  class: known.describe('Which class of data it lets pass.'),
  in: z.enum(['arguments', 'results']).describe('In what a server gets, or in what it says.'),
  tool: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,15}\.[A-Za-z0-9_.*?-]{1,128}$/, {
      error: 'a tool such as `crm.get` or `crm.read_*`',
    })
    .describe('Of which tool, as `server.tool`; a glob for the name of the tool.'),
  path: pointer.describe(
    'Where: JSON pointer to an argument or a member of the result, `*` for any member or item; what lies below it passes too.',
  ),
  actor: z.string().min(1).max(256).default('*').describe('For which caller, by id or glob. Default: all.'),
  owner: z.string().min(1).max(128).describe('Who answers for it.'),
  until: z
    .string()
    .regex(/^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$/, { error: 'a day such as `2027-01-31`' })
    .describe('Its last day, UTC. From then on it lets nothing pass, and `callgate check` fails.'),
  why: z.string().max(500).exactOptional().describe('Why it is no fault.'),
})

const ownAction = z.enum(SCREEN_ACTIONS.filter((action) => action !== 'reversible')).default('count')

/** `dlp.own.NAME`: what only the operator knows to be worth something. */
const own = z.strictObject({
  words: z
    .array(z.string().min(2).max(256))
    .max(1_000)
    .exactOptional()
    .describe('Words and phrases, found whole. More of them go into a file.'),
  file: path
    .exactOptional()
    .describe('File with one word or phrase a line, at most 100,000; read at the start of the gate.'),
  pattern: z
    .string()
    .min(1)
    .max(512)
    .exactOptional()
    .describe('Pattern in RE2 syntax, such as `TICKET-[0-9]{6}`; its time is linear in the text.'),
  ignoreCase: z
    .boolean()
    .default(true)
    .describe('Whether large and small letters are the same. Default true.'),
  arguments: ownAction.describe('What becomes of it in arguments. Default count.'),
  results: ownAction.describe('What becomes of it in what servers say. Default count.'),
})

/** `dlp.detector` */
const detector = z.strictObject({
  url: text(
    'an https URL without user, password and fragment; plain http on loopback only',
    isServerUrl,
  ).describe('Base of the analyzer API of Presidio; `/analyze` is put behind it. Texts of calls go there.'),
  token: secret.exactOptional().describe('Bearer token for it, by reference. Default: none is shown.'),
  language: word('a language of two letters', /^[a-z]{2}$/)
    .default('en')
    .describe('Language that the texts are taken for.'),
  timeoutMs: z
    .int()
    .min(10)
    .max(5_000)
    .default(1_000)
    .describe(
      'Milliseconds that a question may take; each call asks before it is sent and when it is answered.',
    ),
  minScore: z
    .number()
    .min(0)
    .max(1)
    .default(0.5)
    .describe('Findings that are less sure than this count as none.'),
  classes: z
    .record(word('a type of entity such as `PERSON`', /^[A-Z][A-Z0-9_]{0,63}$/), z.enum(DATA_CLASSES))
    .refine((classes) => Object.keys(classes).length > 0, 'at least one type of entity')
    .default({ PERSON: 'person', LOCATION: 'location' })
    .describe(
      'Our class for each type of entity; other types are not asked for. Default: PERSON is `person`, LOCATION is `location`.',
    ),
  onFailure: z
    .enum(['deny', 'pass'])
    .default('deny')
    .describe(
      'What becomes of a call while the detector gives no answer: refused or withheld (CG_DLP_DETECTOR), or passed with what our own scanner finds, which the record counts as `detector_down`.',
    ),
  maxTextBytes: z
    .int()
    .min(1_024)
    .max(1_048_576)
    .default(131_072)
    .describe('Most bytes of text in one question; a call with more counts as one without an answer.'),
})

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
  own: z
    .record(
      z.string().regex(/^[a-z][a-z0-9_]{0,30}$/, { error: 'a name of small letters, digits and `_`' }),
      own,
    )
    .prefault({})
    .describe('Classes of the operator, `own.NAME`: dictionaries and patterns.'),
  canaries: z
    .strictObject({
      file: path.describe('File with one value a line, at least 8 letters and digits each, at most 256.'),
    })
    .exactOptional()
    .describe(
      'Values that must never be seen, such as seeded rows: calls that send one are refused, answers that hold one are withheld, and the event `dlp.canary` tells. They are found also cased, parted, reversed and encoded.',
    ),
  exceptions: z
    .array(exception)
    .max(256)
    .prefault([])
    .describe(
      'What is no fault although it was found; `callgate explain ID` prints the narrowest one for a refused call.',
    ),
  binary: binary
    .prefault({})
    .describe(
      'What becomes of pictures, sound and film (`audio`), PDF and other files, by their bytes rather than by what is claimed of them. `pass` counts them, `drop` puts a text in their place that tells kind, length and SHA-256, `deny` refuses the call or withholds its answer. What is not what it claims to be is `other`, and gets the strictest action of all. In arguments only `deny` acts. Default pass.',
    ),
  detector: detector
    .exactOptional()
    .describe(
      'A detector of your own beside the scanner, for names and places; see docs/dlp.md. Default: none.',
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
    binary: binary.exactOptional().describe('In place of the kinds of `dlp.binary` that it names.'),
  })
  .exactOptional()
  .describe('What becomes of data in calls of its tools, where that differs from `dlp`.')

/** `servers.X.tools.T.restore`: which arguments of a tool get values back in the place of reversible placeholders. */
export const restore = z
  .record(pointer, z.array(known).min(1).max(DATA_CLASSES.length))
  .exactOptional()
  .describe(
    'Arguments, as JSON pointers with `*` for any item, in which `<EMAIL_1>` becomes the value again that the session was shown so, and of which classes. Default: none.',
  )

/** `servers.X.tools.Y.binary` */
export const toolBinary = binary
  .exactOptional()
  .describe('In place of the kinds of `dlp.binary` and `servers.X.dlp.binary` that it names.')
