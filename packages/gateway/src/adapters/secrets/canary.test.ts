import assert from 'node:assert/strict'
import { chmodSync } from 'node:fs'
import { test } from 'node:test'
import { inspect } from 'node:util'
import type { Secret, SecretUnavailable } from '../../ports/secrets.ts'
import { benchOf, serve } from './testing/bench.ts'
import { verifies } from '../../testing/verifies.ts'

const CANARY = 'canary-9d41c7'

/** All the ways by which a value gets into logs, spans, evidence and `--json`. */
function printed(value: Secret | SecretUnavailable): string {
  return [
    `${String(value)}`,
    JSON.stringify({ value }),
    inspect(value, { depth: 9, showHidden: true }),
    inspect({ list: [value] }, { depth: 9, customInspect: false, showHidden: true }),
    value instanceof Error ? `${value.message} ${value.stack ?? ''} ${inspect(value.cause)}` : '',
    JSON.stringify(Object.getOwnPropertyNames(value)),
  ].join('\n')
}

test('a secret shows in nothing that is printed: values, and the error of every way to fail with it at hand', async (t) => {
  verifies('secrets.never-printed')
  // Each failure has the canary in reach: in the file, the output, the arguments, the body, a header or a nested file.
  const origin = await serve(t, (request, response) => {
    const path = `${request.url ?? ''}${String(request.headers['x-amz-target'] ?? '')}`
    const status = Number(/s(\d{3})/.exec(path)?.[1] ?? 200)
    response.setHeader('x-canary', CANARY).setHeader('retry-after', CANARY)
    if (path.includes('packed')) response.setHeader('content-encoding', CANARY)
    if (path.includes('garbled')) {
      response.socket?.end(`${CANARY}\r\n\r\n`)
      return
    }
    const body = path.includes('html')
      ? `<html>${CANARY}`
      : JSON.stringify({ __type: CANARY, errors: [CANARY], data: { data: { key: { canary: CANARY } } } })
    response.writeHead(status, status === 307 ? { location: `/${CANARY}` } : {}).end(body)
  })
  const { put, read, failure, secrets } = benchOf(t, {
    programMs: 300,
    environment: { PATH: process.env['PATH'], K: CANARY },
  })
  put('good', CANARY)
  put('token', CANARY)
  put('spaced', `${CANARY} ${CANARY}`)
  put('binary', Buffer.concat([Buffer.from(CANARY), Buffer.from([0xff])]))
  put('long', CANARY.repeat(10_000))
  chmodSync(put('open', CANARY), 0o644)
  put('keys', `[default]\naws_access_key_id = ${CANARY}\naws_secret_access_key = ${CANARY}\n`)
  put('half', `[default]\naws_secret_access_key = ${CANARY}\n${CANARY}\n`)
  put('lib', CANARY)

  for (const text of ['file:good', 'env:K', `exec:["printf","${CANARY}"]`]) {
    const secret = await read(text)
    assert.equal(secret.reveal(), CANARY)
    assert.ok(!printed(secret).includes(CANARY), text)
  }

  const vault = (path: string, token = 'token', field = 'key') =>
    `vault:${origin}/v1/secret/data/${path}?token=file:${token}#${field}`
  const awssm = (keys: string) => `awssm:eu-west-1/x?credentials=file:${keys}&endpoint=${origin}`
  const failures = [
    'file:binary',
    'file:long',
    'file:open',
    'file:good/x',
    `exec:["sh","-c","echo ${CANARY}; echo ${CANARY} >&2; exit 3"]`,
    `exec:["sh","-c","echo ${CANARY}; sleep 9"]`,
    `exec:["sh","-c","yes ${CANARY}"]`,
    `exec:["printf","${CANARY}\\\\377"]`,
    `exec:["/nowhere","${CANARY}"]`,
    ...[301, 307, 400, 403, 404, 429, 500, 503].map((status) => vault(`s${status}`)),
    ...['html', 'packed', 'garbled', 'shape'].map((path) => vault(path)),
    vault('shape', 'token', 'absent'),
    vault('shape', 'spaced'),
    vault('shape', 'open'),
    awssm('keys'),
    awssm('half'),
    awssm('open'),
    `awskms:eu-west-1/alias/x:YWJj?credentials=file:keys&endpoint=${origin}`,
    'pkcs11:token=t;object=o;type=data?module-path=/nowhere.so&pin-source=file:good',
  ]
  for (const text of failures) {
    const error = await failure(text)
    assert.ok(!printed(error).includes(CANARY), `${text}\n${printed(error)}`)
  }
  assert.ok(!inspect(secrets, { depth: 9, showHidden: true }).includes(CANARY))
})
