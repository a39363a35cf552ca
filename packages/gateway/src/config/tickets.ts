import { z } from 'zod'
import { isServerUrl, path, text, word } from './forms.ts'
import { secret } from './server-access.ts'

const words = (what: string) => z.array(z.string().min(1).max(128)).min(1).max(32).describe(what)
const assignees = words(
  'Whom a ticket must be assigned to, as the system names them: account, user name or address. Default: anybody.',
).exactOptional()
const timeoutMs = z
  .int()
  .min(100)
  .max(10_000)
  .default(2_000)
  .describe('Milliseconds that a question may take; without an answer the call is refused.')
const url = text(
  'an https URL without user, password and fragment; plain http on loopback only',
  isServerUrl,
).describe('Base URL of the system.')
const token = secret.describe('Token of the account of the gate there, by reference; it needs to read only.')
const user = z
  .string()
  .regex(/^[^\s:]{1,256}$/, { error: 'a user name without spaces and colons' })
  .exactOptional()
  .describe('Name that goes with the token by HTTP Basic. Default: the token is a bearer token.')
const repository = word(
  'an owner and a name, such as `acme/changes`',
  /^[A-Za-z0-9_.-]{1,100}(?:\/[A-Za-z0-9_.-]{1,100}){1,8}$/,
)
const common = { url, token, assignees, timeoutMs }

/** `tickets`: the system that confirms tickets. */
export const tickets = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('jira').describe('Jira Cloud or Data Center.'),
    ...common,
    user,
    approved: words('Names of the states that stand for approval.'),
  }),
  z.strictObject({
    type: z.literal('servicenow').describe('Change requests of ServiceNow.'),
    ...common,
    user,
    approved: words('Values of `approval` that stand for approval. Default approved.').default(['approved']),
  }),
  z.strictObject({
    type: z.literal('github').describe('Issues of GitHub; they must be open.'),
    ...common,
    repository: repository.describe('Repository of the issues.'),
    approved: words('Labels that stand for approval.'),
  }),
  z.strictObject({
    type: z.literal('gitlab').describe('Issues of GitLab; they must be open.'),
    ...common,
    repository: repository.describe('Path of the project.'),
    approved: words('Labels that stand for approval.'),
  }),
  z.strictObject({
    type: z
      .literal('http')
      .describe('Any other system, behind an endpoint of your own; see docs/tickets.md.'),
    ...common,
    token: token.exactOptional(),
    approved: words('States that stand for approval. Default approved.').default(['approved']),
  }),
  z.strictObject({
    type: z.literal('file').describe('A YAML file, for those who have no system.'),
    path: path.describe(
      'Map of tickets by id, each with state, text and, if wanted, assignees, from and until.',
    ),
    assignees,
    approved: words('States that stand for approval. Default approved.').default(['approved']),
  }),
])
