import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UpstreamFailed } from '../../ports/upstream.ts'
import { readMessage, toAnswer, untilAborted } from './connection.ts'

const SCAN = { maxBytes: 100, maxDepth: 4, maxKeys: 10 }
const head = '{"jsonrpc":"2.0","id":1,"result":'

const refused: Record<string, [Buffer, 'protocol' | 'too_large']> = {
  'a trailing comma': [Buffer.from(`${head}{"a":1,}}`), 'protocol'],
  'an escaped twin of a key': [Buffer.from(`${head}{"a":1,"\\u0061":2}}`), 'protocol'],
  'an odd-case twin of the envelope': [Buffer.from(`${head}{},"Result":{}}`), 'protocol'],
  'latin-1': [Buffer.from(`${head}{"a":"\u00ff"}}`, 'latin1'), 'protocol'],
  'too much depth': [Buffer.from(`${head}[[[[1]]]]}`), 'protocol'],
  'a result that is an array': [Buffer.from(`${head}[{}]}`), 'protocol'],
  'too many bytes': [Buffer.from(`${head}{"a":"${'x'.repeat(100)}"}}`), 'too_large'],
}
for (const [what, [bytes, fault]] of Object.entries(refused)) {
  test(`a message with ${what} is refused with ${fault}, and the text names none of it`, () => {
    assert.throws(
      () => readMessage(bytes, 'crm', SCAN),
      (cause) => {
        assert.ok(cause instanceof UpstreamFailed)
        assert.equal(cause.fault, fault)
        assert.match(cause.message, /^server `crm` sent a refused message: /)
        assert.doesNotMatch(cause.message, /xxx|\u00ff/)
        return true
      },
    )
  })
}

test('an answer holds the bytes of the result as they came, and their parsed value', () => {
  const message = readMessage(Buffer.from(`${head} {"n": 1.50} }`), 'crm', SCAN)
  assert.ok(message.kind === 'response')
  const answer = toAnswer(message, 2)
  assert.equal(Buffer.from(answer.bytes).toString(), '{"n": 1.50}')
  assert.deepEqual(answer.value, { n: 1.5 })
  assert.equal(answer.upstreamMs, 2)
})

test('waiting ends with the signal; the promise may fail later and nobody is told twice', async () => {
  const stop = new AbortController()
  const late = Promise.withResolvers<never>()
  const slow = late.promise
  const waiting = untilAborted(slow, stop.signal, 'crm')
  stop.abort()
  await assert.rejects(waiting, (cause) => cause instanceof UpstreamFailed && cause.fault === 'cancelled')
  await assert.rejects(untilAborted(slow, stop.signal, 'crm'), UpstreamFailed)
  late.reject(new Error('late'))
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(await untilAborted(Promise.resolve(1), new AbortController().signal, 'crm'), 1)
})
