import { randomUUID } from 'node:crypto'
import { type JsonObject, isJsonObject, member, stringMember } from '../call/json.ts'
import type { GatewayConfig } from '../config/declaration.ts'
import type { BroughtBack } from '../ports/consents.ts'
import { askControlOf } from './control.ts'
import { LOCAL, renewedToken } from './connect.ts'
import { endpointOf, folderOf, readAuthorities } from './connect-remote.ts'
import { readRunFile, requireConfig, stateFolder } from './locate.ts'
import { CommandFailed, print, printJson } from './output.ts'
import { safeText } from '../text/safe-text.ts'
import type { GateTarget, World } from './world.ts'

export interface ConsentOptions {
  readonly state?: string
  readonly client: string
  readonly subject: string
  readonly scope: string
  readonly ca?: string
  readonly own?: boolean
  readonly json?: boolean
}

type Asking = Pick<ConsentOptions, 'state' | 'json'>

/** Life of a token for one consent, in seconds: the browser's part is bound by its state, not by a token. */
const TOKEN_LIFE_S = 60
/** How long a person may take in the browser, in milliseconds. */
const PERSON_MS = 600_000

/** Asks a gate, as whoever is meant; what it refuses becomes a CommandFailed. */
type Ask = (body: JsonObject) => Promise<JsonObject>

/**
 * `callgate consent give SERVER [URL]`: the person says yes in a browser on this machine, and this command hands the code to the gate
 * as the caller it is known as.
 */
export async function consentGive(
  world: World,
  server: string,
  url: string | undefined,
  options: ConsentOptions,
): Promise<void> {
  const ask = await asker(world, url, options)
  const callback = await world.consent.listen()
  try {
    const begun = await ask({ do: 'begin', server, redirect_uri: callback.redirectUri })
    const state = stringMember(begun, 'state') ?? ''
    const say = options.json === true ? (text: string) => process.stderr.write(`${text}\n`) : print
    say(`open this in a browser on this machine, within 10 minutes:`)
    say(safeText(stringMember(begun, 'authorize_url') ?? ''))
    const brought = await callback.answer(state, AbortSignal.timeout(PERSON_MS)).catch(tooLate)
    if ('error' in brought)
      throw new CommandFailed(`nothing was granted: the issuer says \`${brought.error}\``)
    const given = await ask({
      do: 'finish',
      server,
      state,
      code: brought.code,
      ...(brought.issuer === undefined ? {} : { iss: brought.issuer }),
    })
    if (options.json === true) return printJson(given)
    const scope = stringMember(given, 'scope')
    const what = scope === undefined ? '' : ` (${safeText(scope)})`
    const who = options.own === true ? 'the gate itself' : 'this caller'
    print(`${server} may now be called in your name by ${who}${what}`)
    print(`to take it back: ${takeBack(server, url, options, given)}`)
  } finally {
    callback.close()
  }
}

/** `callgate consent end SERVER [URL]`: takes one's own consent back. */
export async function consentEnd(
  world: World,
  server: string,
  url: string | undefined,
  options: ConsentOptions,
): Promise<void> {
  const ask = await asker(world, url, options)
  const body = await ask({ do: 'end', server })
  if (options.json === true) return printJson(body)
  print(
    member(body, 'ended') === true
      ? `${server} can be called in your name no more`
      : `there was no consent to ${server}`,
  )
}

/** `callgate consent list`: every consent that the gate here keeps, the newest first; never a token. */
export async function consentList(world: Pick<World, 'env'>, options: Asking): Promise<void> {
  const { body } = await askControlOf(
    { env: world.env, state: options.state, missing },
    'GET',
    '/v1/consents',
  )
  if (options.json === true) return printJson(body['consents'] ?? [])
  const rows = member(body, 'consents')
  const found = Array.isArray(rows) ? rows.filter((row) => isJsonObject(row)) : []
  if (found.length === 0) return print('nobody has consented to anything')
  for (const row of found) {
    const of = (name: string): string => safeText(stringMember(row, name) ?? '')
    const who =
      of('subject') === '' ? 'the gate itself' : `${of('subject')} by ${of('actor')} in ${of('tenant')}`
    print(
      `${of('id')} ${of('server')} for ${who}, since ${of('given_at')}${of('scope') && ` (${of('scope')})`}`,
    )
  }
}

/** `callgate consent revoke ID`: the operator ends one. */
export async function consentRevoke(world: Pick<World, 'env'>, id: string, options: Asking): Promise<void> {
  if (!/^[0-9a-f]{16}$/.test(id))
    throw new CommandFailed(`\`${safeText(id)}\` is no id of a consent`, {
      fix: '`callgate consent list` shows them',
      exitCode: 2,
    })
  const { body } = await askControlOf(
    { env: world.env, state: options.state, missing },
    'DELETE',
    `/v1/consents/${id}`,
  )
  if (options.json === true) return printJson(body)
  print(`${id} is revoked: ${safeText(stringMember(body, 'server') ?? '')} can be called by it no more`)
}

function takeBack(
  server: string,
  url: string | undefined,
  { own, client, subject }: ConsentOptions,
  given: JsonObject,
): string {
  if (own === true) return `callgate consent revoke ${safeText(stringMember(given, 'id') ?? '')}`
  if (url !== undefined) return `callgate consent end ${server} ${url}`
  const who =
    (client === LOCAL.client ? '' : ` --client ${client}`) +
    (subject === LOCAL.subject ? '' : ` --subject ${subject}`)
  return `callgate consent end ${server}${who}`
}

async function asker(world: World, url: string | undefined, options: ConsentOptions): Promise<Ask> {
  if (options.own === true) return asOperator(world, options)
  const target = url === undefined ? await gateHere(world, options) : await gateElsewhere(world, url, options)
  return async (body) => {
    let answer: Awaited<ReturnType<World['consent']['post']>>
    try {
      answer = await world.consent.post(target, body)
    } catch (cause) {
      const why = safeText(cause instanceof Error ? cause.message : String(cause))
      throw new CommandFailed(`\`${target.url}\` cannot be asked: ${why}`, { fix: 'start the gate', cause })
    }
    if (answer.status === 200) return answer.body
    const of = (name: string): string => safeText(stringMember(answer.body, name) ?? '?')
    throw new CommandFailed(`${of('detail')} (${of('code')})`)
  }
}

/** The gate's own consent, by its operator. */
function asOperator(world: Pick<World, 'env'>, { state }: ConsentOptions): Ask {
  return async ({ do: verb, ...body }) =>
    (await askControlOf({ env: world.env, state, missing }, 'POST', `/v1/consents/${String(verb)}`, body))
      .body
}

async function gateHere(world: World, options: ConsentOptions): Promise<GateTarget> {
  const state = stateFolder(world.env, options.state)
  const run = readRunFile(state)
  if (run === undefined)
    throw new CommandFailed(`no gate has run on \`${state}\``, {
      fix: 'start it, name its folder with --state, or give the URL of a gate elsewhere',
    })
  const config = requireConfig({ ...world.env, CALLGATE_STATE: state }, run.config)
  const credential = renewedToken(world, await world.openDevIssuer(config.state), {
    audience: `${config.listener.publicUrl ?? run.url}/mcp`,
    subject: options.subject,
    clientId: options.client,
    scope: options.scope,
    lifetimeS: TOKEN_LIFE_S,
    sid: randomUUID(),
  })
  return { url: `${run.url}/consent`, credential }
}

async function gateElsewhere(world: World, url: string, { ca }: ConsentOptions): Promise<GateTarget> {
  const { gate } = endpointOf(url)
  const credential = await world.remote
    .credential({
      folder: folderOf(world.env, gate),
      audience: `${gate}/mcp`,
      sid: randomUUID(),
      lifetimeS: TOKEN_LIFE_S,
      onEnded: () => undefined,
    })
    .catch((cause: unknown) => {
      throw new CommandFailed(safeText(cause instanceof Error ? cause.message : String(cause)), { cause })
    })
  return {
    url: `${gate}/consent`,
    credential,
    ...(ca === undefined ? {} : { ca: readAuthorities(ca) }),
  }
}

/** Why nobody can consent to anything. */
const missing = ({ servers }: GatewayConfig): string | undefined =>
  Object.values(servers).some(
    (server) => server.transport === 'http' && server.credentials?.type === 'authorization_code',
  )
    ? undefined
    : '`credentials: { type: authorization_code, ... }` of a server'

function tooLate(cause: unknown): BroughtBack {
  throw new CommandFailed('no browser came back within 10 minutes', {
    fix: 'run the command again, and open its link on this machine',
    cause,
  })
}
