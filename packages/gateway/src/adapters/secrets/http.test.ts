import assert from 'node:assert/strict'
import type { lookup } from 'node:dns'
import { createServer } from 'node:https'
import { once } from 'node:events'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { makeAuthority, makeLeaf } from '../certs/x509.ts'
import type { SecretTls } from './http.ts'
import { SecretHttp } from './http.ts'
import { serve } from './testing/bench.ts'
import { verifies } from '../../testing/verifies.ts'

/** A resolver that answers with given addresses, as node:dns does with `all`. */
const answering = (...addresses: string[]) =>
  ((_: string, __: object, done: (error: null, found: object[]) => void) =>
    done(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    )) as unknown as typeof lookup

function client(t: TestContext, resolve: typeof lookup, tls?: SecretTls) {
  const http = new SecretHttp({ tls, timeoutMs: 2_000, now: Date.now, resolve })
  t.after(() => http.close())
  return http
}

test('a name that leads to a metadata address is refused when it is resolved, one that leads elsewhere is asked', async (t) => {
  verifies('secrets.no-metadata')
  const port = new URL(await serve(t, (_, response) => response.end('{"a":1}'))).port
  const ask = (resolve: typeof lookup) =>
    client(t, resolve).ask({
      label: 'vault:x',
      url: new URL(`http://vault.example:${port}/v1/a`),
      method: 'GET',
      headers: {},
    })
  for (const addresses of [
    ['169.254.169.254'],
    ['127.0.0.1', 'fd00:ec2::254'],
    ['::ffff:169.254.169.254'],
    [],
  ]) {
    await assert.rejects(
      ask(answering(...addresses)),
      /`vault:x` cannot be reached: its name leads to a link-local or metadata address, or to none/,
    )
  }
  assert.deepEqual((await ask(answering('127.0.0.1'))).body, { a: 1 })
})

test('after close nothing is asked, not even of an origin that was never seen', async (t) => {
  const origin = await serve(t, (_, response) => response.end('{}'))
  const http = client(t, answering('127.0.0.1'))
  await http.close()
  const asked = http.ask({ label: 'vault:x', url: new URL(origin), method: 'GET', headers: {} })
  await assert.rejects(asked, /cannot be reached: UND_ERR_DESTROYED/)
})

test('over https the store is believed by the given authority alone, and sees the client certificate', async (t) => {
  const [from, to] = [Date.now() - 60_000, Date.now() + 3_600_000]
  const authority = await makeAuthority('secrets test', from, to)
  const leaf = async (kind: 'server' | 'client', name: string) =>
    makeLeaf(authority, { name, kind, dns: [name], ips: [], uris: [], notBefore: from, notAfter: to })
  const [server, gate] = [await leaf('server', 'vault.example'), await leaf('client', 'gate.example')]
  const store = createServer(
    {
      key: server.key,
      cert: server.certificate,
      ca: authority.certificate,
      requestCert: true,
      rejectUnauthorized: true,
    },
    (_, response) => response.end('{"a":1}'),
  ).listen(0, '127.0.0.1')
  await once(store, 'listening')
  t.after(() => store.close().closeAllConnections())
  const address = store.address()
  assert.ok(typeof address === 'object' && address !== null)
  const ask = (tls: SecretTls, host = 'vault.example') =>
    client(t, answering('127.0.0.1'), tls).ask({
      label: 'vault:x',
      url: new URL(`https://${host}:${address.port}/v1/a`),
      method: 'GET',
      headers: {},
    })
  const full = { ca: authority.certificate, cert: gate.certificate, key: gate.key }
  assert.deepEqual((await ask(full)).body, { a: 1 })
  await assert.rejects(
    ask({ cert: gate.certificate, key: gate.key }),
    /cannot be reached: [A-Z_]*(?:CERT|ISSUER|CHAIN|LEAF)[A-Z_]*$/,
  )
  await assert.rejects(ask(full, 'other.example'), /cannot be reached: ERR_TLS_CERT_ALTNAME_INVALID/)
  await assert.rejects(ask({ ca: authority.certificate }), /cannot be reached: /)
})
