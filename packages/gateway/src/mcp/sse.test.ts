import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { SseDecoder, SseFault, encodeSseEvent } from './sse.ts'

const seed = Number(process.env['FC_SEED'] ?? Math.floor(Math.random() * 2 ** 31))

/** An event with its data as text. */
interface Read {
  readonly event: string
  readonly data: string
  readonly id: string
}

/** Everything that can be seen of a stream, its fault too. */
function read(chunks: readonly Uint8Array[], maxEventBytes?: number): unknown {
  const decoder = new SseDecoder(maxEventBytes === undefined ? {} : { maxEventBytes })
  const events: Read[] = []
  let fault = ''
  try {
    for (const chunk of chunks) for (const event of decoder.push(chunk)) events.push(shown(event))
  } catch (error) {
    assert.ok(error instanceof SseFault)
    for (const event of error.events) events.push(shown(event))
    fault = error.fault
  }
  return { events, fault, lastEventId: decoder.lastEventId, retryMs: decoder.retryMs }
}

function shown({ event, data, id }: { event: string; data: Buffer; id: string }): Read {
  return { event, data: data.toString(), id }
}

function eventsOf(text: string | Uint8Array): Read[] {
  return new SseDecoder().push(Buffer.from(text)).map(shown)
}

function dataOf(text: string | Uint8Array): string[] {
  return eventsOf(text).map(({ data }) => data)
}

test('an event ends with an empty line, whichever line ends the stream uses', () => {
  for (const end of ['\n', '\r', '\r\n']) {
    const stream = ['event: a', 'id: 1', 'data: x', 'data: y', '', 'data: z', '', ''].join(end)
    assert.deepEqual(
      eventsOf(stream),
      [
        { event: 'a', data: 'x\ny', id: '1' },
        { event: 'message', data: 'z', id: '1' },
      ],
      JSON.stringify(end),
    )
  }
  assert.deepEqual(dataOf('data: x\r\rdata: y\n\r\n'), ['x', 'y'])
})

test('an event that the end of the stream cuts off is not handed on', () => {
  assert.deepEqual(dataOf('data: x\n'), [])
  assert.deepEqual(dataOf('data: x'), [])
  assert.deepEqual(dataOf('data: x\n\n'), ['x'])
})

test('one space after the colon is dropped, no more; a field without a colon is empty', () => {
  assert.deepEqual(dataOf('data:x\n\ndata: x\n\ndata:  x\n\ndata\n\ndata:\n\ndata\ndata\n\n'), [
    'x',
    'x',
    ' x',
    '',
    '',
    '\n',
  ])
})

test('comments, unknown fields and fields in other letters are ignored', () => {
  assert.deepEqual(
    dataOf(': data: x\n\nDATA: x\n\ndatax: y\n\n data: x\n\ndat: z\n\neventual: e\ndata: ok\n\n'),
    ['ok'],
  )
  assert.deepEqual(eventsOf('eventual: e\ndata: ok\n\n')[0]?.event, 'message')
})

test('an id without data is kept for a resume, an id with NUL is not; an event type lasts one event', () => {
  const decoder = new SseDecoder()
  assert.deepEqual(decoder.push(Buffer.from('id: 7\nevent: e\n\n')), [])
  assert.equal(decoder.lastEventId, '7')
  assert.deepEqual(decoder.push(Buffer.from('id: a\0b\ndata:\n\n')).map(shown), [
    { event: 'message', data: '', id: '7' },
  ])
  decoder.push(Buffer.from('id\n'))
  assert.equal(decoder.lastEventId, '')
})

function retryOf(value: string): number | undefined {
  const decoder = new SseDecoder()
  decoder.push(Buffer.from(`retry: ${value}\n`))
  return decoder.retryMs
}

test('retry takes digits only and is held to what a timer can wait', () => {
  assert.equal(retryOf('2500'), 2500)
  assert.equal(retryOf('0'), 0)
  for (const value of ['', '-1', '1.5', '1e3', ' 1', 'x']) assert.equal(retryOf(value), undefined, value)
  for (const value of ['2147483648', '9'.repeat(400)]) assert.equal(retryOf(value), 2_147_483_647)
})

test('one byte order mark at the start is dropped, a later one is text', () => {
  assert.deepEqual(dataOf('\ufeffdata: x\n\n'), ['x'])
  assert.deepEqual(dataOf('\ufeff\ufeffdata: x\n\n'), [])
  assert.deepEqual(dataOf('\ndata: x\n\n\ufeffdata: y\n\n'), ['x'])
  assert.deepEqual(dataOf('data: \ufeffx\n\n'), ['\ufeffx'])
})

test('a stream that is not UTF-8 faults; the events before it are told, nothing after it is read', () => {
  for (const hex of ['80', 'c3', 'c0af', 'eda080', 'f4908080', 'f09f98']) {
    const decoder = new SseDecoder()
    const bad = Buffer.concat([
      Buffer.from('data: ok\n\ndata: '),
      Buffer.from(hex, 'hex'),
      Buffer.from('\n\ndata: x\n\n'),
    ])
    assert.throws(
      () => decoder.push(bad),
      (error) =>
        error instanceof SseFault &&
        error.fault === 'utf8' &&
        error.events
          .map(shown)
          .map(({ data }) => data)
          .join() === 'ok',
    )
    assert.throws(() => decoder.push(Buffer.from('data: x\n\n')), SseFault)
  }
  assert.throws(() => new SseDecoder().push(Buffer.from(': \xff\n', 'latin1')), SseFault)
  assert.deepEqual(dataOf('data: é漢😀\n\n'), ['é漢😀'])
})

test('an event at the cap passes and one byte more faults, in one line, over lines and unfinished', () => {
  const cap = 12
  const passes = ['data: 123456\n\n', 'data:1\ndata:2\n\n', 'data:123\nx:12\n\n'].map((text) =>
    read([Buffer.from(text)], cap),
  )
  for (const found of passes) assert.deepEqual(Object(found).fault, '')
  for (const text of [
    'data: 1234567\n\n',
    'data: 1234567',
    'data:1\ndata:12\n\n',
    'data:1\ndata:12',
    'data:123\nx:123\n\n',
    `:${'c'.repeat(12)}`,
  ]) {
    assert.deepEqual(
      read([Buffer.from(text)], cap),
      { events: [], fault: 'bytes', lastEventId: '', retryMs: undefined },
      text,
    )
  }
  const first = new SseDecoder()
  assert.throws(() => first.push(Buffer.alloc(8_388_609, 'x')), SseFault)
})

test('the cap is on one event: a long stream of short ones passes', () => {
  const decoder = new SseDecoder({ maxEventBytes: 7 })
  for (let n = 0; n < 50; n++) assert.equal(decoder.push(Buffer.from('data: x\n\nid: 1\n\n')).length, 1)
})

test('keep-alive comments never add up to the cap, within an event neither', () => {
  const decoder = new SseDecoder({ maxEventBytes: 20 })
  decoder.push(Buffer.from('data: x\n'))
  for (let n = 0; n < 100; n++) assert.deepEqual(decoder.push(Buffer.from(': keep-alive\n')), [])
  assert.deepEqual(decoder.push(Buffer.from('\n')).map(shown), [{ event: 'message', data: 'x', id: '' }])
})

test('comments and empty lines that end no event are counted until they are asked for', () => {
  const decoder = new SseDecoder()
  decoder.push(Buffer.from('data: x\n: a\n\n'))
  decoder.push(Buffer.from('\nevent: y\n\n: b'))
  assert.equal(decoder.takeIdleLines(), 3)
  assert.equal(decoder.takeIdleLines(), 0)
  decoder.push(Buffer.from('\ndata: x\n\n'))
  assert.equal(decoder.takeIdleLines(), 1)
})

test('an event that comes byte by byte is put together in linear time', () => {
  const decoder = new SseDecoder()
  const text = 'x'.repeat(300_000)
  const stream = Buffer.from(`data: ${text}\ndata: y\n\n`)
  const events = [...stream.keys()].flatMap((n) => decoder.push(stream.subarray(n, n + 1)))
  assert.deepEqual(events.map(shown), [{ event: 'message', data: `${text}\ny`, id: '' }])
})

test('an event written by us is one event to a reader, whatever its data holds', () => {
  assert.equal(encodeSseEvent('{"a":1}').toString(), 'data: {"a":1}\n\n')
  assert.equal(
    encodeSseEvent(Buffer.from('x'), { id: '1', event: 'e', retry: 5 }).toString(),
    'event: e\nid: 1\nretry: 5\ndata: x\n\n',
  )
  const injected = '{\r"a":\r\n1}\n\nid: 666\nevent: endpoint\ndata: evil\n\n'
  assert.deepEqual(eventsOf(encodeSseEvent(injected)), [
    { event: 'message', data: injected.replaceAll(/\r\n?/g, '\n'), id: '' },
  ])
  assert.deepEqual(dataOf(encodeSseEvent('')), [''])
  assert.deepEqual(dataOf(encodeSseEvent('\n')), ['\n'])
})

test('fields that would break the line, and data that is not UTF-8, are refused', () => {
  for (const fields of [
    { id: '1\n2' },
    { id: '1\r' },
    { id: '\0' },
    { id: '\ud800' },
    { event: 'a\ndata: x' },
    { event: 'a\rb' },
    { retry: -1 },
    { retry: 1.5 },
    { retry: Infinity },
  ]) {
    assert.throws(() => encodeSseEvent('x', fields), TypeError, JSON.stringify(fields))
  }
  assert.throws(() => encodeSseEvent(Buffer.from([0xff])), TypeError)
  assert.throws(() => encodeSseEvent('\ud800'), TypeError)
  assert.deepEqual(eventsOf(encodeSseEvent('😀', { id: ' é:', event: ':', retry: 0 })), [
    { event: ':', data: '😀', id: ' é:' },
  ])
})

function cut(stream: Buffer, places: readonly number[]): Buffer[] {
  const at = [0, ...places.map((place) => place % (stream.length + 1)), stream.length].sort((a, b) => a - b)
  return at.slice(1).map((end, n) => stream.subarray(at[n], end))
}

const places = fc.array(fc.nat(), { maxLength: 12 })

test('fuzz: any chunking of any stream gives the same events, ids and fault', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      'data:',
      'data: x',
      // Longer than the cap below: every run meets that fault.
      'data: over the cap of the decoder by some bytes',
      'data',
      'id: 1',
      'id',
      'event: e',
      'retry: 9',
      ': c',
      'x: y',
      '\ufeff',
      'é',
      '😀',
      ' ',
    ),
    fc.constantFrom('\n', '\r', '\r\n', '\n\n', '\r\r', '\r\n\r\n'),
  )
  const part = fc.oneof(
    { weight: 30, arbitrary: piece.map((text) => Buffer.from(text)) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 3 }).map((bytes) => Buffer.from(bytes)) },
  )
  const met = new Set<string>()
  fc.assert(
    fc.property(fc.array(part, { maxLength: 40 }), places, (parts, at) => {
      const stream = Buffer.concat(parts)
      const whole = read([stream], 40)
      met.add(String(Object(whole).fault))
      assert.deepEqual(read(cut(stream, at), 40), whole)
      assert.deepEqual(
        read(
          [...stream.keys()].map((n) => stream.subarray(n, n + 1)),
          40,
        ),
        whole,
      )
    }),
    { seed, numRuns: 1_500 },
  )
  assert.deepEqual([...met].sort(), ['', 'bytes', 'utf8'], `seed ${seed}`)
})

test('fuzz: what the encoder writes, the decoder reads back in any chunking', () => {
  const data = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.string({ unit: fc.constantFrom('\n', '\r', ' ', ':', 'data: ', 'é', '\ufeff') }),
  )
  fc.assert(
    fc.property(fc.array(data, { minLength: 1, maxLength: 5 }), places, (texts, at) => {
      const stream = Buffer.concat(
        texts.map((text, n) => encodeSseEvent(text, { id: String(n), event: `e${n}` })),
      )
      const decoder = new SseDecoder()
      const events = cut(stream, at).flatMap((chunk) => decoder.push(chunk))
      assert.deepEqual(
        events.map(shown),
        texts.map((text, n) => ({ event: `e${n}`, data: text.replaceAll(/\r\n?/g, '\n'), id: String(n) })),
      )
    }),
    { seed, numRuns: 1_000 },
  )
})
