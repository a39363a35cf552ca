import assert from 'node:assert/strict'
import { Readable, Writable } from 'node:stream'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { verifies } from '../testing/verifies.ts'
import { MessageWriter, TOO_LONG, readLines } from './stdio-relay-lines.ts'

async function linesOf(chunks: readonly Buffer[], maxBytes = 1_000): Promise<(string | symbol)[]> {
  const found: (string | symbol)[] = []
  for await (const line of readLines(Readable.from(chunks), maxBytes))
    found.push(line === TOO_LONG ? TOO_LONG : line.toString('latin1'))
  return found
}

test('only LF ends a line: U+2028 and a lone CR belong to it, and the last line needs no end', async () => {
  verifies('cli.connect')
  const text = 'a\u2028b\u2029\rc\r\nd\n\ne'
  const bytes = Buffer.from(text)
  assert.deepEqual(
    (await linesOf([bytes])).map((line) => Buffer.from(String(line), 'latin1').toString()),
    ['a\u2028b\u2029\rc\r', 'd', '', 'e'],
  )
})

test('a line that is longer than the cap is told and not kept, and the next one is read', async () => {
  verifies('cli.connect')
  const long = [Buffer.from('12345'), Buffer.from('6\nab\n'), Buffer.from('12345\n')]
  assert.deepEqual(await linesOf(long, 5), [TOO_LONG, 'ab', '12345'])
})

test('lines do not depend on where the chunks are cut', async () => {
  verifies('cli.connect')
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 60 }).map((bytes) => bytes.map((byte) => (byte % 5 === 0 ? 10 : byte))),
      fc.array(fc.nat(60), { maxLength: 5 }),
      async (bytes, cuts) => {
        const whole = Buffer.from(bytes)
        const at = [0, ...cuts.filter((cut) => cut < whole.length), whole.length].sort((a, b) => a - b)
        const chunks = at.slice(1).map((end, i) => whole.subarray(at[i], end))
        const text = whole.toString('latin1')
        const expected = text.split('\n')
        if (expected.at(-1) === '') expected.pop()
        assert.deepEqual(await linesOf(chunks), expected)
      },
    ),
    { numRuns: 300 },
  )
})

test('a reader that does not read holds the writer back, and gets everything in order once it does', async () => {
  verifies('cli.connect')
  const seen: string[] = []
  let read: (() => void) | undefined
  const slow = new Writable({
    highWaterMark: 1,
    write(chunk: Buffer, _, done) {
      seen.push(chunk.toString().slice(0, 2))
      if (read === undefined) read = done
      else done()
    },
  })
  const lines = new MessageWriter(slow, () => assert.fail('the reader is there'))
  const big = Buffer.alloc(300 * 1024, 0x2e)
  let written = 0
  const all = [0, 1, 2, 3].map((n) =>
    lines.write(Buffer.concat([Buffer.from(`${n}:`), big])).then(() => written++),
  )
  await new Promise((resolve) => setTimeout(resolve, 20))
  assert.equal(written, 0)
  assert.ok(slow.writableLength < 2 * big.length, 'one message waits, not four')
  read?.()
  await Promise.all(all)
  assert.deepEqual(seen, ['0:', '1:', '2:', '3:'])
})

test('a reader that goes away frees the writer at once, and is told once', async () => {
  verifies('cli.connect')
  let gone = 0
  const stuck = new Writable({ highWaterMark: 1, write: () => undefined })
  const lines = new MessageWriter(stuck, () => gone++)
  const held = lines.write(Buffer.alloc(300 * 1024))
  await new Promise(setImmediate)
  stuck.destroy(new Error('EPIPE'))
  await held
  await lines.write(Buffer.from('late'))
  await new Promise(setImmediate)
  assert.equal(gone, 1)
})
