import { Agent, request } from 'undici'
import { isJsonObject, member } from '../../call/json.ts'
import { readAnswer } from '../../net/read-answer.ts'
import { type Detector, DetectorDown } from '../../ports/detector.ts'
import type { Secret } from '../../ports/secrets.ts'
import { guardedLookup } from '../upstream/guarded-lookup.ts'
import { JoinedTexts, type Span } from './joined.ts'

/** Longest answer that is read, in bytes. */
const MAX_ANSWER_BYTES = 1_048_576
/** Longest Retry-After that is heeded, in milliseconds: a typing error there must not switch detection off for a day. */
const MAX_PAUSE_MS = 30_000
/** The operator names the detector himself, so every range is his own; link-local and metadata addresses never are. */
const EVERYWHERE = ['0.0.0.0/0', '::/0']

/** What a detector is asked, and where. */
export interface PresidioOptions {
  /** Base of the analyzer's API; `/analyze` is put behind it. */
  readonly url: string
  readonly language: string
  /** Milliseconds for one whole answer, the wait for a connection included. */
  readonly timeoutMs: number
  readonly minScore: number
  /** Our class by entity type; other types are not asked for. */
  readonly classes: Readonly<Record<string, string>>
  /** Most bytes of text in one question. */
  readonly maxTextBytes: number
  /** Bearer token; undefined: none is shown. */
  readonly token: (() => Promise<Pick<Secret, 'reveal'>>) | undefined
  /** Milliseconds that only grow. */
  readonly now: () => number
}

/** The analyzer of Presidio over HTTP: one POST for all texts, whose offsets are code points as Python counts them. */
export function createPresidio(options: PresidioOptions): Detector {
  const { timeoutMs, maxTextBytes, now } = options
  const url = new URL(`${options.url.replace(/\/+$/, '')}/analyze`)
  const agent = new Agent({
    connections: 8,
    pipelining: 1,
    allowH2: false,
    maxHeaderSize: 16_384,
    connect: { lookup: guardedLookup('dlp.detector', EVERYWHERE), timeout: timeoutMs },
  })
  let notBefore = 0

  async function ask(text: string, signal: AbortSignal): Promise<unknown> {
    const token = options.token === undefined ? undefined : await revealed(options.token)
    const answer = await request(url, {
      dispatcher: agent,
      method: 'POST',
      signal,
      headers: {
        'content-type': 'application/json',
        accept: 'application/json',
        'accept-encoding': 'identity',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify({
        text,
        language: options.language,
        entities: Object.keys(options.classes),
        score_threshold: options.minScore,
      }),
    })
    // A body that is dropped ends in an error event, which nobody else hears: unheard it would end the process.
    answer.body.on('error', () => undefined)
    if (answer.statusCode !== 200 || (answer.headers['content-encoding'] ?? 'identity') !== 'identity') {
      answer.body.destroy()
      const waitMs = retryAfterMs(answer.headers['retry-after'])
      notBefore = Math.max(notBefore, now() + waitMs)
      throw new DetectorDown(
        answer.statusCode === 200
          ? 'the detector answered a packed body, which was not asked for'
          : `the detector answered HTTP ${answer.statusCode}`,
      )
    }
    const bytes = await readAnswer(answer.body, MAX_ANSWER_BYTES)
    if (bytes === undefined)
      throw new DetectorDown(`the detector answered more than ${MAX_ANSWER_BYTES} bytes`)
    return parsed(bytes)
  }

  return {
    async detect(texts, signal) {
      const joined = new JoinedTexts(texts)
      if (Buffer.byteLength(joined.text) > maxTextBytes)
        throw new DetectorDown(
          `the texts are longer than the ${maxTextBytes} bytes of \`dlp.detector.maxTextBytes\``,
        )
      const pauseMs = notBefore - now()
      if (pauseMs > 0)
        throw new DetectorDown(`the detector wants no question for ${Math.ceil(pauseMs / 1_000)} s`)
      const timeout = AbortSignal.timeout(timeoutMs)
      const either = AbortSignal.any([signal, timeout])
      try {
        return joined.apart(spansOf(await within(ask(joined.text, either), either), options))
      } catch (cause) {
        if (cause instanceof DetectorDown) throw cause
        if (timeout.aborted) throw new DetectorDown(`the detector did not answer within ${timeoutMs} ms`)
        throw new DetectorDown(`the detector cannot be reached${codeOf(cause)}`)
      }
    },
    close: () => agent.destroy(),
  }
}

/** A secret's source, too, may take longer than a call can wait. */
function within<T>(asking: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true })
    asking.then(resolve, reject)
  })
}

async function revealed(token: () => Promise<Pick<Secret, 'reveal'>>): Promise<string> {
  let text
  try {
    text = (await token()).reveal()
  } catch {
    throw new DetectorDown('the secret of `dlp.detector.token` cannot be read')
  }
  if (!/^[\x21-\x7e]{1,8192}$/.test(text))
    throw new DetectorDown(
      'the secret of `dlp.detector.token` is empty, too long, or holds a space or a line break',
    )
  return text
}

/** The findings that count. One entry that is none makes the whole answer one that nobody can believe. */
function spansOf(answer: unknown, { classes, minScore }: PresidioOptions): readonly Span[] {
  if (!Array.isArray(answer)) throw malformed()
  const entries: readonly unknown[] = answer
  return entries.flatMap((entry) => {
    if (!isJsonObject(entry)) throw malformed()
    const [type, start, end, score] = ['entity_type', 'start', 'end', 'score'].map((name) =>
      member(entry, name),
    )
    if (
      typeof type !== 'string' ||
      typeof start !== 'number' ||
      typeof end !== 'number' ||
      typeof score !== 'number' ||
      !(score >= 0 && score <= 1)
    )
      throw malformed()
    const found = Object.hasOwn(classes, type) ? classes[type] : undefined
    return found === undefined || score < minScore ? [] : [{ class: found, start, end, score }]
  })
}

const malformed = (): DetectorDown =>
  new DetectorDown('the detector answered no list of findings as the API of Presidio has them')

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    // The message of the parser quotes what it read, and that may quote the texts.
    throw malformed()
  }
}

/** Seconds or a date (RFC 9110 section 10.2.3). */
function retryAfterMs(value: string | string[] | undefined): number {
  if (typeof value !== 'string') return 0
  const ms = /^\d{1,9}$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - Date.now()
  return Number.isFinite(ms) ? Math.min(Math.max(0, ms), MAX_PAUSE_MS) : 0
}

function codeOf(cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  return typeof code === 'string' && /^[A-Z0-9_]{1,64}$/.test(code) ? ` (\`${code}\`)` : ''
}
