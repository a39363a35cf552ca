import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import type { IncomingMessage, RequestListener } from 'node:http'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { gzipSync } from 'node:zlib'
import { benchOf, serve } from './testing/bench.ts'

const TOKEN = 'hvs.fixture-token'
const METADATA = { created_time: '2026-01-01T00:00:00Z', deletion_time: '', destroyed: false, version: 3 }

/** The read API of a Vault server, as its HTTP documentation publishes it: token, path and version are checked. */
function vaultServer(seen: IncomingMessage[] = []): RequestListener {
  return (request, response) => {
    seen.push(request)
    const say = (status: number, body: unknown) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    const url = new URL(request.url ?? '/', 'http://vault')
    if (request.headers['x-vault-token'] !== TOKEN) return say(403, { errors: ['permission denied'] })
    if (request.method !== 'GET') return say(405, { errors: ['unsupported operation'] })
    const fields = {
      key: url.searchParams.get('version') === '1' ? 'the old key' : 'the key',
      port: 5432,
      empty: '',
    }
    if (url.pathname === '/v1/secret/data/crm')
      return say(200, { data: { data: fields, metadata: METADATA } })
    if (url.pathname === '/v1/kv/crm') return say(200, { lease_duration: 2_764_800, data: fields })
    if (url.pathname === '/v1/secret/data/gone') {
      return say(404, {
        data: { data: null, metadata: { ...METADATA, deletion_time: '2026-02-01T00:00:00Z' } },
      })
    }
    return say(404, { errors: [] })
  }
}

async function vault(t: TestContext, listener: RequestListener = vaultServer(), httpMs = 5_000) {
  const bench = benchOf(t, { httpMs })
  bench.put('token', `${TOKEN}\n`)
  return { ...bench, origin: await serve(t, listener) }
}

test('both versions of the engine give the field, with token, namespace and version as the API wants them', async (t) => {
  const seen: IncomingMessage[] = []
  const { origin, value } = await vault(t, vaultServer(seen))
  assert.equal(await value(`vault:${origin}/v1/secret/data/crm?token=file:token#key`), 'the key')
  assert.equal(await value(`vault:${origin}/v1/kv/crm?kv=1&token=file:token#key`), 'the key')
  assert.equal(
    await value(`vault:${origin}/v1/secret/data/crm?version=1&namespace=team/a&token=file:token#key`),
    'the old key',
  )
  assert.equal(seen[0]?.headers['x-vault-namespace'], undefined)
  assert.equal(seen[2]?.headers['x-vault-namespace'], 'team/a')
  for (const { headers } of seen) {
    assert.equal(headers['x-vault-request'], 'true')
    assert.equal(headers['accept-encoding'], 'identity')
  }
})

test('a missing secret, field, right or engine each has its own message', async (t) => {
  const { origin, failure, put } = await vault(t)
  put('other', 'hvs.other')
  put('broken', 'two words')
  const rows: readonly [string, RegExp][] = [
    ['/v1/secret/data/absent?token=file:token#key', /absent#key` answered 404: no secret is at this path/],
    ['/v1/secret/data/gone?token=file:token#key', /answered 404: .* or it was deleted/],
    ['/v1/secret/data/crm?token=file:other#key', /answered 403: the token of `file:other` is not valid/],
    ['/v1/secret/data/crm?token=file:token#absent', /#absent` is a secret without this field/],
    ['/v1/secret/data/crm?token=file:token#toString', /without this field/],
    ['/v1/secret/data/crm?token=file:token#port', /#port` is not a text/],
    ['/v1/secret/data/crm?token=file:token#empty', /is empty/],
    ['/v1/kv/crm?token=file:token#key', /no secret of a version 2 engine; .* write `kv=1`/],
    ['/v1/secret/data/crm?token=file:broken#key', /`file:broken` is no Vault token/],
    ['/v1/secret/data/crm?token=file:absent#key', /`file:absent` cannot be read: ENOENT/],
  ]
  for (const [path, says] of rows) {
    const { kind, message } = await failure(`vault:${origin}${path}`)
    assert.match(message, says, path)
    assert.equal(kind, 'refused', path)
  }
})

test('a store in trouble is down and not gone: status, redirect, nonsense, shape, size, packing, silence', async (t) => {
  const { origin, failure } = await vault(
    t,
    (request, response) => {
      const path = request.url ?? ''
      if (path.includes('limit')) response.writeHead(429, { 'retry-after': '7' }).end('{}')
      else if (path.includes('dated'))
        response.writeHead(429, { 'retry-after': new Date(Date.now() + 9e9).toUTCString() }).end()
      else if (path.includes('sealed')) response.writeHead(503).end('{"errors":["Vault is sealed"]}')
      else if (path.includes('broken')) response.writeHead(500).end('{"errors":["hunter2"]}')
      else if (path.includes('moved')) response.writeHead(307, { location: '/v1/secret/data/crm' }).end()
      else if (path.includes('html')) response.end('<html>hunter2')
      else if (path.includes('large')) response.end(`{"data":"${'x'.repeat(2 ** 20)}"}`)
      else if (path.includes('packed'))
        response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('{}'))
      else if (path.includes('slow')) response.write(' ')
      else response.destroy()
    },
    200,
  )
  const rows: readonly [string, RegExp, number | undefined][] = [
    ['limit', /answered 429: too many requests/, 7_000],
    ['dated', /answered 429: too many requests/, 300_000],
    ['sealed', /answered 503: the store is sealed/, undefined],
    ['broken', /answered 500: the store is in trouble/, undefined],
    ['moved', /answered 307: redirects are not followed/, undefined],
    ['html', /answered what is no JSON/, undefined],
    ['large', /answered more than 1048576 bytes/, undefined],
    ['packed', /packed body/, undefined],
    ['slow', /did not answer within 200 ms/, undefined],
    ['cut', /cannot be reached: UND_ERR_SOCKET/, undefined],
  ]
  for (const [path, says, retryAfterMs] of rows) {
    const error = await failure(`vault:${origin}/v1/secret/data/${path}?token=file:token#key`)
    assert.match(error.message, says, path)
    assert.equal(error.kind, 'down', path)
    assert.equal(error.retryAfterMs, retryAfterMs, path)
    assert.doesNotMatch(error.message, /hunter2/)
  }
})

test('a 200 of the wrong shape is refused, whatever stands in the place of the data', async (t) => {
  let body: unknown
  const { origin, failure } = await vault(t, (_, response) => response.end(JSON.stringify(body)))
  const rows = [
    null,
    [],
    'text',
    {},
    { data: null },
    { data: [] },
    { data: { data: null } },
    { data: { data: 'x' } },
  ]
  for (const [at, row] of rows.entries()) {
    body = row
    const { message } = await failure(`vault:${origin}/v1/secret/data/${at}?token=file:token#key`)
    assert.match(message, /no secret of a version 2 engine/, JSON.stringify(row))
  }
})

test('a store that nobody listens at, or that speaks no HTTP, is named by the code alone', async (t) => {
  const { failure, put } = benchOf(t)
  put('token', TOKEN)
  const server = createServer((socket) => socket.resume().end('hunter2 hunter2\r\n\r\n')).listen(
    0,
    '127.0.0.1',
  )
  await once(server, 'listening')
  t.after(() => server.close())
  const { port } = server.address() as AddressInfo
  const text = `vault:http://127.0.0.1:${port}/v1/secret/data/crm?token=file:token#key`
  const raw = await failure(text)
  assert.match(raw.message, /cannot be reached: what answers there is no HTTP\/1\.1$/)
  server.close()
  await once(server, 'close')
  assert.match((await failure(`${text}2`)).message, /cannot be reached: ECONNREFUSED/)
})
