import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { verifies } from '../testing/verifies.ts'
import { judgeBinary, sniff } from './binary.ts'
import { binaryText } from './binary-item.ts'
import { screenValue } from './screen.ts'

const latin1 = (text: string): Buffer => Buffer.from(text.padEnd(64, '\0'), 'latin1')

/** Frames of MP3 at 128 kbit/s, of AAC, and a bitmap's header. */
const mp3 = Buffer.alloc(1_000)
mp3.set([0xff, 0xfb, 0x90, 0x64], 0)
mp3.set([0xff, 0xfb, 0x90, 0x64], 417)
const loudest = Buffer.alloc(2_000)
loudest.set([0xff, 0xfb, 0xe8, 0x64], 0)
loudest.set([0xff, 0xfb, 0xe8, 0x64], 1_440)
const aac = Buffer.alloc(100)
aac.set([0xff, 0xf1, 0x50, 0x80, 0x02, 0x1f, 0xfc], 0)
aac.set([0xff, 0xf1], 16)
const bitmap = Buffer.alloc(64)
bitmap.write('BM')
bitmap.writeUInt32LE(54, 10)
bitmap.writeUInt32LE(40, 14)

test('files are known by their first bytes', () => {
  verifies('play3.redaction.binary')
  for (const [head, kind] of [
    [latin1('\x89PNG\r\n\x1a\n'), 'image'],
    [latin1('\xff\xd8\xff\xe0'), 'image'],
    [latin1('GIF89a'), 'image'],
    [latin1('RIFF\x10\0\0\0WEBPVP8 '), 'image'],
    [latin1('\0\0\0\x1cftypavif'), 'image'],
    [latin1('\0\0\x01\0\x01\0\x10\x10\0\0\x01\0'), 'image'],
    [bitmap, 'image'],
    [latin1('RIFF\x10\0\0\0WAVEfmt '), 'audio'],
    [latin1('ID3\x04\0'), 'audio'],
    [latin1('OggS\0'), 'audio'],
    [latin1('\0\0\0\x20ftypisom'), 'audio'],
    [latin1('\x1a\x45\xdf\xa3'), 'audio'],
    [mp3, 'audio'],
    [loudest, 'audio'],
    [aac, 'audio'],
    [latin1('%PDF-1.7'), 'pdf'],
    [Buffer.concat([Buffer.alloc(1_019), latin1('%PDF-1.7')]), 'pdf'],
  ] as const)
    assert.deepEqual(sniff(head), [kind], head.toString('latin1', 0, 12))
  for (const head of [
    latin1('PK\x03\x04'),
    latin1('BMW and other makes of cars, in one long sentence'),
    latin1('ID3 is a form of tags'),
    latin1('RIFF\x10\0\0\0XXXX'),
    latin1('\x89PNG\n'),
    latin1('\xff\xfb\x90\x64'),
    latin1('\xff\xf1\x50\x80\x02\x1f\xfc'),
    latin1('\0\0\x01\0\0\0'),
    Buffer.concat([Buffer.alloc(1_025), latin1('%PDF-1.7')]),
    Buffer.alloc(0),
  ])
    assert.deepEqual(sniff(head), [], head.toString('latin1', 0, 12))
})

test('bytes are believed, and what is claimed against them is told', () => {
  verifies('play3.redaction.binary')
  const [png, zip, pdf] = [latin1('\x89PNG\r\n\x1a\n'), latin1('PK\x03\x04'), latin1('%PDF-1.7')]
  const both = Buffer.concat([png, pdf])
  for (const [head, claims, kind, mismatch] of [
    [png, ['image/png'], 'image', false],
    [png, ['image/jpeg'], 'image', false],
    [png, [], 'image', false],
    [png, ['application/octet-stream'], 'image', false],
    [png, ['IMAGE/PNG; q=1'], 'image', false],
    [png, ['text/plain'], 'other', true],
    [png, ['application/pdf'], 'other', true],
    [png, ['image/*', 'audio/wav'], 'other', true],
    [zip, ['application/zip'], 'other', false],
    [zip, ['image/png'], 'other', true],
    [zip, [], 'other', false],
    [latin1('<svg/>'), ['image/svg+xml'], 'other', false],
    [latin1('\0\0\0\x20ftypisom'), ['video/mp4'], 'audio', false],
    [both, [], 'other', true],
  ] as const)
    assert.deepEqual(judgeBinary(head, claims), { kind, mismatch }, claims.join())
})

test('texts that only look a little like base64 of a file are no files', () => {
  verifies('play3.redaction.binary')
  for (const text of [
    '//server/share/folder/with/many/parts/in/it',
    '//software/that/stands/at/the/begin/of/a/path',
    'R0lGOD is how a GIF begins, in base64',
    `${latin1('BMW makes cars and motorcycles').toString('base64')}`,
    'https://example.com/9j/4AAQSkZJRgABAQAAAQ',
  ])
    assert.equal(binaryText(text), undefined, text)
  const wrapped = latin1('GIF89a').toString('base64').replaceAll(/.{20}/g, '$&\r\n')
  assert.equal(binaryText(wrapped)?.kind, 'image')
  assert.equal(binaryText(latin1('GIF89a').toString('base64url'))?.kind, 'image')
})

test('no value makes judging throw, and where everything is dropped no known file is left', () => {
  verifies('play3.redaction.binary')
  const heads = [latin1('\x89PNG\r\n\x1a\n'), latin1('%PDF-1.7'), mp3, latin1('PK\x03\x04')]
  const file = fc
    .tuple(fc.constantFrom(...heads), fc.uint8Array({ maxLength: 40 }))
    .map((parts) => Buffer.concat(parts).toString('base64'))
  const texts = fc.oneof(
    file,
    file.map((text) => `see ${text}, and`),
    file.map((text) => `![](data:image/png;base64,${text})`),
    file.map((text) => JSON.stringify({ inner: text })),
    fc.string(),
    fc.string().map((text) => `data:${text},${text}`),
  )
  const item = fc.record(
    {
      type: fc.constantFrom('image', 'audio', 'text'),
      data: texts,
      blob: texts,
      uri: fc.string(),
      mimeType: texts,
    },
    { requiredKeys: [] },
  )
  const gone = { scan: () => [], hash: () => '', keep: () => '' }
  fc.assert(
    fc.property(fc.array(fc.oneof(item, texts)), (value) => {
      const dropped = screenValue(value, { ...gone, actionOf: () => 'drop' })
      const again = screenValue(dropped.value, { ...gone, actionOf: () => 'count' })
      const left = Object.keys(again.counts)
      assert.deepEqual(left, [], JSON.stringify(dropped.value))
      const counted = screenValue(value, { ...gone, actionOf: () => 'count' })
      assert.equal(counted.value, value)
      if (Object.keys(counted.counts).length > 0) assert.equal(dropped.changed, true)
    }),
    { numRuns: 2_000 },
  )
})
