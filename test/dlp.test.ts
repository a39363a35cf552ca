// Data loss prevention in both directions, over real sockets (playbook Play 3, "Redaction for prompts and outputs").
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, after, before, test } from 'node:test'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { TestGate } from './harness/gate.ts'

const CARD = '4012888888881881'
const EMAIL = 'ada@example.com'
const HIDDEN = '\u{e0069}\u{e0067}\u{e006e}'

/** What the server answers to the next call, as JSON text: numbers that no double holds must come through. */
interface Says {
  readonly result: string
}

/** A server that keeps the bytes that came in and answers what the test says; `read` and `read_typed` are read class. */
class DataServer {
  readonly seen: string[] = []
  says: Says = { result: '{"content":[]}' }
  readonly #server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString()
      const { id, method } = JSON.parse(body || '{}') as { id?: number; method?: string }
      if (id === undefined) return void response.writeHead(202).end()
      if (method === 'tools/call') this.seen.push(body)
      const result =
        method === 'tools/call'
          ? this.says.result
          : method === 'tools/list'
            ? JSON.stringify({ tools: TOOLS })
            : JSON.stringify({
                protocolVersion: '2025-11-25',
                capabilities: { tools: {} },
                serverInfo: { name: 'data', version: '1' },
              })
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(`{"jsonrpc":"2.0","id":${id},"result":${result}}`)
    })
  })

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    const address = this.#server.address()
    return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/mcp`
  }

  close(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }
}

const text = { type: 'string', maxLength: 4_096 }
const inputSchema = {
  type: 'object',
  properties: { text, short: { type: 'string', maxLength: 20 }, count: { type: 'integer' } },
  additionalProperties: false,
}
const TOOLS = [
  { name: 'read', inputSchema },
  { name: 'write', inputSchema },
  {
    name: 'read_formats',
    inputSchema,
    outputSchema: {
      type: 'object',
      properties: {
        mail: { type: 'string', format: 'email' },
        from: { type: 'string', format: 'ipv4' },
        page: { type: 'string', format: 'uri' },
        card: { type: 'integer' },
        note: text,
      },
    },
  },
  {
    name: 'read_typed',
    inputSchema,
    outputSchema: {
      type: 'object',
      properties: { mail: { type: 'string', maxLength: 20 }, note: text, n: { type: 'integer' } },
      required: ['mail'],
    },
  },
]

const DLP = `
  arguments: { credit_card: deny, iban: mask, email: placeholder, ssn: drop }
  results: { email: placeholder, iban: hash, ip_address: mask, ssn: deny }`

const folder = mkdtempSync(join(tmpdir(), 'callgate-dlp-'))
const server = new DataServer()
let url = ''
let gate: TestGate

const start = (t: TestContext | undefined, dlp: string, own = mkdtempSync(join(folder, 'g'))) =>
  TestGate.start(
    {
      folder: own,
      servers: `data: { url: "${url}", network: ["127.0.0.1/32"], approve: first-use, tools: { "read*": { class: read } } }`,
      more: `listener: { port: 0 }\ndlp: ${dlp}`,
    },
    t,
  )

before(async () => {
  url = await server.start()
  gate = await start(undefined, DLP)
})
after(async () => {
  await gate?.close()
  server.close()
  rmSync(folder, { recursive: true, force: true })
})

/** The arguments that reached the server with a call, and what the host was told. */
async function call(tool: string, args: object, on = gate) {
  const before = server.seen.length
  const { text: told, isError, answer } = await on.call(`data__${tool}`, args)
  const [, sent] = /"arguments":(\{.*?\})[,}]/.exec(server.seen[before] ?? '') ?? []
  return {
    sent,
    told,
    isError,
    body: answer.body,
    result: answer.json()['result'] as Record<string, unknown>,
  }
}

async function answered(value: object | string, tool = 'read', on = gate) {
  server.says = { result: typeof value === 'string' ? value : JSON.stringify(value) }
  return call(tool, {}, on)
}

const content = (said: string) => ({ content: [{ type: 'text', text: said }] })

test('what the server gets is what may be sent: each class as the operator says, the rest byte for byte', async () => {
  verifies('play3.redaction')
  server.says = { result: '{"content":[]}' }
  for (const [given, sent] of [
    [`mail ${EMAIL}!`, 'mail [redacted:email]!'],
    ['pay GB82WEST12345698765432', 'pay **********************'],
    ['ssn 123-45-6789.', 'ssn .'],
    [`{"who":"${EMAIL}","n":1}`, '{"who":"[redacted:email]","n":1}'],
    ['plain text, 1 e-mail', 'plain text, 1 e-mail'],
    ['from 192.168.0.1', 'from 192.168.0.1'],
  ]) {
    const { sent: got, isError } = await call('read', { text: given })
    assert.equal(isError, false)
    assert.equal((JSON.parse(got?.replace(/\}?$/, '}') ?? '{}') as { text?: string }).text, sent)
  }
})

test('a denied class never leaves, neither plain nor encoded; the refusal names the class and nothing else', async () => {
  verifies('play3.redaction')
  for (const args of [
    { text: `card ${CARD}` },
    { text: `card ${CARD.replace(/(\d{4})(?=\d)/g, '$1 ')}` },
    { count: Number(CARD) },
    { text: JSON.stringify({ deep: [{ card: CARD }] }) },
    { text: `see ${Buffer.from(`the card is ${CARD}`).toString('base64')}` },
    {
      text: JSON.stringify({ x: JSON.stringify({ y: Buffer.from(`card=${CARD} now`).toString('base64') }) }),
    },
  ]) {
    const { sent, told, isError } = await call('write', args)
    assert.deepEqual([sent, isError], [undefined, true], JSON.stringify(args))
    assert.match(told, /^CG_DLP_ARGUMENT: .*\(credit_card\)/)
    assert.ok(!told.includes('4012'))
  }
  const { isError } = await call('write', { text: 'card 4012888888881882', count: 4_012_888 })
  assert.equal(isError, false)
})

test('what the host reads is what may be read, in every member alike', async () => {
  verifies('play3.redaction')
  const key = `${EMAIL}`
  const { result } = await answered({
    content: [
      { type: 'text', text: `from ${EMAIL} at 10.1.2.3 to GB82WEST12345698765432` },
      { type: 'resource', resource: { uri: 'note://1', text: `mail: ${EMAIL}` } },
    ],
    structuredContent: { mail: EMAIL, [key]: [EMAIL] },
    _meta: { note: EMAIL },
  })
  const all = JSON.stringify(result)
  assert.ok(!all.includes(EMAIL) && !all.includes('10.1.2.3') && !all.includes('GB82WEST'), all)
  assert.match(all, /from \[redacted:email\] at \*\*\.\*\.\*\.\* to \[hash:iban:[0-9a-f]{12}\]/)
  assert.deepEqual(result['structuredContent'], {
    mail: '[redacted:email]',
    '[redacted:email]': ['[redacted:email]'],
  })
})

test('equal values have equal hashes, other values and other tenants others', async () => {
  verifies('play3.redaction')
  const hashOf = async (iban: string): Promise<string> =>
    /\[hash:iban:[0-9a-f]{12}\]/.exec((await answered(content(iban))).told)?.[0] ?? ''
  const one = await hashOf('GB82WEST12345698765432')
  assert.notEqual(one, '')
  assert.equal(await hashOf('GB82WEST12345698765432'), one)
  assert.notEqual(await hashOf('DE89370400440532013000'), one)
})

test('numbers that no double holds come through a redacted answer as they were', async () => {
  verifies('play3.redaction')
  const { body } = await answered(
    `{"content":[{"type":"text","text":"${EMAIL}"}],"structuredContent":{"n":12345678901234567890.5,"e":1E400}}`,
  )
  assert.match(body, /"n":12345678901234567890\.5,"e":1E400/)
  assert.match(body, /\[redacted:email\]/)
})

test('a denied class in an answer withholds the whole of it, and says that the call ran', async () => {
  verifies('play3.redaction')
  const { told, isError, body } = await answered(content('ssn 123-45-6789'), 'write')
  assert.equal(isError, true)
  assert.match(told, /^CG_DLP_RESULT: the call ran, and its answer is withheld: .*\(ssn\)/)
  assert.ok(!body.includes('6789'))
})

test('secrets, cards and hidden text are taken out of answers where nothing is configured; other data passes', async (t) => {
  verifies('play3.redaction')
  verifies('play7.excess-exposure')
  const own = await start(t, '{}')
  const { told } = await answered(content(`card ${CARD} of ${EMAIL}${HIDDEN}, done`), 'read', own)
  assert.equal(told, `card [redacted:credit_card] of ${EMAIL}, done`)
  server.says = { result: '{"content":[]}' }
  const { sent } = await call('write', { text: `card ${CARD}` }, own)
  assert.match(sent ?? '', new RegExp(CARD))
})

test('what was redacted is not written back over the data that it stands for', async () => {
  verifies('play3.redaction.write-back')
  for (const placeholder of ['[redacted:email]', '[hash:iban:0123456789ab]', '[redacted:secret.github]']) {
    const { sent, told } = await call('write', { text: `mail = ${placeholder}` })
    assert.equal(sent, undefined)
    assert.match(told, /^CG_DLP_PLACEHOLDER/)
  }
  server.says = { result: '{"content":[]}' }
  assert.equal((await call('read', { text: 'find [redacted:email]' })).isError, false)
  assert.equal((await call('write', { text: 'a [redacted] text, [hash: it]' })).isError, false)
})

test('arguments and answers still fit the schemas of the tool, or the call is refused', async () => {
  verifies('play3.redaction.schema')
  const { sent, told } = await call('read', { short: 'x@example.com' })
  assert.equal(sent?.includes('redacted'), true, told)
  const long = await call('read', { short: 'pre1 x@example.com' })
  assert.deepEqual([long.sent, long.told.slice(0, 13)], [undefined, 'CG_DLP_SCHEMA'])
  const fits = await answered({ ...content(EMAIL), structuredContent: { mail: EMAIL, n: 1 } }, 'read_typed')
  assert.deepEqual(fits.result['structuredContent'], { mail: '[redacted:email]', n: 1 })
  const breaks = await answered(
    { ...content('x'), structuredContent: { mail: `abcde ${EMAIL}` } },
    'read_typed',
  )
  assert.match(breaks.told, /^CG_DLP_SCHEMA: the call ran/)
})

test('what a schema gives a type or a format keeps it, and a reader of the text sees what is missing', async () => {
  verifies('play3.redaction.schema')
  const said = {
    mail: EMAIL,
    from: '10.1.2.3',
    page: 'https://ada:x7Lk29dpQ@h.example/a',
    card: Number(CARD),
  }
  const { result } = await answered(
    { ...content(JSON.stringify(said)), structuredContent: { ...said, note: `for ${EMAIL}` } },
    'read_formats',
  )
  assert.deepEqual(result['structuredContent'], {
    mail: 'redacted@redacted.invalid',
    from: '192.0.2.0',
    page: 'https://redacted.invalid/',
    card: 0,
    note: 'for [redacted:email]',
  })
  const [{ text: shown = '' } = {}] = result['content'] as { text?: string }[]
  assert.match(shown, /"mail":"\[redacted:email\]".*"card":"\[redacted:credit_card\]"/)
  const clean = { mail: 'none', from: 'none', card: 7 }
  const untouched = await answered({ ...content('x'), structuredContent: clean }, 'read_formats')
  assert.deepEqual(untouched.result['structuredContent'], clean)
})

test('under observe everything passes, and the record says what would have been done', async (t) => {
  verifies('play3.redaction.observe')
  const own = await start(
    t,
    '{ mode: observe, arguments: { credit_card: deny }, results: { email: placeholder } }',
  )
  server.says = { result: JSON.stringify(content(EMAIL)) }
  const { told, sent } = await call('write', { text: `card ${CARD}` }, own)
  assert.equal(told, EMAIL)
  assert.match(sent ?? '', new RegExp(CARD))
  const outcome = (await own.records()).map(({ record }) => record).findLast(({ kind }) => kind === 'outcome')
  assert.ok(outcome?.kind === 'outcome')
  assert.deepEqual(outcome.found, {
    arguments: { credit_card: 1 },
    places: ['arguments /text credit_card', 'results /content/0/text email'],
    result: { email: 1 },
  })
  assert.deepEqual(outcome.decision?.observed, [
    '(dlp: deny credit_card in the argument)',
    '(dlp: placeholder email in the result)',
  ])
})

test('records count what was found and hold none of it, and neither does anything else below the state folder', async () => {
  verifies('play3.redaction.not-recorded')
  await answered(content(`two: ${EMAIL} and bob@example.org`))
  const outcome = (await gate.records())
    .map(({ record }) => record)
    .findLast(({ kind }) => kind === 'outcome')
  assert.ok(outcome?.kind === 'outcome')
  assert.deepEqual(outcome.found, { result: { email: 2 }, places: ['results /content/0/text email'] })
  const kept = readdirSync(gate.state, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'))
  for (const seeded of [CARD, EMAIL, 'bob@example.org', 'GB82WEST12345698765432', '123-45-6789'])
    assert.ok(!kept.some((each) => each.includes(seeded)) && !gate.stderr.includes(seeded), seeded)
  assert.equal((await gate.verify()).ok, true)
})
