import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { verifies } from '../testing/verifies.ts'
import { frame, readMessages } from './stdio-relay-frames.ts'
import { TOO_LONG } from './stdio-relay-lines.ts'
import { TestRelay, json } from './stdio-relay-testing.ts'

async function messagesOf(
  chunks: readonly Buffer[],
  maxBytes = 1_000,
): Promise<{ found: (string | symbol)[]; framed: boolean }> {
  const found: (string | symbol)[] = []
  let framed = false
  for await (const message of readMessages(Readable.from(chunks), maxBytes, () => (framed = true)))
    found.push(message === TOO_LONG ? TOO_LONG : message.toString())
  return { found, framed }
}

const frames = (...messages: readonly string[]): Buffer =>
  Buffer.concat(messages.map((message) => frame(Buffer.from(message))))

test('messages that are cut by length do not depend on where the chunks are cut, nor on what is in them', async () => {
  verifies('cli.connect')
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.string({ unit: fc.constantFrom('\r', '\n', '\u00e9', 'Content-Length: 3', '{') }), {
        maxLength: 4,
      }),
      fc.array(fc.nat(200), { maxLength: 6 }),
      async (messages, cuts) => {
        const whole = frames('{}', ...messages)
        const at = [0, ...cuts.filter((cut) => cut < whole.length), whole.length].sort((a, b) => a - b)
        const chunks = at.slice(1).map((end, i) => whole.subarray(at[i], end))
        assert.deepEqual(await messagesOf(chunks), { found: ['{}', ...messages], framed: true })
      },
    ),
    { numRuns: 300 },
  )
})

test('a header may be written in any case and stand with others', async () => {
  verifies('cli.connect')
  const text = 'content-LENGTH:2\r\nContent-Type: application/vscode-jsonrpc; charset=utf-8\r\n\r\n{}'
  assert.deepEqual(await messagesOf([Buffer.from(text)]), { found: ['{}'], framed: true })
})

test('what does not begin with a length is lines, also when it only nearly does', async () => {
  verifies('cli.connect')
  for (const text of ['{"a":1}', 'Content-Lengt', 'content', ' Content-Length: 2', 'Content_Length: 2']) {
    const chunks = [...`${text}\n{}\n`].map((letter) => Buffer.from(letter))
    assert.deepEqual(await messagesOf(chunks), { found: [text, '{}'], framed: false })
  }
  assert.deepEqual(await messagesOf([]), { found: [], framed: false })
})

test('a message that is longer than the cap is told and not kept, and the next one is read', async () => {
  verifies('cli.connect')
  const whole = frames('12345', '123456', '12')
  const expected = { found: ['12345', TOO_LONG, '12'], framed: true }
  assert.deepEqual(await messagesOf([whole], 5), expected)
  assert.deepEqual(
    await messagesOf(
      [...whole].map((byte) => Buffer.from([byte])),
      5,
    ),
    expected,
  )
})

test('behind a header without a length, or one that never ends, nothing is read', async () => {
  verifies('cli.connect')
  for (const bad of ['Content-Length: -1\r\n\r\n', 'Content-Type: x\r\n\r\n', 'x'.repeat(2_000)]) {
    const { found } = await messagesOf([Buffer.concat([frames('{}'), Buffer.from(bad), frames('{}')])])
    assert.equal(found.length, 2)
    assert.equal(found[0], '{}')
    assert.ok(String(found[1]).startsWith(bad.trimEnd().slice(0, 1_000)), 'it is answered as no message')
  }
})

test('a host that cuts its messages by length gets its answers so', async () => {
  verifies('cli.connect')
  const relay = new TestRelay(() => json({ jsonrpc: '2.0', id: 1, result: { text: '\u00e9' } }))
  let text = ''
  relay.output.on('data', (chunk: Buffer) => (text += chunk.toString()))
  relay.input.write(frames('{"jsonrpc":"2.0",\n"id":1,"method":"ping"}'))
  await relay.until(() => text !== '')
  relay.input.write('Content-Length: x\r\n\r\n')
  await relay.done
  const answer = '{"jsonrpc":"2.0","id":1,"result":{"text":"\u00e9"}}'
  assert.equal(
    text.slice(0, `Content-Length: 47\r\n\r\n${answer}`.length),
    `Content-Length: 47\r\n\r\n${answer}`,
  )
  assert.match(text, /Content-Length: \d+\r\n\r\n\{"jsonrpc":"2.0","id":null,"error":\{"code":-32700/)
})
