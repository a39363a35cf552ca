import { isUtf8 } from 'node:buffer'
import { GrowingBytes } from './growing-bytes.ts'

const LF = 0x0a
const CR = 0x0d
const SPACE = 0x20
const COLON = 0x3a
const BOM = Buffer.from([0xef, 0xbb, 0xbf])
const EMPTY = Buffer.alloc(0)
/** One more than the longest field name that means something. */
const LONGEST_NAME = 6
/** The longest delay of a timer; beyond it Node fires at once, which would turn a long wait into a reconnect loop. */
const MAX_RETRY_MS = 2 ** 31 - 1

/** One event of a stream. Source: WHATWG HTML section 9.2 (server-sent events). */
export interface SseEvent {
  /** The event's type; `message` when the stream named none. */
  readonly event: string
  /** The data, its lines joined by LF: valid UTF-8, and nothing else was checked. May view the chunk it came in. */
  readonly data: Buffer
  /** The last event id so far, which a later event inherits; empty when there was none. */
  readonly id: string
}

/** Bounds of a decoder. */
export interface SseDecoderOptions {
  /** Longest event, in bytes of its lines without their ends. Default 8 MiB (the cap of a result). */
  readonly maxEventBytes?: number
}

/** A stream that cannot be read on. Nothing of its content is in the message. */
export class SseFault extends Error {
  readonly fault: 'bytes' | 'utf8'
  /** Events that were whole before the fault in the same chunk, so that what is read does not depend on the chunks. */
  readonly events: readonly SseEvent[]

  constructor(fault: 'bytes' | 'utf8', events: readonly SseEvent[], what: string) {
    super(`sse: ${what}`)
    this.name = 'SseFault'
    this.fault = fault
    this.events = events
  }
}

/**
 * Reads server-sent events from chunks cut anywhere: inside a character, a line end or the byte order mark.
 * Memory is bound by maxEventBytes, work is linear in the bytes; an event that the stream's end cuts off is dropped
 * (WHATWG HTML 9.2.6). Comments between events are free, so that keep-alives never add up to the cap.
 * After a fault it only repeats that fault.
 */
export class SseDecoder {
  readonly #maxEventBytes: number
  #fault: SseFault | undefined
  /** The unfinished line. */
  #line = new GrowingBytes()
  #atStart = true
  #skipLf = false

  // The event at hand.
  #size = 0
  #type = ''
  #dataLines = 0
  #data: Buffer = EMPTY
  #moreData = new GrowingBytes()

  #idleLines = 0
  #lastId = ''
  #retryMs: number | undefined

  constructor(options: SseDecoderOptions = {}) {
    this.#maxEventBytes = options.maxEventBytes ?? 8_388_608
  }

  /** The last event id, to resume with: also one that came without data. Empty when there was none. */
  get lastEventId(): string {
    return this.#lastId
  }

  /** How long the server asks to wait before a reconnect, in ms, from 0 to 2^31 - 1; undefined until it asks. */
  get retryMs(): number | undefined {
    return this.#retryMs
  }

  /** Comments, and empty lines that ended no event, since this was last asked: they cost work and bring nothing. */
  takeIdleLines(): number {
    const lines = this.#idleLines
    this.#idleLines = 0
    return lines
  }

  /**
   * Takes the next bytes of the stream. @returns the events that they complete.
   * @throws SseFault when an event is over the cap or a line is not UTF-8; the events before it are in the fault.
   */
  push(chunk: Uint8Array): SseEvent[] {
    if (this.#fault !== undefined)
      throw new SseFault(this.#fault.fault, [], 'stream is read on after its fault')
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
    const events: SseEvent[] = []
    // Each kind of line end is looked for once, from its last place on: a stream without CR is not searched per line.
    let lf = -1
    let cr = -1
    let from = 0
    for (;;) {
      if (this.#skipLf && from < bytes.length) {
        if (bytes[from] === LF) from++
        this.#skipLf = false
      }
      if (lf < from) lf = next(bytes, LF, from)
      if (cr < from) cr = next(bytes, CR, from)
      const to = Math.min(lf, cr, bytes.length)
      this.#bound(this.#line.length + to - from, events)
      if (to === bytes.length) {
        if (from < to) this.#line.append(bytes, from, to)
        return events
      }
      let line = bytes.subarray(from, to)
      if (this.#line.length > 0) {
        this.#line.append(bytes, from, to)
        line = this.#line.take()
      }
      this.#skipLf = to === cr
      from = to + 1
      this.#takeLine(line, events)
    }
  }

  #bound(lineBytes: number, events: readonly SseEvent[]): void {
    if (this.#size + lineBytes <= this.#maxEventBytes) return
    throw this.#fail('bytes', events, `event is longer than ${this.#maxEventBytes} bytes`)
  }

  #fail(fault: SseFault['fault'], events: readonly SseEvent[], what: string): SseFault {
    this.#fault = new SseFault(fault, events, what)
    this.#line.take()
    this.#moreData.take()
    this.#data = EMPTY
    return this.#fault
  }

  #takeLine(whole: Buffer, events: SseEvent[]): void {
    // Line ends are ASCII, so a character never spans two lines: checking whole lines checks the stream.
    if (!isUtf8(whole)) throw this.#fail('utf8', events, 'line is not UTF-8')
    const marked = this.#atStart && whole.subarray(0, 3).equals(BOM)
    const line = marked ? whole.subarray(3) : whole
    this.#atStart = false
    if (line.length === 0) {
      this.#dispatch(events)
      return
    }
    const colon = line.indexOf(COLON)
    if (colon === 0) {
      this.#idleLines++ // a comment
      return
    }
    this.#size += whole.length
    const name = line.toString('latin1', 0, Math.min(colon < 0 ? line.length : colon, LONGEST_NAME))
    const value = colon < 0 ? EMPTY : line.subarray(line[colon + 1] === SPACE ? colon + 2 : colon + 1)
    if (name === 'data') this.#takeData(value)
    else if (name === 'event') this.#type = value.toString()
    else if (name === 'id' && !value.includes(0)) this.#lastId = value.toString()
    else if (name === 'retry') {
      const text = value.toString('latin1')
      if (/^[0-9]+$/.test(text)) this.#retryMs = Math.min(Number(text), MAX_RETRY_MS)
    }
  }

  #takeData(value: Buffer): void {
    this.#dataLines++
    if (this.#dataLines === 1) {
      this.#data = value
      return
    }
    if (this.#dataLines === 2) this.#moreData.append(this.#data)
    this.#moreData.append(LINE_END)
    this.#moreData.append(value)
  }

  #dispatch(events: SseEvent[]): void {
    if (this.#dataLines > 0) {
      const data = this.#dataLines === 1 ? this.#data : this.#moreData.take()
      events.push({ event: this.#type === '' ? 'message' : this.#type, data, id: this.#lastId })
    } else this.#idleLines++
    this.#data = EMPTY
    this.#dataLines = 0
    this.#type = ''
    this.#size = 0
  }
}

const LINE_END = Buffer.from('\n')

function next(bytes: Buffer, byte: number, from: number): number {
  const at = bytes.indexOf(byte, from)
  return at < 0 ? Infinity : at
}

/** Fields of one event beside its data. */
export interface SseEventFields {
  /** Where a client resumes; no CR, LF or NUL. */
  readonly id?: string
  /** The event's type; no CR or LF. Absent it is `message`. */
  readonly event?: string
  /** Wait before a reconnect, in ms: an integer from 0. */
  readonly retry?: number
}

/**
 * Writes one event. Each line of the data gets a `data:` of its own, whether CR, LF or CRLF ends it, so that nothing in
 * it can end the event or add a field; readers get LF for each, which JSON takes for the same white space.
 * @throws TypeError for data that is not UTF-8 (a reader would see other text than we checked) and for a field that
 * would break the line.
 */
export function encodeSseEvent(data: Uint8Array | string, fields: SseEventFields = {}): Buffer {
  const head = encodeFields(fields)
  if (typeof data === 'string' ? !data.isWellFormed() : !isUtf8(data)) {
    throw new TypeError('`data` of an event is not well-formed UTF-8')
  }
  const body =
    typeof data === 'string' ? Buffer.from(data) : Buffer.from(data.buffer, data.byteOffset, data.length)
  if (!body.includes(LF) && !body.includes(CR)) return Buffer.concat([head, DATA, body, EVENT_END])
  const lines = body.toString().split(/\r\n|\r|\n/)
  return Buffer.concat([head, Buffer.from(lines.map((line) => `data: ${line}\n`).join('')), LINE_END])
}

const DATA = Buffer.from('data: ')
const EVENT_END = Buffer.from('\n\n')

function encodeFields({ id, event, retry }: SseEventFields): Buffer {
  let head = ''
  if (event !== undefined) head += `event: ${oneLine('event', event)}\n`
  if (id !== undefined) {
    if (id.includes('\0')) throw new TypeError('`id` of an event holds a NUL')
    head += `id: ${oneLine('id', id)}\n`
  }
  if (retry !== undefined) {
    if (!Number.isSafeInteger(retry) || retry < 0) {
      throw new TypeError(`\`retry\` of an event is \`${retry}\` (expected an integer from 0, in ms)`)
    }
    head += `retry: ${retry}\n`
  }
  return head === '' ? EMPTY : Buffer.from(head)
}

function oneLine(name: string, value: string): string {
  if (/[\r\n]/.test(value)) throw new TypeError(`\`${name}\` of an event holds a line end`)
  if (!value.isWellFormed()) throw new TypeError(`\`${name}\` of an event is not well-formed`)
  return value
}
