import { type JournalEntry, journalLine, readJournal } from './replay-journal.ts'

/** A key as it lies in the journal. */
export interface KeptKey {
  readonly id: string
  readonly payload: string
  /** Id of the call that began it. */
  readonly call: string
  /** Seconds for which it is remembered after its end. */
  readonly lifeS: number
  /** `free`: it may be begun again, so nothing of it counts any more. */
  readonly state: 'running' | 'unknown' | 'done' | 'free'
  /** Sealed answer of a call that is done; undefined: none is kept. */
  readonly answer: string | undefined
  /** Seconds since the epoch after which it may be forgotten; of a key that runs the time at which it began. */
  readonly until: number
}

const STATES = { running: 'r', unknown: 'u', done: 'd', free: 'f' } as const
const STATE_OF: ReadonlyMap<string, KeptKey['state']> = new Map(
  Object.entries(STATES).map(([state, letter]) => [letter, state as KeptKey['state']]),
)

const ID = /^[\w-]{1,63}\.[\w-]{1,64}$/
const WORD = /^[\w-]{1,128}$/
/** State, payload, call, life, and the answer of a call that is done. */
const BINDING = /^([rudf]),([\w-]{1,128}),([\w-]{1,128}),(\d{1,5})(?:,([!-+\--~]+))?$/

/** Longest time that a key is remembered after its end, in seconds: what sealed its answer opens no longer. */
export const MAX_LIFE_S = 86_400

/** Whether a key is one that the journal can hold. */
export function isKey({ id, payload, call, lifeS }: Omit<KeptKey, 'state' | 'answer' | 'until'>): boolean {
  return (
    ID.test(id) &&
    WORD.test(payload) &&
    WORD.test(call) &&
    Number.isSafeInteger(lifeS) &&
    lifeS >= 1 &&
    lifeS <= MAX_LIFE_S
  )
}

/** A key as one line of the journal. */
export function keyLine({ id, payload, call, lifeS, state, answer, until }: KeptKey): string {
  const kept = answer === undefined ? '' : `,${answer}`
  return journalLine({ jti: id, exp: until, binding: `${STATES[state]},${payload},${call},${lifeS}${kept}` })
}

/** Keys of a journal, in order; a later one of the same id is what counts. Lines that are no whole keys are left out. */
export function* readKeys(text: string): Generator<KeptKey> {
  for (const entry of readJournal(text)) {
    const key = keyOf(entry)
    if (key !== undefined) yield key
  }
}

function keyOf({ jti, exp, binding }: JournalEntry): KeptKey | undefined {
  const [, letter = '', payload = '', call = '', life, answer] = BINDING.exec(binding) ?? []
  const state = STATE_OF.get(letter)
  const key = { id: jti, payload, call, lifeS: Number(life) }
  if (state === undefined || !isKey(key) || (answer !== undefined && state !== 'done')) return undefined
  return { ...key, state, answer, until: exp }
}
