import assert from 'node:assert/strict'
import type { lookup } from 'node:dns'
import { test } from 'node:test'
import { verifies } from '../../testing/verifies.ts'
import { guardedLookup, mayConnect } from './guarded-lookup.ts'
import { createUpstream } from './index.ts'

test('a server is reached at public addresses and in its own private ranges, at metadata addresses never', () => {
  verifies('play3.ssrf.upstream')
  const rows: readonly [string, string[], boolean][] = [
    ['93.184.215.14', [], true],
    ['10.1.2.3', [], false],
    ['10.1.2.3', ['10.1.0.0/16'], true],
    ['10.2.2.3', ['10.1.0.0/16'], false],
    ['127.0.0.1', [], false],
    ['127.0.0.1', ['127.0.0.0/8'], true],
    ['::1', ['::1/128'], true],
    ['169.254.169.254', ['169.254.0.0/16'], false],
    ['::ffff:169.254.169.254', ['0.0.0.0/0', '::/0'], false],
    ['fd00:ec2::254', ['fc00::/7'], false],
  ]
  for (const [address, network, expected] of rows)
    assert.equal(mayConnect(address, network), expected, address)
})

/** A resolver that answers with given addresses, as node:dns does with `all`. */
const answering = (...addresses: string[]) =>
  ((_: string, __: object, done: (error: null, found: object[]) => void) =>
    done(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    )) as unknown as typeof lookup

const ask = (resolve: typeof lookup, network: string[], all: boolean) =>
  new Promise<unknown>((done, fail) =>
    guardedLookup('crm', network, resolve)('crm.example', { all }, (error, found) =>
      error ? fail(error) : done(found),
    ),
  )

test('a name is judged by the addresses it resolves to, each time; one forbidden address refuses all', async () => {
  assert.equal(await ask(answering('93.184.215.14'), [], false), '93.184.215.14')
  assert.deepEqual(await ask(answering('93.184.215.14'), [], true), [{ address: '93.184.215.14', family: 4 }])
  await assert.rejects(
    ask(answering('93.184.215.14', '10.0.0.1'), [], true),
    /resolves to `10\.0\.0\.1`, which is not in `servers\.crm\.network`/,
  )
  assert.equal(await ask(answering('10.0.0.1'), ['10.0.0.0/8'], false), '10.0.0.1')
  await assert.rejects(ask(answering(), [], false), /to no address/)
})

test('a URL with a literal address outside the network is refused when the adapter is made', () => {
  const make = (url: string, network: string[]) => () =>
    createUpstream({ servers: { x: { transport: 'http', url, network } } })
  assert.throws(make('http://127.0.0.1:9/mcp', []), /servers\.x\.network/)
  assert.throws(make('http://[::ffff:169.254.169.254]/mcp', ['0.0.0.0/0']), /servers\.x\.network/)
  assert.doesNotThrow(make('http://127.0.0.1:9/mcp', ['127.0.0.0/8']))
})
