import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseClaims } from './claims.ts'
import { MissBudget } from './miss-budget.ts'
import { principalOf } from './principal.ts'
import { acceptedAudiences, canonicalResource } from './resource.ts'
import { shown } from './shown.ts'
import { GATE, NOW_S } from './testing/bench.ts'
import { TokenCache, tokenKey } from './token-cache.ts'
import type { VerifiedToken } from './token-cache.ts'

test('a peer spends its burst, earns it back per second, and waits for what the refusal says', () => {
  const budget = new MissBudget({ perSecond: 2, burst: 4, maxPeers: 10 })
  const now = NOW_S * 1_000
  const spend = (at: number): number => budget.take('192.0.2.1', at)
  assert.deepEqual(
    [1, 2, 3, 4, 5].map(() => spend(now)),
    [0, 0, 0, 0, 1],
  )
  assert.equal(spend(now + 499), 1)
  assert.equal(spend(now + 500), 0)
  assert.equal(spend(now - 60_000), 1)
  assert.deepEqual(
    [1, 2, 3, 4, 5].map(() => spend(now + 3_600_000)),
    [0, 0, 0, 0, 1],
  )
  budget.refund('192.0.2.1')
  assert.equal(spend(now + 3_600_000), 0)
  for (let i = 0; i < 9; i++) budget.refund('192.0.2.1')
  assert.deepEqual(
    [1, 2, 3, 4, 5].map(() => spend(now + 3_600_000)),
    [0, 0, 0, 0, 1],
  )
  assert.equal(new MissBudget({ perSecond: 1, burst: 1, maxPeers: 1 }).take('x', now), 0)
})

test('addresses of one IPv6 /64 share a budget, those of two do not; a mapped IPv4 is that IPv4', () => {
  const now = NOW_S * 1_000
  const shares = (a: string, b: string): boolean => {
    const budget = new MissBudget({ perSecond: 1, burst: 1, maxPeers: 10 })
    budget.take(a, now)
    return budget.take(b, now) > 0
  }
  assert.ok(shares('2001:db8:1:2::1', '2001:DB8:1:2:ffff::2'))
  assert.ok(shares('2001:db8::1', '2001:0db8:0:0:5::2'))
  assert.ok(shares('::1', '::2'))
  assert.ok(shares('fe80::1%eth0', 'fe80::2'))
  assert.ok(shares('::ffff:192.0.2.1', '192.0.2.1'))
  assert.ok(!shares('2001:db8:1:2::1', '2001:db8:1:3::1'))
  assert.ok(!shares('::ffff:192.0.2.1', '::ffff:192.0.2.2'))
  assert.ok(!shares('192.0.2.1', '192.0.2.2'))
})

test('the table of peers is bounded and forgets the one not seen for longest', () => {
  const budget = new MissBudget({ perSecond: 1, burst: 1, maxPeers: 3 })
  for (let i = 0; i < 1_000; i++) {
    budget.take('192.0.2.1', NOW_S * 1_000)
    budget.take(`198.51.100.${i}`, NOW_S * 1_000)
    assert.ok(budget.peers <= 3)
  }
  assert.equal(budget.take('192.0.2.1', NOW_S * 1_000), 1)
})

test('the token cache is bounded, keeps what is used and drops entries of an older generation', () => {
  const cache = new TokenCache(3)
  for (const name of ['a', 'b', 'c']) cache.set(name, entry(1))
  assert.ok(cache.get('a', () => 1))
  cache.set('d', entry(1))
  assert.equal(cache.size, 3)
  assert.equal(
    cache.get('b', () => 1),
    undefined,
  )
  assert.ok(cache.get('a', () => 1))
  assert.equal(
    cache.get('a', () => 2),
    undefined,
  )
  assert.equal(cache.size, 2)
  assert.notEqual(tokenKey('a.b.c'), tokenKey('a.b.d'))
})

function entry(generation: number): VerifiedToken {
  const claims = parseClaims({ iss: 'i', sub: 's', aud: GATE, iat: 1, exp: 2, nbf: 1, jti: 'j' })
  const principal = principalOf(claims, 'default', {})
  return {
    claims,
    principal,
    tuple: '',
    binding: '',
    generation,
    audiences: [],
    resource: '',
    claimed: false,
  }
}

test('a resource is compared by lower-case scheme and host, without trailing slash, the path as it is', () => {
  assert.equal(canonicalResource('HTTPS://Gate.Example:8443/mcp/CRM/'), 'https://gate.example:8443/mcp/CRM')
  assert.equal(canonicalResource('https://gate.example/'), 'https://gate.example')
  assert.equal(canonicalResource('https://gate.example/a/../mcp'), 'https://gate.example/a/../mcp')
  for (const text of [
    'https://gate.example/mcp#x',
    'gate.example/mcp',
    '/mcp',
    'https://',
    'https://g/m cp',
    ' https://g/mcp',
    '',
  ]) {
    assert.equal(canonicalResource(text), undefined, text)
  }
  assert.deepEqual(acceptedAudiences(`${GATE}/crm`, 'crm'), [`${GATE}/crm`, GATE])
  assert.deepEqual(acceptedAudiences(GATE, undefined), [GATE])
  assert.deepEqual(acceptedAudiences(GATE, 'crm'), [GATE])
  assert.throws(() => acceptedAudiences('/mcp', undefined), TypeError)
})

test('a foreign value is shown cut, in backticks and without controls', () => {
  assert.equal(shown('a\u001b[31m`b\n\u202ec'), '`a?[31m?b??c`')
  assert.equal(shown('x'.repeat(101)), `\`${'x'.repeat(100)}...\``)
  assert.equal(shown(['a', 'b']), '`a, b`')
})
