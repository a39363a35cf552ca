import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Refusal } from '../call/refusal.ts'
import { verifies } from '../testing/verifies.ts'
import type { Channel } from './channel.ts'
import { Questions, type Resumed } from './questions.ts'

const open = (): AbortSignal => new AbortController().signal
const yes = { kind: 'result', result: { action: 'accept' } } as const

const nothing = (): undefined => undefined
const channel: Channel = {
  streams: true,
  place: undefined,
  reply: nothing,
  accept: nothing,
  refuse: nothing,
  push: () => true,
  keepAlive: nothing,
  onGone: nothing,
}
const back: Resumed = { channel, id: 2, progressToken: undefined, responses: { a: yes } }

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error: unknown = await promise.then(
    () => 'answered',
    (thrown: unknown) => thrown,
  )
  return error instanceof Refusal ? error.code : String(error)
}

test('an answer is taken from the session that was asked, for the very id, and once', async () => {
  verifies('bridge.answers')
  const questions = new Questions()
  let asked = ''
  const answer = questions.ask('mine', (id) => (asked = id) !== '', open())
  assert.equal(questions.answer('theirs', asked, yes), false)
  assert.equal(questions.answer('mine', `${asked}0`, yes), false)
  assert.equal(questions.answer('mine', 1, yes), false, 'a number is no text')
  assert.equal(questions.answer('mine', asked, yes), true)
  assert.deepEqual(await answer, yes)
  assert.equal(questions.answer('mine', asked, yes), false)
})

test('two sessions are never asked under one id', async () => {
  const questions = new Questions()
  const ids: string[] = []
  const asks = ['mine', 'theirs'].map((session) => questions.ask(session, (id) => ids.push(id) > 0, open()))
  assert.equal(new Set(ids).size, 2)
  // Even one who guesses the other's id answers nothing.
  assert.deepEqual(
    [questions.answer('mine', ids[1] ?? '', yes), questions.answer('theirs', ids[0] ?? '', yes)],
    [false, false],
  )
  for (const [i, session] of ['mine', 'theirs'].entries()) questions.answer(session, ids[i] ?? '', yes)
  assert.deepEqual(await Promise.all(asks), [yes, yes])
})

test('a question that cannot be sent, or whose host goes, ends, and a late answer meets nobody', async () => {
  const questions = new Questions()
  assert.equal(await codeOf(questions.ask('mine', () => false, open())), 'CG_HOST_UNREACHABLE')
  let asked = ''
  const gone = new AbortController()
  const waiting = questions.ask('mine', (id) => (asked = id) !== '', gone.signal)
  gone.abort()
  assert.equal(await codeOf(waiting), 'CG_HOST_SILENT')
  assert.equal(questions.answer('mine', asked, yes), false)
  const late = questions.ask('mine', () => assert.fail('not sent'), gone.signal)
  assert.equal(await codeOf(late), 'CG_HOST_SILENT')
})

test('a parked call goes on for its own session, once', async () => {
  verifies('bridge.answers')
  const questions = new Questions()
  const parked = questions.park('call', 'mine', open())
  assert.equal(questions.resume('call', 'theirs', back), false)
  assert.equal(questions.resume('another', 'mine', back), false)
  assert.equal(questions.resume('call', 'mine', back), true)
  assert.equal(await parked, back)
  assert.equal(questions.resume('call', 'mine', back), false)
})

test('16 calls of one session may wait; for the 17th the oldest gives way, and other sessions are not in its way', async () => {
  verifies('bridge.answers')
  const questions = new Questions()
  const end = new AbortController()
  const park = (id: string, session = 'mine') => codeOf(questions.park(id, session, end.signal))
  const parked = [park('theirs', 'theirs'), ...Array.from({ length: 16 }, (_, i) => park(`${i}`))]
  assert.equal(questions.resume('3', 'mine', back), true)
  parked.push(park('16'))
  assert.equal(questions.resume('0', 'mine', back), true, 'sixteen wait, and none gave way')
  parked.push(park('17'), park('18'))
  assert.equal(questions.resume('1', 'mine', back), false, 'the oldest gave way')
  assert.equal(questions.resume('2', 'mine', back), true)
  assert.equal(questions.resume('theirs', 'theirs', back), true)
  end.abort()
  const codes = await Promise.all(parked)
  assert.equal(codes.filter((code) => code === 'answered').length, 4)
  assert.equal(codes.filter((code) => code === 'CG_HOST_SILENT').length, 16)
})

test('a call whose time is over is told before its host is asked, and makes none give way', () => {
  const questions = new Questions()
  assert.throws(() => questions.park('call', 'mine', AbortSignal.abort()), { code: 'CG_HOST_SILENT' })
})
