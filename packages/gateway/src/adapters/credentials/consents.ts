import { hash, randomBytes } from 'node:crypto'
import type { Principal } from '../../call/call.ts'
import type { JsonObject } from '../../call/json.ts'
import type { ReasonCode } from '../../call/reason-code.ts'
import { Refusal } from '../../call/refusal.ts'
import {
  type ConsentAnswer,
  type ConsentFacts,
  type ConsentQuestion,
  type ConsentStore,
  type Consenter,
  type Consents,
  type KeptConsent,
  consentBody,
} from '../../ports/consents.ts'
import type { AskedConsent, ConsentClient } from './consent-client.ts'
import { NotObtained } from './fault.ts'
import type { Obtained, Source } from './kept.ts'

/** What consents need. */
export interface ConsentDeps {
  readonly store: ConsentStore
  /** By server. */
  readonly clients: ReadonlyMap<string, ConsentClient>
  /** Writes to the log of record; durable when it resolves. */
  readonly record: (event: string, detail: JsonObject) => Promise<void>
  /** Told when the gate itself may ask a server what it could not ask before. */
  readonly onOwn: (server: string) => void
  /** Tells the operator of what went wrong beside a call. */
  readonly say: (event: string, problem: string) => void
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

/** How long a person may take in the browser, in milliseconds: codes live for ten minutes at most (RFC 6749 section 4.1.2). */
const ASKED_MS = 600_000
/** Questions that are open at once, and of those from one caller; the oldest give way. */
const MAX_ASKED = 1_000
const MAX_ASKED_EACH = 4
/** Consents at once: each is a file that every start reads. */
const MAX_CONSENTS = 10_000
/** How long what the gate itself says to a server without any consent is kept, in milliseconds. */
const NOTHING_MS = 5_000
/** Longest that a token is used that cannot be renewed, in milliseconds, before its end is looked at again. */
const MAX_KEEP_MS = 3_600_000
/** How long the issuer may take to be told of an end, in milliseconds. */
const REVOKE_MS = 5_000

interface Asked {
  readonly key: string
  readonly question: AskedConsent
  readonly until: number
}

/** Who consented to what, and the tokens that came of it. */
export class ConsentRegistry implements Consents {
  readonly #deps: ConsentDeps
  /** By server and consenter. */
  readonly #kept = new Map<string, KeptConsent>()
  /** By state, in order of time. */
  readonly #asked = new Map<string, Asked>()

  private constructor(deps: ConsentDeps) {
    this.#deps = deps
  }

  /** @throws Error naming a file that cannot be taken */
  static async open(deps: ConsentDeps): Promise<ConsentRegistry> {
    const registry = new ConsentRegistry(deps)
    for (const consent of await deps.store.load()) {
      // To another issuer than the one that gave it a token is shown by nobody; it waits until the old one is back.
      if (deps.clients.get(consent.server)?.id !== consent.client) continue
      registry.#kept.set(keyOf(consent.server, consent.by), consent)
    }
    return registry
  }

  async begin(
    server: string,
    by: Principal | undefined,
    redirectUri: string,
    signal: AbortSignal,
  ): Promise<ConsentQuestion> {
    const client = this.#clientOf(server)
    const key = keyOf(server, consenterOf(by))
    const question = await orRefusal('CG_CONSENT_UNAVAILABLE', client.ask(redirectUri, signal))
    this.#makeRoom(key)
    this.#asked.set(question.state, { key, question, until: this.#deps.now() + ASKED_MS })
    return { authorizeUrl: question.authorizeUrl, state: question.state }
  }

  /** INVARIANT: a state is taken before anything is waited for, so that it counts once. */
  async finish(
    server: string,
    by: Principal | undefined,
    { state, code, issuer }: ConsentAnswer,
    signal: AbortSignal,
  ): Promise<ConsentFacts> {
    const client = this.#clientOf(server)
    const consenter = consenterOf(by)
    const key = keyOf(server, consenter)
    const asked = this.#asked.get(state)
    // Of another caller: it stays open for him.
    if (asked?.key !== key)
      throw new Refusal('CG_CONSENT_STATE', { internal: 'no such question of this caller' })
    this.#asked.delete(state)
    const now = this.#deps.now()
    if (now >= asked.until) throw new Refusal('CG_CONSENT_STATE', { internal: 'the question has expired' })
    if (!this.#kept.has(key) && this.#kept.size >= MAX_CONSENTS)
      throw new Refusal('CG_CONSENT_UNAVAILABLE', { internal: `${MAX_CONSENTS} consents are kept already` })
    const given = await client.redeem(asked.question, code, issuer, signal).catch((cause: unknown) => {
      const why = cause instanceof NotObtained ? cause.message : String(cause)
      this.#deps.say('consent.refused', why)
      const failed = cause instanceof NotObtained && cause.affects === 'everyone' && cause.error === undefined
      throw new Refusal(failed ? 'CG_CONSENT_UNAVAILABLE' : 'CG_CONSENT_REFUSED', { internal: why, cause })
    })
    const consent: KeptConsent = {
      id: randomBytes(8).toString('hex'),
      server,
      by: consenter,
      scope: given.scope,
      givenAt: now,
      endsAt: given.lifeS === undefined ? undefined : now + given.lifeS * 1_000,
      client: client.id,
      secret: given.secret,
    }
    const before = this.#kept.get(key)
    await orRefusal('CG_CONSENT_UNAVAILABLE', this.#keep(key, consent, before))
    if (consenter === undefined) this.#deps.onOwn(server)
    return factsOf(consent)
  }

  async end(server: string, by: Principal | undefined): Promise<ConsentFacts | undefined> {
    return this.#end(this.#kept.get(keyOf(server, consenterOf(by))), 'caller')
  }

  async endById(id: string): Promise<ConsentFacts | undefined> {
    return this.#end(
      [...this.#kept.values()].find((consent) => consent.id === id),
      'operator',
    )
  }

  list(): readonly ConsentFacts[] {
    return [...this.#kept.values()].toSorted((a, b) => b.givenAt - a.givenAt).map(factsOf)
  }

  /** What a server is shown for its callers. */
  source(server: string): Source {
    const client = this.#clientOf(server)
    const find = (principal: Principal | undefined): KeptConsent | undefined =>
      this.#kept.get(keyOf(server, consenterOf(principal)))
    return {
      // With the id: what a server holds of one account must not go on under another that was consented to later.
      keyOf: (principal) => {
        const consent = find(principal)
        if (consent !== undefined) return consent.id
        return principal === undefined ? '' : keyOf(server, consenterOf(principal)).replace(' ', '.')
      },
      obtain: (principal, signal, fresh) => {
        const consent = find(principal)
        if (consent !== undefined) return this.#obtain(client, consent, signal, fresh)
        // Many servers list their tools to anybody; one that does not says so itself.
        if (principal === undefined) return Promise.resolve({ headers: [], keepMs: NOTHING_MS })
        return Promise.reject(noConsent(server))
      },
      refused: (principal) => {
        const consent = find(principal)
        // What can be renewed is; a token that nothing can renew has ended with its refusal.
        if (consent?.secret.kind === 'access') this.#lose(consent)
      },
      close: () => client.close(),
    }
  }

  async #obtain(
    client: ConsentClient,
    consent: KeptConsent,
    signal: AbortSignal,
    fresh: boolean,
  ): Promise<Obtained> {
    const { secret, endsAt = Number.POSITIVE_INFINITY, server } = consent
    if (secret.kind === 'access') {
      const restMs = endsAt - this.#deps.now()
      if (restMs > 0)
        return {
          headers: ['authorization', `Bearer ${secret.token}`],
          keepMs: Math.min(restMs, MAX_KEEP_MS),
        }
      this.#lose(consent)
      throw noConsent(server)
    }
    try {
      const renewed = await client.renew(secret.token, signal, fresh)
      // The old one may be worth nothing from now on (RFC 9700 section 4.14.2): the new one is kept before it is used.
      if (renewed.secret !== undefined) await this.#renewed(consent, renewed.secret)
      return renewed
    } catch (cause) {
      if (!(cause instanceof NotObtained) || cause.error !== 'invalid_grant') throw cause
      this.#lose(consent)
      throw noConsent(server, cause)
    }
  }

  async #renewed(consent: KeptConsent, secret: KeptConsent['secret']): Promise<void> {
    const key = keyOf(consent.server, consent.by)
    // Ended, or given anew, while the issuer was asked.
    if (this.#kept.get(key)?.id !== consent.id) return
    const next = { ...consent, secret }
    this.#kept.set(key, next)
    try {
      await this.#deps.store.save(next)
    } catch (error) {
      this.#deps.say(
        'consent.unkept',
        `a renewed token of \`${consent.server}\` could not be kept: ${String(error)}`,
      )
    }
  }

  async #keep(key: string, consent: KeptConsent, before: KeptConsent | undefined): Promise<void> {
    await this.#deps.record('consent.given', consentBody(consent))
    await this.#deps.store.save(consent)
    this.#kept.set(key, consent)
    if (before !== undefined) await this.#deps.store.remove(before.id)
  }

  async #end(consent: KeptConsent | undefined, by: string): Promise<ConsentFacts | undefined> {
    if (consent === undefined) return undefined
    this.#kept.delete(keyOf(consent.server, consent.by))
    await this.#deps.store.remove(consent.id)
    await this.#deps.record('consent.ended', { ...consentBody(consent), ended_by: by })
    const client = this.#deps.clients.get(consent.server)
    await client?.revoke(consent.secret, AbortSignal.timeout(REVOKE_MS)).catch((error: unknown) => {
      // Ended here all the same: the gate has the token no longer.
      this.#deps.say('consent.unrevoked', error instanceof Error ? error.message : String(error))
    })
    return factsOf(consent)
  }

  /** The issuer or the server took it back. */
  #lose(consent: KeptConsent): void {
    const key = keyOf(consent.server, consent.by)
    if (this.#kept.get(key)?.id !== consent.id) return
    this.#kept.delete(key)
    this.#deps.store
      .remove(consent.id)
      .then(() => this.#deps.record('consent.ended', { ...consentBody(consent), ended_by: 'server' }))
      .catch((error: unknown) => this.#deps.say('consent.unkept', String(error)))
  }

  #makeRoom(key: string): void {
    const now = this.#deps.now()
    const own: string[] = []
    for (const [state, asked] of this.#asked) {
      if (now >= asked.until) this.#asked.delete(state)
      else if (asked.key === key) own.push(state)
    }
    for (const state of own.slice(0, Math.max(0, own.length - MAX_ASKED_EACH + 1))) this.#asked.delete(state)
    const [oldest] = this.#asked.keys()
    if (this.#asked.size >= MAX_ASKED && oldest !== undefined) this.#asked.delete(oldest)
  }

  #clientOf(server: string): ConsentClient {
    const client = this.#deps.clients.get(server)
    if (client === undefined)
      throw new Refusal('CG_CONSENT_SERVER', { internal: `\`${server}\` asks for no consent` })
    return client
  }
}

/** Never the rights of one token: they narrow what passes the gate, and a person consents once for all of them. */
function consenterOf(principal: Principal | undefined): Consenter | undefined {
  if (principal === undefined) return undefined
  const { token, tenant, actor, subject, clientId } = principal
  return { issuer: token.iss, tenant, actor: actor.id, subject, clientId }
}

function keyOf(server: string, by: Consenter | undefined): string {
  if (by === undefined) return `${server} `
  const who = [by.issuer, by.tenant, by.actor, by.subject, by.clientId]
  return `${server} ${hash('sha256', JSON.stringify(who), 'base64url')}`
}

function noConsent(server: string, cause?: unknown): NotObtained {
  return new NotObtained('caller', `there is no consent of this caller to server \`${server}\``, {
    fault: 'consent',
    cause,
  })
}

async function orRefusal<T>(code: ReasonCode, pending: Promise<T>): Promise<T> {
  try {
    return await pending
  } catch (cause) {
    if (cause instanceof Refusal) throw cause
    throw new Refusal(code, { internal: cause instanceof Error ? cause.message : String(cause), cause })
  }
}

function factsOf({ id, server, by, scope, givenAt, endsAt }: KeptConsent): ConsentFacts {
  return { id, server, by, scope, givenAt, endsAt }
}
