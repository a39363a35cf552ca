// A detector of names and places beside the scanner, over real sockets. The other end is a fixture of the published API of Presidio's
// analyzer, not Presidio (playbook Play 3, "Redaction for prompts and outputs").
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, after, afterEach, before, test } from 'node:test'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { Analyzer, type Asked } from './harness/analyzer.ts'
import { TestGate } from './harness/gate.ts'
import { SayingServer } from './harness/saying-server.ts'

const TOKEN = 'analyzer-token-7f1c'
const ADA = 'Ada Lovelace'
const folder = mkdtempSync(join(tmpdir(), 'callgate-detector-'))
const server = new SayingServer({ read: {}, write: {} })
const analyzer = new Analyzer()
let url = ''
let analyzerUrl = ''
let gate: TestGate

const start = (t: TestContext | undefined, more = '', at = analyzerUrl, dlp = '') => {
  const own = mkdtempSync(join(folder, 'g'))
  writeFileSync(join(own, 'token'), TOKEN, { mode: 0o600 })
  return TestGate.start(
    {
      folder: own,
      servers: `data: { url: "${url}", network: ["127.0.0.1/32"], approve: first-use }`,
      more: `listener: { port: 0 }
dlp:
  arguments: { location: deny, person: placeholder }
  results: { person: placeholder, email: placeholder, location: mask }
  detector: { url: "${at}", token: "file:${join(own, 'token')}", ${more} }
  ${dlp}`,
    },
    t,
  )
}

before(async () => {
  url = await server.start()
  analyzerUrl = await analyzer.start()
  analyzer.token = TOKEN
  gate = await start(undefined, 'timeoutMs: 400, maxTextBytes: 4096')
})
afterEach(() => {
  analyzer.instead = undefined
  analyzer.entities = []
  analyzer.token = TOKEN
})
after(async () => {
  await gate?.close()
  server.close()
  analyzer.close()
  rmSync(folder, { recursive: true, force: true })
})

const content = (...texts: string[]) => ({ content: texts.map((text) => ({ type: 'text', text })) })

async function answered(result: object, on = gate) {
  server.says = result
  const { answer, text } = await on.call('data__read', {})
  return { told: answer.json()['result'] as object, text, body: answer.body }
}

async function outcomeOf(on = gate) {
  const outcome = (await on.records()).map(({ record }) => record).findLast(({ kind }) => kind === 'outcome')
  assert.ok(outcome?.kind === 'outcome')
  return outcome
}

test('names that the detector finds are redacted in answers, wherever in them they stand, by one question', async () => {
  verifies('play3.redaction.detector')
  analyzer.entities = [
    [ADA, 'PERSON'],
    ['London', 'LOCATION'],
    ['maybe', 'PERSON', 0.3],
    ['42', 'QUANTITY'],
  ]
  const before = analyzer.asked.length
  const encoded = Buffer.from(`a letter to ${ADA} of the Royal Society`).toString('base64')
  const { told } = await answered({
    ...content(`${ADA} lives in London, maybe at 42`, JSON.stringify({ who: ADA }), `see ${encoded}.`),
    structuredContent: { deep: [{ name: ADA }], [ADA]: 1 },
  })
  assert.deepEqual(told, {
    ...content(
      '[redacted:person] lives in ******, maybe at 42',
      '{"who":"[redacted:person]"}',
      'see [redacted:person].',
    ),
    structuredContent: { deep: [{ name: '[redacted:person]' }], '[redacted:person]': 1 },
  })
  // The arguments of this call are empty, so that there is one question: for the answer.
  assert.equal(analyzer.asked.length, before + 1)
  const { language, entities, score_threshold: least } = analyzer.asked.at(-1) ?? ({} as Asked)
  assert.deepEqual([language, entities, least], ['en', ['PERSON', 'LOCATION'], 0.5])
  assert.equal(analyzer.authorizations.at(-1), `Bearer ${TOKEN}`)
  const { arguments: sent, result: read } = (await outcomeOf()).found ?? {}
  assert.deepEqual([sent, read], [undefined, { location: 1, person: 5 }])
})

test('offsets are code points: emoji before a name, in it and between texts move nothing', async () => {
  verifies('play3.redaction.detector')
  analyzer.entities = [
    [ADA, 'PERSON'],
    ['𝓐da 🦊', 'PERSON'],
  ]
  const { told } = await answered(content(`👩‍🚀🎉 ${ADA}!`, 'a 𐍈 b', `𝒳 ${ADA} 𝒴 𝓐da 🦊 🎉`, `plain ${ADA}`))
  assert.deepEqual(
    told,
    content(
      '👩‍🚀🎉 [redacted:person]!',
      'a 𐍈 b',
      '𝒳 [redacted:person] 𝒴 [redacted:person] 🎉',
      'plain [redacted:person]',
    ),
  )
})

test('our own findings win where both found something, and the rest of a name is still a name', async () => {
  verifies('play3.redaction.detector')
  analyzer.entities = [
    [`${ADA} <ada@example.com>`, 'PERSON'],
    ['bob@example.org', 'LOCATION'],
    [ADA, 'LOCATION'],
  ]
  const { text } = await answered(content(`From: ${ADA} <ada@example.com>, to bob@example.org`))
  assert.equal(text, 'From: [redacted:person][redacted:email]>, to [redacted:email]')
})

test('what may not be sent is denied before it leaves, and what is replaced leaves replaced', async () => {
  verifies('play3.redaction.detector')
  analyzer.entities = [
    [ADA, 'PERSON'],
    ['London', 'LOCATION'],
  ]
  server.says = { content: [] }
  const sent = server.seen.length
  const { text } = await gate.call('data__write', { note: 'meet in London' })
  assert.match(text, /^CG_DLP_ARGUMENT: .*\(location\)/)
  assert.equal(server.seen.length, sent)
  assert.equal((await gate.call('data__write', { note: `meet ${ADA} in Paris`, n: 7 })).isError, false)
  assert.match(server.seen.at(-1) ?? '', /"note":"meet \[redacted:person\] in Paris","n":7/)
})

const FAULTS: Readonly<Record<string, (response: ServerResponse, asked: Asked) => void>> = {
  'HTTP 500': (response) => void response.writeHead(500).end('{"error":"boom"}'),
  'HTTP 302': (response) => void response.writeHead(302, { location: '/nlp/analyze' }).end(),
  'no JSON': (response) => void response.writeHead(200).end('[{"entity_type":'),
  'no UTF-8': (response) => void response.writeHead(200).end(Buffer.from([0x22, 0xff, 0x22])),
  'no list': (response) => void response.writeHead(200).end('{"findings":[]}'),
  'an entry that is none': (response) => void response.writeHead(200).end('[null]'),
  'a score that is none': (response) => void response.writeHead(200).end(span(0, 1, 2)),
  'offsets behind the end': (response, { text }) =>
    void response.writeHead(200).end(span(0, [...text].length + 1)),
  'offsets before the begin': (response) => void response.writeHead(200).end(span(-1, 1)),
  'offsets that are no integers': (response) => void response.writeHead(200).end(span(0.5, 1)),
  'offsets the wrong way round': (response) => void response.writeHead(200).end(span(2, 1)),
  'a packed answer': (response) => void response.writeHead(200, { 'content-encoding': 'gzip' }).end('[]'),
  'more than it may': (response) => void response.writeHead(200).end(`[${' '.repeat(1_100_000)}]`),
  'an answer that breaks off': (response) => {
    response.writeHead(200, { 'content-length': 100 }).write('[')
    setTimeout(() => response.destroy(), 20)
  },
  'no answer': () => undefined,
  'half an answer': (response) => void response.writeHead(200).write('['),
}

function span(start: number, end: number, score = 0.9): string {
  return JSON.stringify([{ entity_type: 'PERSON', start, end, score }])
}

test('a call that the detector does not answer for is refused, whatever is wrong with it', async () => {
  verifies('play3.redaction.detector')
  server.says = { content: [] }
  for (const [name, instead] of Object.entries(FAULTS)) {
    analyzer.instead = instead
    const sent = server.seen.length
    const began = performance.now()
    const { text, isError } = await gate.call('data__write', { note: `for ${ADA}` })
    assert.deepEqual([isError, server.seen.length], [true, sent], name)
    assert.match(text, /^CG_DLP_DETECTOR: .*could not be looked through/, name)
    assert.ok(performance.now() - began < 3_000, name)
    const { internal = '' } = await outcomeOf()
    assert.match(internal, /^the detector /, name)
    assert.ok(!internal.includes(ADA), internal)
    analyzer.instead = undefined
    assert.equal((await gate.call('data__write', { note: `for ${ADA}` })).isError, false, `after: ${name}`)
  }
})

test('an answer that the detector cannot look through is withheld, and the agent learns that the call ran', async () => {
  verifies('play3.redaction.detector')
  analyzer.instead = FAULTS['HTTP 500']
  const { text, body } = await answered(content(`from ${ADA}`))
  assert.match(text, /^CG_DLP_DETECTOR: the call ran, and its answer is withheld/)
  assert.ok(!body.includes(ADA))
  analyzer.instead = undefined
  assert.equal((await answered(content(`from ${ADA}`))).text, `from ${ADA}`)
})

test('texts that are longer than one question may be are refused unasked; pictures are no texts', async () => {
  verifies('play3.redaction.detector')
  server.says = { content: [] }
  const asked = analyzer.asked.length
  const long = await gate.call('data__write', { note: 'long '.repeat(1_000) })
  assert.match(long.text, /^CG_DLP_DETECTOR/)
  assert.match((await outcomeOf()).internal ?? '', /4096 bytes of `dlp\.detector\.maxTextBytes`/)
  assert.equal(analyzer.asked.length, asked)
  assert.equal((await gate.call('data__write', { note: 'long '.repeat(700) })).isError, false)
  const png = Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), Buffer.alloc(6_000, 7)]).toString(
    'base64',
  )
  const { told } = await answered({ content: [{ type: 'image', mimeType: 'image/png', data: png }] })
  assert.deepEqual(told, { content: [{ type: 'image', mimeType: 'image/png', data: png }] })
  assert.ok(!analyzer.asked.at(-1)?.text.includes(png.slice(0, 40)))
})

test('a detector that refuses the token, or that nobody answers at, refuses calls', async (t) => {
  verifies('play3.redaction.detector')
  server.says = { content: [] }
  analyzer.token = 'another'
  assert.match((await gate.call('data__write', { note: 'for Ada' })).text, /^CG_DLP_DETECTOR/)
  assert.equal((await outcomeOf()).internal, 'the detector answered HTTP 401')
  analyzer.token = TOKEN
  assert.equal((await gate.call('data__write', { note: 'for Ada' })).isError, false)
  const gone = new Analyzer()
  const nobody = await gone.start()
  gone.close()
  const own = await start(t, '', nobody)
  assert.match((await own.call('data__write', { note: 'for Ada' })).text, /^CG_DLP_DETECTOR/)
  assert.equal((await outcomeOf(own)).internal, 'the detector cannot be reached (`ECONNREFUSED`)')
})

test('a detector that is asked too often is left alone as long as it wants', async (t) => {
  verifies('play3.redaction.detector')
  const own = await start(t)
  server.says = { content: [] }
  analyzer.instead = (response) => void response.writeHead(429, { 'retry-after': '2' }).end()
  assert.match((await own.call('data__write', { note: 'for Ada' })).text, /^CG_DLP_DETECTOR/)
  analyzer.instead = undefined
  const asked = analyzer.asked.length
  assert.match((await own.call('data__write', { note: 'for Ada' })).text, /^CG_DLP_DETECTOR/)
  assert.match((await outcomeOf(own)).internal ?? '', /wants no question for [12] s/)
  assert.equal(analyzer.asked.length, asked)
  await new Promise((resolve) => setTimeout(resolve, 2_100))
  assert.equal((await own.call('data__write', { note: 'for Ada' })).isError, false)
})

test('where the operator says so calls pass with our own findings, the record counts it, and the log tells it once', async (t) => {
  verifies('play3.redaction.detector')
  for (const [more, dlp] of [
    ['onFailure: pass', ''],
    ['', 'mode: observe'],
  ] as const) {
    const own = await start(t, more, analyzerUrl, dlp)
    analyzer.instead = FAULTS['HTTP 500']
    for (let i = 0; i < 3; i++) {
      server.says = content(`${ADA} <ada@example.com>`)
      const { text } = await own.call('data__write', { note: `for ${ADA}` })
      assert.equal(text, dlp === '' ? `${ADA} <[redacted:email]>` : `${ADA} <ada@example.com>`)
    }
    const { found } = await outcomeOf(own)
    assert.deepEqual(
      [found?.arguments, found?.result],
      [{ detector_down: 1 }, { detector_down: 1, email: 1 }],
    )
    const told = (await own.records())
      .map(({ record }) => record)
      .filter((record) => record.kind === 'gate' && record.event === 'dlp.detector')
    assert.equal(told.length, 1)
  }
})

test('neither names nor the token are kept or told', async () => {
  verifies('play3.redaction.detector')
  verifies('play3.redaction.not-recorded')
  const kept = readdirSync(gate.state, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'))
  for (const seeded of [ADA, TOKEN])
    assert.ok(!kept.some((each) => each.includes(seeded)) && !gate.stderr.includes(seeded), seeded)
  assert.equal((await gate.verify()).ok, true)
})
