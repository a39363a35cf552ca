import assert from 'node:assert/strict'
import test from 'node:test'
import * as fc from 'fast-check'
import type { Json } from '../call/json.ts'
import { corpusRows } from '../testing/corpora.ts'
import { verifies } from '../testing/verifies.ts'
import { findUrls, MAX_URL_LENGTH, MAX_URLS } from './find-urls.ts'

function refused(url: unknown): boolean {
  const found = findUrls({ url: String(url) })
  return found.fault !== undefined || found.urls.some((facts) => facts.is_private)
}

/** CPU microseconds of one search, at least 5 ms so that noise is no ratio. */
function cost(text: string): number {
  const started = process.cpuUsage()
  findUrls({ url: text })
  const { user, system } = process.cpuUsage(started)
  return Math.max(user + system, 5_000)
}

const hosts = (value: Json): string[] => findUrls(value).urls.map((url) => url.hostname)

test('a URL is found whole, inside text, nested, and under members that name one', () => {
  assert.deepEqual(hosts({ a: ['x', { b: 'https://one.example/p?q#f' }] }), ['one.example'])
  assert.deepEqual(hosts('see https://one.example/a, then (http://two.example).'), [
    'one.example',
    'two.example',
  ])
  assert.deepEqual(hosts({ url: 'one.example/path' }), ['one.example'])
  assert.deepEqual(hosts({ callbackUrl: '//one.example/x' }), ['one.example'])
  assert.deepEqual(hosts({ host: 'db' }), ['db'])
  assert.deepEqual(hosts({ apiHost: '::1' }), ['::1'])
  assert.deepEqual(hosts({ endpoints: ['10.0.0.1:8080', '2130706433'] }), ['10.0.0.1', '127.0.0.1'])
  assert.deepEqual(hosts({ x: 'gopher://0x7f.1/' }), ['127.0.0.1'])
  assert.deepEqual(hosts({ x: 'http:\\\\one.example' }), ['one.example'])
})

test('text without a URL has none', () => {
  for (const value of [
    'plain',
    'a: b',
    'C:\\dir',
    'ratio 3:/4',
    'write http:// first',
    'mailto:a@b.example',
    '/etc/passwd',
    '12:30',
  ]) {
    const { urls, fault } = findUrls({ text: value })
    assert.deepEqual({ urls, fault }, { urls: [], fault: undefined }, value)
  }
  assert.deepEqual(findUrls({ link: 'overview', title: 'one.example', n: 5, ok: true, none: null }).urls, [])
})

test('the facts of a URL are those of a WHATWG parser, with the registrable domain', () => {
  assert.deepEqual(findUrls('https://u:p@Sub.Example.co.uk:8443/a').urls, [
    {
      href: 'https://u:p@sub.example.co.uk:8443/a',
      hostname: 'sub.example.co.uk',
      port: 8443,
      scheme: 'https',
      domain: 'example.co.uk',
      is_link_local: false,
      is_private: false,
    },
  ])
  const [metadata] = findUrls('http://[::ffff:169.254.169.254]/latest').urls
  assert.deepEqual(
    [metadata?.is_link_local, metadata?.is_private, metadata?.domain, metadata?.port],
    [true, true, null, 80],
  )
  const [file] = findUrls('file:///etc/passwd').urls
  assert.deepEqual([file?.scheme, file?.hostname, file?.is_private], ['file', '', true])
})

test('a URL that two parsers read differently is judged in both readings', () => {
  assert.deepEqual(hosts('http://one.example\\@127.0.0.1/'), ['one.example', '127.0.0.1'])
  assert.deepEqual(hosts('http://one.example @169.254.169.254/'), ['169.254.169.254', 'one.example'])
})

test('too many, too long and unreadable URLs are a fault, their neighbours are not', () => {
  const many = Array.from({ length: MAX_URLS }, (_, i) => `https://h${i}.example/`)
  assert.equal(findUrls(many).fault, undefined)
  assert.equal(findUrls([...many, 'https://one.example/']).fault, 'too_many')
  assert.equal(findUrls([...many, 'https://h0.example/']).fault, undefined, 'the same URL counts once')
  assert.equal(findUrls('http://127.0.0.1:80:81/').fault, 'unreadable')
  assert.equal(findUrls('http://127.0.0.1:80/').fault, undefined)
  const long = `https://one.example/${'a'.repeat(MAX_URL_LENGTH)}`
  assert.equal(findUrls(long).fault, 'unreadable')
  assert.equal(findUrls(long.slice(0, MAX_URL_LENGTH)).fault, undefined)
})

test('corpora/ssrf: every address in every encoding is private, every allowed URL passes', (t) => {
  verifies('play3.rules.url-facts')
  const encodings = corpusRows(t, 'ssrf/ip-encodings.jsonl')
  const deny = corpusRows(t, 'ssrf/deny-urls.jsonl')
  const allow = corpusRows(t, 'ssrf/allow-urls.jsonl')
  if (encodings === undefined || deny === undefined || allow === undefined) return
  assert.deepEqual(
    encodings.filter((row) => !refused(row['url'])).map((row) => row['id']),
    [],
  )
  assert.deepEqual(
    allow.filter((row) => refused(row['url'])).map((row) => row['id']),
    [],
  )
  const addresses = deny.filter(
    (row) => row['whatwg'] === 'ip-non-global' || row['whatwg'] === 'special-name',
  )
  assert.deepEqual(
    addresses.filter((row) => !refused(row['url'])).map((row) => row['id']),
    [],
  )
  // The others are names that only a resolver can judge (egress, row 8), credentials, schemes, and texts that reach nothing.
  const missed = deny.filter((row) => !refused(row['url']))
  t.diagnostic(
    `deny-urls ${deny.length - missed.length}/${deny.length}, ip-encodings ${encodings.length}, allow-urls ${allow.length}`,
  )
  assert.ok(missed.length <= 26, missed.map((row) => String(row['url'])).join(' '))
})

test('no JSON makes the search throw or find more than its bound', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      'http://',
      'https:',
      '//',
      '\\\\',
      ':',
      '@',
      '[',
      ']',
      '%',
      '127.1',
      '::1',
      '.',
      ' ',
      '\t',
      'a',
    ),
    fc.string(),
  )
  const text = fc.array(piece, { maxLength: 12 }).map((parts) => parts.join(''))
  const key = fc.constantFrom('url', 'host', 'x', '__proto__')
  fc.assert(
    fc.property(fc.array(fc.tuple(key, text), { maxLength: 8 }), (pairs) => {
      const found = findUrls(pairs.map(([name, value]) => Object.fromEntries([[name, value]])))
      assert.ok(found.urls.length <= MAX_URLS)
    }),
    { numRuns: 500 },
  )
})

test('eight times the text costs less than 32 times as much, whatever it repeats', () => {
  for (const unit of ['a', ':', '/', 'a:', ':/', 'http:/', 'http://', 'a:/ ', 'http://))', 'http://[']) {
    const times = (length: number): string => unit.repeat(Math.floor(length / unit.length))
    const [short, long] = [cost(times(125_000)), cost(times(1_000_000))]
    assert.ok(long < short * 32, `${unit}: ${short} us, then ${long} us`)
  }
})
