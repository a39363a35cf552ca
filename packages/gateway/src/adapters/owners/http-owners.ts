import type { Principal } from '../../call/call.ts'
import { isJsonObject, type Json } from '../../call/json.ts'
import { type Owners, OwnersDown } from '../../ports/owners.ts'
import { type Secret, SecretUnavailable } from '../../ports/secrets.ts'
import { SecretHttp, type SecretAnswer } from '../secrets/http.ts'
import { wordsOf } from './claims-owners.ts'

/** A service that knows whose ids are. */
export interface HttpOwnersOptions {
  /** Type of the ids, for messages and questions. */
  readonly type: string
  readonly url: string
  /** Undefined: no token is shown. */
  readonly token: ((fresh: boolean) => Promise<Pick<Secret, 'reveal'>>) | undefined
  /** Milliseconds for one whole answer. */
  readonly timeoutMs: number
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

/** A store of OpenFGA, and what is asked of it. */
export interface FgaOptions extends HttpOwnersOptions {
  readonly store: string
  /** Undefined: the newest one. */
  readonly model: string | undefined
  /** `{subject}`, `{tenant}` and `{actor}` filled in. */
  readonly user: string
  readonly relation: string
}

/** Checks in one question to OpenFGA (its default limit). */
const FGA_BATCH = 50

/**
 * An endpoint of the operator's: `POST { type, relation, ids, caller: { tenant, subject, actor } }`, answered by `{ "owned": [ids] }`.
 */
export function createHttpOwners(options: HttpOwnersOptions): Owners {
  const asking = new Asking(options)
  return {
    async owned(ids, principal, relation, signal) {
      const body = await asking.post(
        new URL(options.url),
        { type: options.type, relation: relation ?? null, ids: [...ids], caller: wordsOf(principal) },
        signal,
      )
      const owned = isJsonObject(body) ? body['owned'] : undefined
      if (!Array.isArray(owned) || !owned.every((id) => typeof id === 'string'))
        throw new OwnersDown(`${asking.what} answered without \`owned\`, a list of ids`)
      return new Set(owned)
    },
    close: () => asking.close(),
  }
}

/** OpenFGA, by its batch check (API 1.8 and later): unproven against a server of it. */
export function createFgaOwners(options: FgaOptions): Owners {
  const asking = new Asking(options)
  const url = new URL(
    `${options.url.replace(/\/+$/, '')}/stores/${encodeURIComponent(options.store)}/batch-check`,
  )

  async function checked(
    ids: readonly string[],
    principal: Principal,
    relation: string,
    signal: AbortSignal,
  ): Promise<string[]> {
    const words = wordsOf(principal)
    const user = options.user.replaceAll(
      /\{(subject|tenant|actor)\}/g,
      (_, word: 'subject' | 'tenant' | 'actor') => words[word],
    )
    const body = await asking.post(
      url,
      {
        ...(options.model === undefined ? {} : { authorization_model_id: options.model }),
        checks: ids.map((id, i) => ({
          tuple_key: { user, relation, object: `${options.type}:${id}` },
          correlation_id: String(i),
        })),
      },
      signal,
    )
    const result = isJsonObject(body) ? body['result'] : undefined
    if (!isJsonObject(result)) throw new OwnersDown(`${asking.what} answered without \`result\``)
    return ids.filter((_, i) => {
      const one = Object.hasOwn(result, String(i)) ? result[String(i)] : undefined
      // What could not be checked is an answer of its own there, with `error`: nobody said that it is the caller's.
      return isJsonObject(one) && one['allowed'] === true && one['error'] === undefined
    })
  }

  return {
    async owned(ids, principal, relation = options.relation, signal) {
      // An object is `type:id`: an id with these signs could name another one.
      const sound = ids.filter((id) => /^[^\s:#@]{1,256}$/.test(id))
      const parts: string[][] = []
      for (let at = 0; at < sound.length; at += FGA_BATCH) parts.push(sound.slice(at, at + FGA_BATCH))
      const owned = await Promise.all(parts.map((part) => checked(part, principal, relation, signal)))
      return new Set(owned.flat())
    },
    close: () => asking.close(),
  }
}

/** Questions to one service: one request each, no redirect is followed, no answer is kept. */
class Asking {
  readonly what: string
  readonly #options: HttpOwnersOptions
  readonly #http: SecretHttp

  constructor(options: HttpOwnersOptions) {
    this.what = `the owner source of \`${options.type}\``
    this.#options = options
    this.#http = new SecretHttp({ tls: undefined, timeoutMs: options.timeoutMs, now: options.now })
  }

  async post(url: URL, question: Json, signal: AbortSignal): Promise<unknown> {
    try {
      let answer = await this.#ask(url, question, false)
      // The token may have been changed since it was read.
      if (answer.status === 401 && this.#options.token !== undefined)
        answer = await this.#ask(url, question, true)
      signal.throwIfAborted()
      if (answer.status !== 200) throw new OwnersDown(`${this.what} answered HTTP ${answer.status}`)
      return answer.body
    } catch (cause) {
      if (cause instanceof SecretUnavailable) throw new OwnersDown(cause.message)
      throw cause
    }
  }

  async #ask(url: URL, question: Json, fresh: boolean): Promise<SecretAnswer> {
    const { token, type } = this.#options
    const shown = token === undefined ? {} : { authorization: `Bearer ${await this.#revealed(token, fresh)}` }
    return this.#http.ask({
      label: `ownership.types.${type}`,
      url,
      method: 'POST',
      headers: { 'content-type': 'application/json', ...shown },
      body: JSON.stringify(question),
    })
  }

  async #revealed(token: NonNullable<HttpOwnersOptions['token']>, fresh: boolean): Promise<string> {
    const text = await token(fresh).then(
      (secret) => secret.reveal(),
      () => '',
    )
    if (/^[\x21-\x7e]{1,8192}$/.test(text)) return text
    throw new OwnersDown(`the secret of \`ownership.types.${this.#options.type}.token\` cannot be used`)
  }

  close(): Promise<void> {
    return this.#http.close()
  }
}
