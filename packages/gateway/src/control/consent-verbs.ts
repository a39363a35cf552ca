import { z } from 'zod'
import { Refusal } from '../call/refusal.ts'
import type { JsonObject } from '../call/json.ts'
import { reasonEntry } from '../errors/registry.ts'
import { type Consents, REDIRECT_URI, consentBody } from '../ports/consents.ts'
import { ControlRefused, type ControlVerb } from './server.ts'

const server = z.string().regex(/^[a-z][a-z0-9-]{0,15}$/)
const begin = z.strictObject({ server, redirect_uri: z.string().regex(REDIRECT_URI) })
const finish = z.strictObject({
  server,
  state: z.string().max(256),
  code: z.string().max(8_192),
  iss: z.string().max(4_096).exactOptional(),
})

/** How long the issuer may take, in milliseconds. */
const ISSUER_MS = 9_000

/** Verbs of the control API about consents: list, end, and give one for the gate itself, which lists a server's tools by it. */
export function consentVerbs(consents: Consents): readonly ControlVerb[] {
  return [
    {
      method: 'GET',
      path: /^\/v1\/consents$/,
      run: () => ({ status: 200, body: { consents: consents.list().map(consentBody) } }),
    },
    {
      method: 'DELETE',
      path: /^\/v1\/consents\/([0-9a-f]{16})$/,
      async run(_, id) {
        const facts = await consents.endById(id)
        if (facts === undefined) throw new ControlRefused(404, `there is no consent \`${id}\``)
        return { status: 200, body: consentBody(facts) }
      },
    },
    {
      method: 'POST',
      path: /^\/v1\/consents\/begin$/,
      async run(body) {
        const asked = readAs(begin, body)
        const question = await consents
          .begin(asked.server, undefined, asked.redirect_uri, AbortSignal.timeout(ISSUER_MS))
          .catch(refuse)
        return { status: 200, body: { authorize_url: question.authorizeUrl, state: question.state } }
      },
    },
    {
      method: 'POST',
      path: /^\/v1\/consents\/finish$/,
      async run(body) {
        const { server: id, state, code, iss: issuer } = readAs(finish, body)
        const facts = await consents
          .finish(id, undefined, { state, code, issuer }, AbortSignal.timeout(ISSUER_MS))
          .catch(refuse)
        return { status: 200, body: consentBody(facts) }
      },
    },
  ]
}

/** The operator is told what a caller is not: why. */
function refuse(cause: unknown): never {
  if (!(cause instanceof Refusal)) throw cause
  const { status, publicText } = reasonEntry(cause.code)
  throw new ControlRefused(status, `${publicText} (${cause.internal ?? cause.code})`, { cause })
}

function readAs<T>(schema: z.ZodType<T>, body: JsonObject): T {
  const parsed = schema.safeParse(body)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new ControlRefused(400, `\`${issue?.path.join('.') ?? ''}\` ${issue?.message ?? 'is wrong'}`)
}
