import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { escapeControls } from './child.ts'
import { childEnvironment } from './environment.ts'
import { createLineDecoder, LineTooLong } from './lines.ts'

test('any cutting of a stream gives the same lines', () => {
  const seed = Date.now()
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: 'grapheme', maxLength: 20 })),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
      (texts, cuts) => {
        const lines = texts.map((text) => text.replaceAll('\n', ' '))
        const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''))
        const decoder = createLineDecoder(1_000)
        const heard: string[] = []
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const size = cuts[i % cuts.length] ?? 1
          decoder.push(bytes.subarray(at, at + size), (line) => heard.push(line.toString()))
          at += size
        }
        assert.deepEqual(heard, lines)
      },
    ),
    { seed, numRuns: 300 },
  )
})

test('a line at the cap passes, one byte more is refused, in one chunk or in many', () => {
  const heard: number[] = []
  const decoder = createLineDecoder(10)
  decoder.push(Buffer.from(`${'x'.repeat(10)}\n`), (line) => heard.push(line.length))
  decoder.push(Buffer.from('x'.repeat(6)), () => {})
  decoder.push(Buffer.from(`${'x'.repeat(4)}\n`), (line) => heard.push(line.length))
  assert.deepEqual(heard, [10, 10])
  assert.throws(() => createLineDecoder(10).push(Buffer.from('x'.repeat(11)), () => {}), LineTooLong)
  assert.throws(() => createLineDecoder(10).push(Buffer.from(`${'x'.repeat(11)}\n`), () => {}), LineTooLong)
  const slow = createLineDecoder(10)
  slow.push(Buffer.from('x'.repeat(10)), () => {})
  assert.throws(() => slow.push(Buffer.from('x'), () => {}), LineTooLong)
})

test('last words hold no control character', () => {
  assert.equal(escapeControls('a\u001b[31m\nb\u202e\u2028ü'), 'a\\u{1b}[31m\\u{a}b\\u{202e}\\u{2028}ü')
})

test('a child environment has four names of the gate at most, and what the configuration says', () => {
  const own = {
    PATH: '/bin',
    HOME: '/h',
    LANG: 'C',
    NODE_OPTIONS: '--inspect',
    LD_PRELOAD: 'x.so',
    AWS_SECRET: 's',
  }
  assert.deepEqual(childEnvironment(own, { TOKEN: 't', PATH: '/own' }), {
    PATH: '/own',
    HOME: '/h',
    LANG: 'C',
    TOKEN: 't',
  })
})
