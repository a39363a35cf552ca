import { z } from 'zod'
import { patternProblem } from '../text/own.ts'
import { isServerUrl, path, text, word } from './forms.ts'
import { secret } from './server-access.ts'

const typeName = word(
  'a type of at most 32 lower-case letters, digits, `_` and `-`',
  /^[a-z][a-z0-9_-]{0,31}$/,
)
const relation = word(
  'a relation of at most 50 letters, digits, `_` and `-`',
  /^[A-Za-z][A-Za-z0-9_-]{0,49}$/,
)
const pointer = text('a JSON pointer such as `/orders/*/id`', (value) =>
  /^(?:\/(?:[^~/]|~[01])+){1,16}$/.test(value),
)
const template = z.string().min(1).max(256)

/** `servers.X.tools.T.owned`: where ids stand in the arguments of a tool. */
export const toolOwned = z
  .array(
    z.strictObject({
      at: pointer.describe(
        'Place of the ids in the arguments; `*` is any member or item. Lists are looked through wherever they stand.',
      ),
      type: typeName.describe('Type of the ids, one of `ownership.types`.'),
      relation: relation
        .exactOptional()
        .describe('What the call does with them, for OpenFGA and HTTP sources. Default: that of the type.'),
      keys: z.boolean().default(false).describe('The ids are the names of the members there.'),
      split: z
        .string()
        .min(1)
        .max(8)
        .exactOptional()
        .describe('What separates several ids in one text, such as `,`. Default: a text is one id.'),
      pattern: z
        .string()
        .min(1)
        .max(1_024)
        .refine((value) => patternProblem(value) === undefined && /\((?!\?)/.test(value), {
          error: 'is no pattern of RE2 with a group, such as `^/users/([^/]+)/`',
        })
        .exactOptional()
        .describe(
          'Pattern (RE2) whose first group is the id, at each match; a text that it does not match is refused. Default: the text is the id.',
        ),
      required: z
        .boolean()
        .default(true)
        .describe(
          'Whether a call without an id there is refused; many tools act on everything then. Set false where another argument may name the object.',
        ),
    }),
  )
  .min(1)
  .max(16)
  .exactOptional()
  .describe(
    'Arguments that name objects, which must be those of the caller; see docs/ownership.md. Default: none.',
  )

const common = {
  url: text('an https URL without user, password and fragment; plain http on loopback only', isServerUrl),
  token: secret.exactOptional().describe('Bearer token of the gate there, by reference. Default none.'),
  timeoutMs: z
    .int()
    .min(100)
    .max(10_000)
    .default(2_000)
    .describe('Milliseconds that a question may take; without an answer the call is refused.'),
}

/** `ownership`: who may use which objects. */
export const ownership = z.strictObject({
  mode: z
    .enum(['observe', 'enforce'])
    .default('enforce')
    .describe('On trial, `observe`, nothing is refused, and the record tells what would have been.'),
  types: z
    .record(
      typeName,
      z.discriminatedUnion('source', [
        z.strictObject({
          source: z.literal('claims').describe('Ids that say themselves whose they are.'),
          equals: z
            .array(z.enum(['subject', 'tenant', 'actor']))
            .default([])
            .describe('What of the caller the id must be, one of them.'),
          prefix: template
            .refine((value) => /\{(?:subject|tenant|actor)\}[^{}A-Za-z0-9]/.test(value), {
              error:
                'needs `{subject}`, `{tenant}` or `{actor}` and a sign behind it that parts it from the rest, such as `{tenant}-`',
            })
            .exactOptional()
            .describe('What the id must begin with, such as `{tenant}-`.'),
        }),
        z.strictObject({
          source: z.literal('file').describe('A YAML file of ids, each with tenants, subjects and actors.'),
          path: path.describe('Map of ids; all that an entry names must fit the caller.'),
        }),
        z.strictObject({
          source: z.literal('http').describe('An endpoint of your own; see docs/ownership.md.'),
          ...common,
        }),
        z.strictObject({
          source: z.literal('openfga').describe('OpenFGA, by its batch check.'),
          ...common,
          store: word('the id of a store', /^[A-Za-z0-9_-]{1,64}$/).describe('Id of the store.'),
          model: word('the id of a model', /^[A-Za-z0-9_-]{1,64}$/)
            .exactOptional()
            .describe('Id of the authorization model. Default: the newest.'),
          user: template.default('user:{subject}').describe('Who is asked for.'),
          relation: relation.describe('Relation that the caller must have to the object.'),
        }),
      ]),
    )
    .default({})
    .describe('Types of ids, and who knows whose they are.'),
})
