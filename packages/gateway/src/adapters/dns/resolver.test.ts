import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ResolverUnavailable } from '../../ports/resolver.ts'
import { type DnsAnswer, DnsServer } from '../../testing/dns-server.ts'
import { createDnsResolver } from './resolver.ts'

const NAMES: Readonly<Record<string, DnsAnswer>> = {
  'both.example': ['93.184.215.14', '2606:2800::1'],
  'old.example': ['93.184.215.14'],
  'new.example': ['2606:2800::1'],
  'mute.example': 'silence',
  'broken.example': 'failure',
}
const signal = new AbortController().signal

test('a name has all addresses of both families; one that does not exist has none; no answer is a fault', async (t) => {
  const dns = await DnsServer.start((name) => NAMES[name] ?? [])
  t.after(() => dns.close())
  const resolver = createDnsResolver({ servers: [dns.address], tryMs: 100 })
  const resolve = (name: string) => resolver.resolve(name, signal)
  assert.deepEqual(await resolve('both.example'), ['93.184.215.14', '2606:2800::1'])
  assert.deepEqual(await resolve('old.example'), ['93.184.215.14'])
  assert.deepEqual(await resolve('new.example'), ['2606:2800::1'])
  assert.deepEqual(await resolve('absent.example'), [])
  await assert.rejects(resolve('broken.example'), ResolverUnavailable)
  await assert.rejects(resolve('mute.example'), ResolverUnavailable)
})

test('a name is asked about once at a time, and a flood of names does not queue up', async (t) => {
  const dns = await DnsServer.start((name) => (name.startsWith('mute') ? 'silence' : ['93.184.215.14']))
  t.after(() => dns.close())
  const resolver = createDnsResolver({ servers: [dns.address], tryMs: 100 })
  await Promise.all(Array.from({ length: 50 }, () => resolver.resolve('one.example', signal)))
  assert.equal(dns.asked.length, 2)
  const flood = Array.from({ length: 300 }, (_, i) =>
    resolver.resolve(`mute${i}.example`, signal).catch((error: unknown) => error),
  )
  const last = await flood.at(-1)
  assert.ok(last instanceof ResolverUnavailable)
  assert.match(last.message, /256 names wait/)
  await Promise.all(flood)
  assert.deepEqual(await resolver.resolve('after.example', signal), ['93.184.215.14'])
})
