// Pictures, sound, PDF and other files in both directions, over real sockets (playbook Play 3, "Redaction for prompts and outputs").
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, after, before, test } from 'node:test'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { TestGate } from './harness/gate.ts'
import { SayingServer } from './harness/saying-server.ts'

/** A picture of one point. */
const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
)
const WAV = Buffer.concat([
  Buffer.from('RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0', 'latin1'),
  Buffer.alloc(24),
])
const PDF = Buffer.from('%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF')
const ZIP = Buffer.concat([Buffer.from('PK\x05\x06', 'latin1'), Buffer.alloc(30)])

const encoded = (bytes: Buffer): string => bytes.toString('base64')
const notice = (kind: string, bytes: Buffer): string =>
  `[redacted:binary.${kind}] ${bytes.length} bytes, sha256 ${createHash('sha256').update(bytes).digest('hex')}`

const image = (bytes = PNG, mimeType = 'image/png') => ({ type: 'image', data: encoded(bytes), mimeType })
const audio = (bytes = WAV, mimeType = 'audio/wav') => ({ type: 'audio', data: encoded(bytes), mimeType })
const URI = 'file:///one'
const blob = (bytes: Buffer, mimeType: string) => ({ uri: URI, mimeType, blob: encoded(bytes) })
const resource = (bytes: Buffer, mimeType: string) => ({ type: 'resource', resource: blob(bytes, mimeType) })
const uri = (bytes: Buffer, mimeType: string): string => `data:${mimeType};base64,${encoded(bytes)}`

const folder = mkdtempSync(join(tmpdir(), 'callgate-binary-'))
const server = new SayingServer({
  read: {},
  write: {},
  draw: {},
  typed: { outputSchema: { type: 'object', properties: { shot: { type: 'string', maxLength: 99 } } } },
})
let url = ''
let gate: TestGate

const start = (
  t: TestContext | undefined,
  { dlp = '{}', server: own = '{}', tools = '{}' }: { dlp?: string; server?: string; tools?: string },
) =>
  TestGate.start(
    {
      folder: mkdtempSync(join(folder, 'g')),
      servers: `bin:\n  url: "${url}"\n  network: ["127.0.0.1/32"]\n  approve: first-use\n  dlp: ${own}\n  tools: ${tools}`,
      policy: ['tool', 'resource', 'prompt']
        .map((kind) => `- { rule: all-${kind}, when: { ${kind}: "*" }, decision: allow }`)
        .join('\n'),
      more: `listener: { port: 0 }\ndlp: ${dlp}`,
    },
    t,
  )

before(async () => {
  url = await server.start()
  gate = await start(undefined, {
    dlp: '{ binary: { image: drop, audio: deny, pdf: drop } }',
    server: '{ binary: { pdf: pass } }',
    tools: '{ "dra?": { binary: { image: deny, audio: pass } } }',
  })
})
after(async () => {
  await gate?.close()
  server.close()
  rmSync(folder, { recursive: true, force: true })
})

interface Told {
  readonly result: { readonly isError?: boolean; readonly content: { readonly text?: string }[] }
  readonly body: string
}

async function answered(result: object, on = gate, tool = 'read'): Promise<Told> {
  server.says = result
  const { answer } = await on.call(`bin__${tool}`, {})
  // The gate puts the id of the server before URIs, in every answer.
  const { result: told } = JSON.parse(answer.body.replaceAll('bin+file:', 'file:')) as {
    result: Told['result']
  }
  return { result: told, body: answer.body }
}

async function foundIn(on = gate) {
  const outcome = (await on.records()).map(({ record }) => record).findLast(({ kind }) => kind === 'outcome')
  assert.ok(outcome?.kind === 'outcome')
  return { ...outcome.found, observed: outcome.decision?.observed, internal: outcome.internal }
}

test('where nothing is said files pass as they are, and the record counts them by kind', async (t) => {
  verifies('play3.redaction.binary')
  const own = await start(t, {})
  const result = {
    content: [
      image(),
      audio(),
      resource(PDF, 'application/pdf'),
      resource(ZIP, 'application/zip'),
      { type: 'text', text: `![](${uri(PNG, 'image/png')}) beside it` },
    ],
    structuredContent: { shot: encoded(PNG), name: 'one.png' },
  }
  assert.deepEqual((await answered(result, own)).result, result)
  const counted = { 'binary.audio': 1, 'binary.image': 3, 'binary.other': 1, 'binary.pdf': 1 }
  assert.deepEqual((await foundIn(own)).result, counted)
})

test('a dropped picture is a text that tells its kind, length and hash; what stands beside it passes', async () => {
  verifies('play3.redaction.binary')
  const said = notice('image', PNG)
  const { result, body } = await answered({
    content: [
      { ...image(), annotations: { audience: ['user'] } },
      resource(PNG, 'image/png'),
      { type: 'text', text: `before ![](${uri(PNG, 'image/png')}) after` },
      { type: 'text', text: `run ${encoded(PNG)} end` },
      { type: 'text', text: JSON.stringify({ shot: encoded(PNG).replaceAll(/.{40}/g, '$&\n') }) },
      { type: 'text', text: `a ${uri(Buffer.from('plain text, no picture'), 'text/plain')} b` },
      resource(PDF, 'application/pdf'),
    ],
    structuredContent: { shot: encoded(PNG) },
  })
  assert.deepEqual(result, {
    content: [
      { type: 'text', text: said },
      { type: 'resource', resource: { uri: URI, mimeType: 'text/plain', text: said } },
      { type: 'text', text: `before ![](${said}) after` },
      { type: 'text', text: `run ${said} end` },
      { type: 'text', text: JSON.stringify({ shot: said }) },
      { type: 'text', text: `a ${uri(Buffer.from('plain text, no picture'), 'text/plain')} b` },
      resource(PDF, 'application/pdf'),
    ],
    structuredContent: { shot: said },
  })
  assert.ok(!body.includes('iVBORw0KGgo'))
  assert.deepEqual((await foundIn()).result, { 'binary.image': 6, 'binary.pdf': 1 })
})

test('contents of resources and messages of prompts follow the same rules, and stay valid', async () => {
  verifies('play3.redaction.binary')
  server.says = { contents: [blob(PNG, 'image/png'), { uri: 'file:///two', text: 'two' }] }
  const got = (await gate.rpc('resources/read', { uri: `bin+${URI}` })).json()
  const { contents } = got['result'] as { contents: { mimeType?: string; text?: string; blob?: string }[] }
  assert.deepEqual(
    contents.map(({ mimeType, text, blob: left }) => [mimeType, text, left]),
    [
      ['text/plain', notice('image', PNG), undefined],
      [undefined, 'two', undefined],
    ],
  )
  server.says = { messages: [{ role: 'user', content: image() }] }
  const prompt = (await gate.rpc('prompts/get', { name: 'bin__one' })).json()
  assert.deepEqual(prompt['result'], {
    messages: [{ role: 'user', content: { type: 'text', text: notice('image', PNG) } }],
  })
})

test('a denied kind withholds the answer wherever it stands, and says that the call ran', async () => {
  verifies('play3.redaction.binary')
  for (const held of [
    { content: [{ type: 'text', text: 'before' }, audio()] },
    { content: [audio(WAV, 'audio/mpeg')] },
    { content: [resource(WAV, 'audio/wav')] },
    { content: [resource(WAV, 'application/octet-stream')] },
    { content: [{ type: 'text', text: `see ${uri(WAV, 'audio/wav')}` }] },
    { content: [{ type: 'text', text: `see data:audio/wav,${encodeURIComponent('RIFF\0\0\0\0WAVEfmt ')}` }] },
    { content: [{ type: 'text', text: JSON.stringify({ deep: [uri(WAV, 'audio/wav')] }) }] },
    { content: [], structuredContent: { deep: [{ sound: encoded(WAV) }] } },
    { content: [], structuredContent: { sound: WAV.toString('base64url') } },
    { content: [], _meta: { sound: uri(WAV, 'audio/wav') } },
  ]) {
    const { result, body } = await answered(held)
    assert.equal(result.isError, true, JSON.stringify(held))
    assert.match(result.content[0]?.text ?? '', /^CG_DLP_RESULT: the call ran.*\(binary\.audio\)/)
    assert.ok(!body.includes('UklGR'))
  }
  assert.equal((await foundIn()).internal, 'denied in the result: binary.audio')
  const near = { content: [{ type: 'text', text: 'the WAV file data:audio, RIFF and UklGRg== of it' }] }
  assert.deepEqual((await answered(near)).result, near)
})

test('what is not what it claims to be gets the strictest action of all, and the record tells', async () => {
  verifies('play3.redaction.binary')
  for (const held of [
    { content: [image(WAV)] },
    { content: [image(PNG, 'application/pdf')] },
    { content: [resource(PNG, 'text/plain')] },
    { content: [resource(ZIP, 'image/png')] },
    { content: [{ type: 'text', text: uri(PNG, 'text/css') }] },
    { content: [resource(Buffer.concat([PNG, PDF]), 'image/png')] },
  ]) {
    const { result } = await answered(held)
    assert.match(result.content[0]?.text ?? '', /^CG_DLP_RESULT.*\(binary\.mismatch\)/, JSON.stringify(held))
    assert.equal((await foundIn()).internal, 'denied in the result: binary.mismatch')
  }
  for (const near of [resource(ZIP, 'application/zip'), resource(Buffer.from('<svg/>'), 'image/svg+xml')]) {
    const result = { content: [near] }
    assert.deepEqual((await answered(result)).result, result)
  }
})

test('arguments that hold a denied kind never leave; what is dropped in answers is only counted there', async () => {
  verifies('play3.redaction.binary')
  server.says = { content: [] }
  for (const args of [
    { file: encoded(WAV) },
    { file: WAV.toString('base64url') },
    { file: encoded(WAV).replaceAll(/.{38}/g, '$&\r\n') },
    { deep: [{ source: uri(WAV, 'audio/wav') }] },
    { body: JSON.stringify({ file: encoded(WAV) }) },
    { body: `Content-Transfer-Encoding: base64\r\n\r\n${encoded(WAV)}\r\n` },
    { item: audio() },
  ]) {
    const sent = server.seen.length
    const { text, isError } = await gate.call('bin__write', args)
    assert.deepEqual([isError, server.seen.length], [true, sent], JSON.stringify(args))
    assert.match(text, /^CG_DLP_ARGUMENT: .*\(binary\.audio\)/)
    assert.equal((await foundIn()).internal, 'denied in the arguments: binary.audio')
  }
  const { isError, text } = await gate.call('bin__write', {
    file: encoded(PNG),
    path: '/shared/folder/with/sound/in/one/of/them',
    item: { type: 'audio', data: 'sound.wav' },
  })
  assert.equal(isError, false, text)
  assert.ok(server.seen.at(-1)?.includes(encoded(PNG)))
  assert.deepEqual((await foundIn()).arguments, { 'binary.image': 1 })
})

test('a tool has rules of its own by name or glob, kind by kind before those of its server', async () => {
  verifies('play3.redaction.binary')
  const { result } = await answered({ content: [image()] }, gate, 'draw')
  assert.match(result.content[0]?.text ?? '', /^CG_DLP_RESULT.*\(binary\.image\)/)
  const passed = { content: [audio(), resource(PDF, 'application/pdf')] }
  assert.deepEqual((await answered(passed, gate, 'draw')).result, passed)
  assert.equal((await gate.call('bin__draw', { picture: encoded(PNG) })).text.slice(0, 15), 'CG_DLP_ARGUMENT')
  assert.equal((await answered({ content: [audio()] })).result.isError, true)
})

test('a notice is not written back over the picture that it stands for, and a notice that is too long refuses', async () => {
  verifies('play3.redaction.binary')
  verifies('play3.redaction.write-back')
  verifies('play3.redaction.schema')
  const { text } = await gate.call('bin__write', { file: notice('image', PNG) })
  assert.match(text, /^CG_DLP_PLACEHOLDER/)
  const { result } = await answered(
    { content: [], structuredContent: { shot: encoded(PNG).slice(0, 96) } },
    gate,
    'typed',
  )
  assert.match(result.content[0]?.text ?? '', /^CG_DLP_SCHEMA: the call ran/)
})

test('under observe files pass, and the record says what would have been done', async (t) => {
  verifies('play3.redaction.binary')
  verifies('play3.redaction.observe')
  const own = await start(t, { dlp: '{ mode: observe, binary: { image: drop, audio: deny } }' })
  const result = { content: [image(), audio(), image(ZIP)] }
  server.says = result
  const { answer } = await own.call('bin__write', { file: encoded(WAV) })
  assert.deepEqual(answer.json()['result'], result)
  const { observed, arguments: before, result: found } = await foundIn(own)
  assert.deepEqual(before, { 'binary.audio': 1 })
  assert.deepEqual(found, { 'binary.audio': 1, 'binary.image': 1, 'binary.mismatch': 1, 'binary.other': 1 })
  assert.deepEqual(observed, [
    '(dlp: deny binary.audio in the argument)',
    '(dlp: deny binary.audio in the result)',
    '(dlp: deny binary.mismatch in the result)',
    '(dlp: drop binary.image in the result)',
  ])
})
