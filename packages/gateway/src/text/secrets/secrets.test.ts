import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import * as fc from 'fast-check'
import { corpusRows } from '../../testing/corpora.ts'
import { verifies } from '../../testing/verifies.ts'
import { secretsIn } from './index.ts'

const found = (text: string): string[] =>
  secretsIn(text).map(({ class: name, start, end }) => `${name} ${text.slice(start, end)}`)

/** Signs as a machine would choose them, the same in every run; nothing here ever opened anything. */
function signs(alphabet: string, length: number): string {
  let state = length * 7919 + alphabet.length
  return Array.from({ length }, () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return alphabet[(state >>> 8) % alphabet.length]
  }).join('')
}
const HEX = '0123456789abcdef'
const UPPER = 'ABCDEFGHJKLMNPQRSTUVWXYZ234567'
const WORD = 'abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ0123456789'
const word = (length: number): string => signs(WORD, length)
const hex = (length: number): string => signs(HEX, length)
const uuid = `${hex(8)}-${signs(HEX, 4)}-${signs(HEX, 4)}-${signs(HEX, 4)}-${hex(12)}`
const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const jwt = `${part({ alg: 'RS256', typ: 'JWT' })}.${part({ sub: 'ada', exp: 1_800_000_000 })}.${word(64)}`

test('tokens with a form of their own are found wherever they stand, and what only looks like them is not', () => {
  verifies('play3.redaction.secrets')
  for (const [kind, token] of [
    ['github', `ghp_${word(36)}`],
    ['github', `github_pat_${word(22)}_${word(59)}`],
    ['gitlab', `glpat-${word(20)}`],
    ['aws', `AKIA${signs(UPPER, 16)}`],
    ['slack', `xoxb-${signs('123456789', 12)}-${signs('123456789', 13)}-${word(24)}`],
    ['stripe', `sk_live_${word(24)}`],
    ['npm', `npm_${word(36)}`],
    ['openai', `sk-proj-${word(74)}`],
    ['anthropic', `sk-ant-api03-${word(93)}AA`],
    ['huggingface', `hf_${word(34)}`],
    ['vault', `hvs.${word(95)}`],
    ['sendgrid', `SG.${word(22)}.${word(43)}`],
    ['digitalocean', `dop_v1_${hex(64)}`],
    ['azure', `${word(3)}8Q~${word(34)}`],
    ['terraform', `${word(14)}.atlasv1.${word(64)}`],
    ['telegram', `${signs('123456789', 9)}:AA${word(33)}`],
    ['mailchimp', `${hex(32)}-us12`],
    ['jwt', jwt],
  ] as const) {
    for (const text of [
      token,
      `see ${token}, please`,
      `{"a":"${token}"}`,
      `url?t=${token}&b=1`,
      `'${token}'`,
    ])
      assert.deepEqual(found(text), [`secret.${kind} ${token}`], text)
    const cut = token.slice(0, 16)
    assert.deepEqual(found(`see ${cut}, please`), [], `a part of it: ${cut}`)
    assert.deepEqual(found(`see x${token.slice(1).replaceAll(/[A-Za-z0-9]/g, 'x')}`), [], 'a stand-in')
  }
})

test('what is given to a name that says so is found; stand-ins, references and names of other things are not', () => {
  verifies('play3.redaction.secrets')
  const token = word(32)
  for (const [text, expected] of [
    [`API_KEY=${token}`, [`secret.generic ${token}`]],
    [`"client_secret": "${token}"`, [`secret.generic ${token}`]],
    [`const herokuKey = '${uuid}'`, [`secret.heroku ${uuid}`]],
    [`Authorization: Bearer ${token}`, [`secret.generic ${token}`]],
    [`<add key="DbPassword" value="x7!Lk-29dpQ" />`, ['secret.password x7!Lk-29dpQ']],
    ['db_password: "x7!Lk-29dpQ"', ['secret.password x7!Lk-29dpQ']],
    ['password := "correct horse"', []],
    [`postgres://app:x7Lk29dpQ@db.example/main`, ['secret.url_password x7Lk29dpQ']],
    ['https://url:8000/@other', []],
    [`curl -u admin:x7Lk29dpQ https://a.example`, ['secret.curl admin:x7Lk29dpQ']],
    ['curl -u "$USER:$PASS" https://a.example', []],
    [`sort -u a:x7Lk29dpQ`, []],
    ['API_KEY=${API_KEY}', []],
    ['api_key: <your key here>', []],
    [`api_key = os.environ["${word(12)}"]`, []],
    ['apiKey: "your-api-key-goes-here-123"', []],
    [`public_key = "${token}"`, []],
    [`credentialsId: '${uuid}'`, []],
    [`commit = "${hex(40)}"`, []],
    [`sha512-${signs(WORD, 86)}==`, []],
    ['secret_name: prod-db-main-01', []],
    ['the token expires: 2026-11-23T10:00:00', []],
    ['keyword: "Befund_P2"', []],
  ] as const)
    assert.deepEqual(found(text), expected, text)
})

test('a private key is found with its end, a public one and a certificate are not', () => {
  verifies('play3.redaction.secrets')
  const pem = (what: string): string =>
    `-----BEGIN ${what}-----\n${word(64)}\n${word(64)}\n${word(20)}==\n-----END ${what}-----`
  for (const what of ['PRIVATE KEY', 'RSA PRIVATE KEY', 'OPENSSH PRIVATE KEY', 'PGP PRIVATE KEY BLOCK'])
    assert.deepEqual(found(`a\n${pem(what)}\nb`), [`secret.private_key ${pem(what)}`])
  const inJson = JSON.stringify({ key: pem('EC PRIVATE KEY') })
  assert.deepEqual(
    secretsIn(inJson).map(({ class: name }) => name),
    ['secret.private_key'],
  )
  for (const what of ['PUBLIC KEY', 'CERTIFICATE']) assert.deepEqual(found(pem(what)), [])
  assert.deepEqual(found('-----BEGIN PRIVATE KEY----- ... -----END PRIVATE KEY-----'), [])
})

/** Share of the rows in which something is found. */
const share = (rows: readonly Record<string, unknown>[]): number =>
  rows.filter(({ text }) => secretsIn(String(text)).length > 0).length / rows.length

test('the corpora: most of what is secret is found, and little else', (t) => {
  verifies('play3.redaction.secrets')
  for (const [file, recall, wrong] of [
    ['gitleaks-rule-cases', 0.95, 0.05],
    ['detect-secrets-cases', 0.7, 0.1],
  ] as const) {
    const rows = corpusRows(t, `secrets/${file}.jsonl`)
    if (rows === undefined) return
    const hit = share(rows.filter((row) => row['is_secret'] === true))
    const wrongly = share(rows.filter((row) => row['is_secret'] !== true))
    t.diagnostic(`${file}: recall ${(hit * 100).toFixed(1)} %, false ${(wrongly * 100).toFixed(1)} %`)
    assert.ok(hit >= recall && wrongly <= wrong)
  }
})

test('texts that hold no secret are left alone: definitions, prose, personal data, our own pages', (t) => {
  verifies('play3.redaction.secrets')
  for (const file of [
    'prompt-injection/mcp-tool-definitions-benign.jsonl',
    'prompt-injection/cisco-remote-benign-tools.jsonl',
    'prompt-injection/bipia-contexts-benign.jsonl',
    'pii/presidio-synth-v2.jsonl',
  ]) {
    const rows = corpusRows(t, file)
    if (rows === undefined) return
    assert.ok(rows.length > 50)
    for (const row of rows) {
      const text = String(row['text'] ?? JSON.stringify(row))
      assert.deepEqual(found(text), [], file)
    }
  }
  const docs = fileURLToPath(new URL('../../../../../docs/', import.meta.url))
  const pages = readdirSync(docs).filter((name) => /\.(?:md|json)$/.test(name))
  assert.ok(pages.length > 5)
  for (const page of pages) assert.deepEqual(found(readFileSync(`${docs}${page}`, 'utf8')), [], page)
})

test('no text makes the search throw, and what it finds lies in the text, in order, and nothing over another', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      'password=',
      '"token": "',
      'ghp_',
      `ghp_${word(36)}`,
      'eyJ',
      `${jwt}`,
      '://a:b',
      '@h',
      'curl -u ',
      '-----BEGIN PRIVATE KEY-----',
      '-----END',
      'Q~',
      '.atlasv1.',
      ':AA',
      '=',
      ':',
      '${',
      '\\n',
      'value="',
    ),
    fc.string({ unit: 'binary', maxLength: 8 }),
    fc.base64String({ maxLength: 60 }),
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), (parts) => {
      const text = parts.join('')
      let last = 0
      for (const { class: name, start, end, score } of secretsIn(text)) {
        assert.match(name, /^secret\.[a-z0-9_]+$/)
        assert.ok(start >= last && end > start && end <= text.length && score > 0 && score <= 1)
        last = end
      }
    }),
    { numRuns: 3_000 },
  )
})
