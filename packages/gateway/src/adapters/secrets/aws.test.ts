import assert from 'node:assert/strict'
import type { RequestListener } from 'node:http'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type { AwsService } from './testing/aws-service.ts'
import { awsService, signingKey } from './testing/aws-service.ts'
import { benchOf, serve } from './testing/bench.ts'
import { signRequest } from './sigv4.ts'

const KEYS = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' }
const NOW = Date.UTC(2026, 0, 2, 3, 4, 5)
const CIPHERTEXT = Buffer.from('a ciphertext').toString('base64')

function credentials(keys: { accessKeyId: string; secretAccessKey: string; sessionToken?: string }): string {
  const { accessKeyId, secretAccessKey, sessionToken } = keys
  const session = sessionToken === undefined ? '' : `aws_session_token = ${sessionToken}\n`
  return `# made by a test\n[other]\naws_access_key_id = x\n\n[default]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key=${secretAccessKey}\n${session}`
}

/** What both services answer; each operation checks its question. */
function answer(target: string, question: unknown): ReturnType<AwsService['answer']> {
  const asked = JSON.stringify(question)
  if (target === 'TrentService.Decrypt') {
    if (asked !== JSON.stringify({ KeyId: 'alias/gate', CiphertextBlob: CIPHERTEXT })) {
      return { type: 'com.amazonaws.kms#NotFoundException', body: {} }
    }
    return { body: { KeyId: 'arn:k', Plaintext: Buffer.from('from kms').toString('base64') } }
  }
  assert.equal(target, 'secretsmanager.GetSecretValue')
  const secrets = new Map<string, unknown>([
    ['crm', { Name: 'crm', SecretString: 'the key' }],
    ['prod/crm', { SecretString: '{"user":"u","password":"the password","port":1}' }],
    ['binary', { SecretBinary: Buffer.from('bytes').toString('base64') }],
    ['raw', { SecretBinary: Buffer.from([0xff]).toString('base64') }],
    ['broken', { SecretBinary: '%%%' }],
    ['nothing', {}],
    ['empty', { SecretString: '' }],
  ])
  for (const [name, body] of secrets) if (asked === JSON.stringify({ SecretId: name })) return { body }
  return { type: 'ResourceNotFoundException', body: { Message: 'hunter2' } }
}

async function aws(t: TestContext, over: Partial<AwsService> = {}, listener?: RequestListener) {
  const service: AwsService = { region: 'eu-west-1', ...KEYS, now: () => NOW, answer, ...over }
  const origin = await serve(t, listener ?? awsService(service))
  const bench = benchOf(t, { now: () => NOW })
  bench.put('aws', credentials(KEYS))
  const options = `credentials=file:aws&endpoint=${origin}`
  return {
    ...bench,
    origin,
    secret: (name: string, member = '') => `awssm:eu-west-1/${name}?${options}${member}`,
    kms: (key: string, ciphertext = CIPHERTEXT) => `awskms:eu-west-1/${key}:${ciphertext}?${options}`,
  }
}

test('the fixture derives keys as the published example does', () => {
  assert.equal(
    signingKey(KEYS.secretAccessKey, '20120215', 'us-east-1', 'iam').toString('hex'),
    'f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d',
  )
})

test('a secret comes whole, as bytes, or by its member', async (t) => {
  const { value, secret } = await aws(t)
  assert.equal(await value(secret('crm')), 'the key')
  assert.equal(await value(secret('binary')), 'bytes')
  assert.equal(await value(secret('prod/crm', '#password')), 'the password')
})

test('a ciphertext comes back opened, under the key that the reference names alone', async (t) => {
  const { value, failure, kms } = await aws(t)
  assert.equal(await value(kms('alias/gate')), 'from kms')
  assert.match(
    (await failure(kms('alias/other'))).message,
    /answered 400: NotFoundException, no key has this id/,
  )
})

test('temporary credentials sign with their session token; a profile other than the first is found by its name', async (t) => {
  const sessionToken = 'FwoGZXIvYXdzE+/=='
  const { put, value, origin, failure, secret } = await aws(t, { sessionToken })
  put('session', credentials({ ...KEYS, sessionToken }).replace('[default]', '[ gate ] ; ours'))
  assert.equal(
    await value(`awssm:eu-west-1/crm?credentials=file:session&profile=gate&endpoint=${origin}`),
    'the key',
  )
  assert.match(
    (await failure(secret('crm'))).message,
    /UnrecognizedClientException, .* lacks its session token/,
  )
})

test('a signature by another key, for another region, body or header is refused by the fixture', async (t) => {
  const { put, failure, origin, secret, value } = await aws(t)
  put('wrong', credentials({ ...KEYS, secretAccessKey: 'another' }))
  put('unknown', credentials({ ...KEYS, accessKeyId: 'AKIDUNKNOWN' }))
  const rows: readonly [string, RegExp][] = [
    [
      `awssm:eu-west-1/crm?credentials=file:wrong&endpoint=${origin}`,
      /InvalidSignatureException, the secret access key/,
    ],
    [`awssm:us-east-1/crm?credentials=file:aws&endpoint=${origin}`, /InvalidSignatureException/],
    [`awssm:eu-west-1/crm?credentials=file:unknown&endpoint=${origin}`, /UnrecognizedClientException/],
  ]
  for (const [text, says] of rows) assert.match((await failure(text)).message, says)
  assert.equal(await value(secret('crm')), 'the key')

  const { host } = new URL(origin)
  const request = { region: 'eu-west-1', service: 'secretsmanager', target: 'secretsmanager.GetSecretValue' }
  const body = '{"SecretId":"crm"}'
  const headers = signRequest({ ...request, host, body, now: NOW }, { ...KEYS, sessionToken: undefined })
  const status = async (sent: string, over: Readonly<Record<string, string>> = {}) =>
    (await fetch(origin, { method: 'POST', headers: { ...headers, ...over }, body: sent })).status
  assert.equal(await status(body), 200)
  assert.equal(await status('{"SecretId":"crn"}'), 400)
  assert.equal(await status(body, { 'x-amz-target': 'secretsmanager.DeleteSecret' }), 400)
  assert.equal(await status(body, { 'x-amz-more': 'unsigned' }), 400)
})

test('what an error type means is told, and whether the source is down or says no', async (t) => {
  let type = ''
  let status = 400
  const { failure, secret } = await aws(t, { answer: () => ({ type, status, body: { message: 'hunter2' } }) })
  const rows: readonly [string, number, 'down' | 'refused', RegExp][] = [
    ['ThrottlingException', 400, 'down', /ThrottlingException, too many requests/],
    ['AccessDeniedException', 400, 'refused', /AccessDeniedException, the policy of these credentials/],
    ['ExpiredTokenException', 400, 'refused', /the session token has expired/],
    ['InternalServiceError', 500, 'down', /answered 500: InternalServiceError/],
    ['InvalidSignatureException', 400, 'refused', /does not belong to the access key/],
    ['hunter2', 400, 'refused', /answered 400: an error of no known type/],
    ['hunter2', 502, 'down', /answered 502: the service is in trouble/],
    ['hunter2', 429, 'down', /answered 429: too many requests/],
    ['hunter2', 301, 'down', /answered 301: redirects are not followed; check `endpoint`/],
  ]
  for (const [at, row] of rows.entries()) {
    ;[type, status] = row
    const { kind, message } = await failure(secret(`s${at}`))
    assert.match(message, row[3])
    assert.equal(kind, row[2], message)
    assert.doesNotMatch(message, /hunter2/)
  }
})

test('a clock more than five minutes off is named with its distance, one within is served', async (t) => {
  const rows: readonly [number, RegExp][] = [
    [-301_000, /our clock is 301 s ahead of the service's/],
    [3_600_000, /our clock is 3600 s behind the service's, .* set it by NTP/],
  ]
  for (const [skewMs, says] of rows) {
    const { failure, secret } = await aws(t, { now: () => NOW + skewMs })
    const { kind, message } = await failure(secret('crm'))
    assert.match(message, says)
    assert.equal(kind, 'down')
  }
  const { value, secret } = await aws(t, { now: () => NOW + 300_000 })
  assert.equal(await value(secret('crm')), 'the key')
})

test('an answer without a value, no JSON, a member that is not there and a file without keys are refused', async (t) => {
  const { failure, secret, put, origin } = await aws(t)
  put('keyless', '[default]\naws_access_key_id = hunter2\n')
  put('odd', credentials({ ...KEYS, secretAccessKey: 'ключ' }))
  const rows: readonly [string, RegExp][] = [
    [secret('absent'), /ResourceNotFoundException, no secret has this name/],
    [secret('nothing'), /answered 200 without a value/],
    [secret('broken'), /answered 200 without a value/],
    [secret('raw'), /not UTF-8 text/],
    [secret('empty'), /is empty/],
    [secret('crm', '#password'), /no JSON object with a text under this name/],
    [secret('prod/crm', '#port'), /no JSON object with a text/],
    [secret('prod/crm', '#toString'), /no JSON object with a text/],
    [
      `awssm:eu-west-1/crm?credentials=file:keyless&endpoint=${origin}`,
      /no `aws_secret_access_key` in section `\[default\]`/,
    ],
    [`awssm:eu-west-1/crm?credentials=file:odd&endpoint=${origin}`, /signs that no header carries/],
    [`awssm:eu-west-1/crm?credentials=file:aws&profile=absent&endpoint=${origin}`, /section `\[absent\]`/],
  ]
  for (const [text, says] of rows) {
    const { message } = await failure(text)
    assert.match(message, says, text)
    assert.doesNotMatch(message, /hunter2/)
  }
  const plain = await aws(t, {}, (_, response) => response.end('hunter2'))
  assert.match((await plain.failure(plain.secret('crm'))).message, /answered what is no JSON$/)
})
