import type { CelType } from './cel-type.ts'

/**
 * A timestamp (nanoseconds since 1970, UTC) or a duration (nanoseconds), with CEL's bounds (cel-spec, "Timestamp" and
 * "Duration"; a duration is 64 bits as in cel-go, some 292 years each way). Conditions alone make them: JSON has neither.
 */
export class CelTime {
  readonly kind: 'timestamp' | 'duration'
  readonly nanos: bigint

  constructor(kind: 'timestamp' | 'duration', nanos: bigint) {
    this.kind = kind
    this.nanos = nanos
  }
}

const SECOND = 1_000_000_000n
/** 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999999999Z. */
const FIRST = -62_135_596_800n * SECOND
const LAST = 253_402_300_800n * SECOND - 1n
const LONGEST = 2n ** 63n

/** The value, or undefined when it is out of range. */
export function timeOf(kind: CelTime['kind'], nanos: bigint): CelTime | undefined {
  const isIn = kind === 'timestamp' ? nanos >= FIRST && nanos <= LAST : nanos >= -LONGEST && nanos < LONGEST
  return isIn ? new CelTime(kind, nanos) : undefined
}

const INSTANT =
  /^(\d{4}-\d{2}-\d{2}T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?)(Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/

/** Reads RFC 3339, seconds and zone included, up to nanoseconds; no leap second. */
export function readTimestamp(text: string): CelTime | undefined {
  const found = INSTANT.exec(text)
  if (found === null) return undefined
  try {
    return timeOf('timestamp', Temporal.Instant.from(found[0]).epochNanoseconds)
  } catch {
    return undefined // A day that its month does not have.
  }
}

const UNITS: Readonly<Record<string, bigint>> = {
  h: 3_600n * SECOND,
  m: 60n * SECOND,
  s: SECOND,
  ms: 1_000_000n,
  us: 1_000n,
  µs: 1_000n,
  ns: 1n,
}
/** Digits that a number of a duration may have before and after its point: more than any bound needs. */
const LENGTH = /^([+-]?)((?:\d{1,20}(?:\.\d{1,20})?(?:h|ms|m|s|us|µs|ns))+)$/
const TERM = /(\d+)(?:\.(\d+))?(h|ms|m|s|us|µs|ns)/g

/** Reads numbers with units, such as `90s`, `1h30m` and `-1.5h`; what is below a nanosecond is cut off. */
export function readDuration(text: string): CelTime | undefined {
  const found = text.length > 200 ? null : LENGTH.exec(text)
  if (found === null) return undefined
  let nanos = 0n
  for (const [, whole = '0', part = '', unit = ''] of (found[2] ?? '').matchAll(TERM)) {
    const size = UNITS[unit] ?? 0n
    nanos += BigInt(whole) * size + (BigInt(`0${part}`) * size) / 10n ** BigInt(part.length)
  }
  return timeOf('duration', found[1] === '-' ? -nanos : nanos)
}

/** As CEL writes it: RFC 3339 in UTC, or seconds with `s`; fractions as short as they are exact. */
export function timeText(time: CelTime): string {
  if (time.kind === 'timestamp') return Temporal.Instant.fromEpochNanoseconds(time.nanos).toString()
  const size = time.nanos < 0n ? -time.nanos : time.nanos
  const part = (size % SECOND).toString().padStart(9, '0').replace(/0+$/, '')
  return `${time.nanos < 0n ? '-' : ''}${size / SECOND}${part === '' ? '' : `.${part}`}s`
}

/** Seconds since 1970, cut off to the earlier whole second. */
export function epochSeconds(time: CelTime): number {
  const whole = Number(time.nanos / SECOND)
  return time.nanos % SECOND < 0n ? whole - 1 : whole
}

/** What a getter tells of a timestamp in a zone. */
export const FIELDS: Readonly<Record<string, (at: Temporal.ZonedDateTime) => number>> = {
  getFullYear: (at) => at.year,
  /** 0 is January. */
  getMonth: (at) => at.month - 1,
  /** 0 is the first of January. */
  getDayOfYear: (at) => at.dayOfYear - 1,
  /** 0 is the first of the month, 1 for `getDate`. */
  getDayOfMonth: (at) => at.day - 1,
  getDate: (at) => at.day,
  /** 0 is Sunday. */
  getDayOfWeek: (at) => at.dayOfWeek % 7,
  getHours: (at) => at.hour,
  getMinutes: (at) => at.minute,
  getSeconds: (at) => at.second,
  getMilliseconds: (at) => at.millisecond,
}

/** What a getter tells of a duration: the whole of it, in that unit. */
export const LENGTHS: Readonly<Record<string, (nanos: bigint) => number>> = {
  getHours: (nanos) => Number(nanos / (3_600n * SECOND)),
  getMinutes: (nanos) => Number(nanos / (60n * SECOND)),
  getSeconds: (nanos) => Number(nanos / SECOND),
  // Of the milliseconds CEL tells those within the second.
  getMilliseconds: (nanos) => Number((nanos % SECOND) / 1_000_000n),
}

const OFFSET = /^[+-]?(?:[01]\d|2[0-3]):[0-5]\d$/

/** A zone as Temporal names it, from an IANA name or `+02:00` (the sign may be left out); undefined when it is neither. */
export function zoneOf(name: string): string | undefined {
  const zone = OFFSET.test(name) && /^\d/.test(name) ? `+${name}` : name
  if (!OFFSET.test(zone) && !/^[A-Za-z][A-Za-z0-9_+/-]{0,63}$/.test(zone)) return undefined
  try {
    Temporal.Instant.fromEpochNanoseconds(0n).toZonedDateTimeISO(zone)
    return zone
  } catch {
    return undefined
  }
}

export function inZone(time: CelTime, zone: string): Temporal.ZonedDateTime {
  return Temporal.Instant.fromEpochNanoseconds(time.nanos).toZonedDateTimeISO(zone)
}

type Kind = CelType['kind']

/** What `+` and `-` make of times: the kind of the answer by the kinds of both sides. Undefined: nothing. */
export function timeArithmetic(op: string, left: Kind, right: Kind): CelTime['kind'] | undefined {
  if (left === 'duration' && right === 'duration' && (op === '+' || op === '-')) return 'duration'
  if (left === 'timestamp' && right === 'timestamp' && op === '-') return 'duration'
  if (left === 'timestamp' && right === 'duration' && (op === '+' || op === '-')) return 'timestamp'
  return left === 'duration' && right === 'timestamp' && op === '+' ? 'timestamp' : undefined
}
