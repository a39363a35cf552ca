import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ScreenedCall, PinnedCall } from '../../call/call.ts'
import { Refusal } from '../../call/refusal.ts'
import { type Resolver, ResolverUnavailable } from '../../ports/resolver.ts'
import { screenedCall } from '../../testing/calls.ts'
import { verifies } from '../../testing/verifies.ts'
import { type TargetEgress, createEgressStage } from './egress.ts'

const OPEN: TargetEgress = { mode: 'enforce', schemes: ['http', 'https'], ports: [], allow: [], deny: [] }
const signal = new AbortController().signal

/** A DNS of these names; the others do not exist. */
function resolverOf(names: Readonly<Record<string, readonly string[] | Error>>) {
  const asked: string[] = []
  const resolver: Resolver = {
    async resolve(name) {
      asked.push(name)
      const found = names[name] ?? []
      if (found instanceof Error) throw found
      return found
    },
  }
  return { resolver, asked }
}

const DNS = {
  'public.example': ['93.184.215.14'],
  'inside.example': ['10.0.0.1'],
  'mixed.example': ['93.184.215.14', '169.254.169.254'],
  'down.example': new ResolverUnavailable('no answer'),
}

async function judge(
  change: Partial<ScreenedCall>,
  rules: Partial<TargetEgress> | undefined = {},
  { resolver } = resolverOf(DNS),
): Promise<PinnedCall | string> {
  const stage = createEgressStage({
    rulesFor: () => (rules === undefined ? undefined : { ...OPEN, ...rules }),
    resolver,
  })
  try {
    return await stage.run(screenedCall(change), signal)
  } catch (error) {
    assert.ok(error instanceof Refusal, String(error))
    assert.doesNotMatch(error.internal, /example|169|127|10\./, 'what came in the arguments is not recorded')
    return error.code
  }
}

const url = (text: string) => ({ args: { url: text } })

test('what a name resolves to is judged, all of it; a name that nobody can resolve is refused', async () => {
  verifies('play3.ssrf.arguments')
  assert.equal(typeof (await judge(url('https://public.example/'))), 'object')
  assert.equal(await judge(url('https://inside.example/')), 'CG_EGRESS_PRIVATE')
  assert.equal(await judge(url('https://mixed.example/')), 'CG_EGRESS_PRIVATE')
  assert.equal(await judge(url('https://absent.example/')), 'CG_EGRESS_UNRESOLVED')
  assert.equal(await judge(url('https://down.example/')), 'CG_EGRESS_UNRESOLVED')
})

test('one bad URL among good ones refuses, wherever it stands: nested, in text, in what the host answers', async () => {
  const bad = 'http://169.254.169.254/'
  for (const args of [
    { url: 'https://public.example/', next: { deep: [bad] } },
    { text: `see https://public.example/ and ${bad} for more` },
    { body: JSON.stringify({ url: bad }) },
    { host: '169.254.169.254' },
  ]) {
    assert.equal(await judge({ args }), 'CG_EGRESS_PRIVATE')
  }
  const retry = { responses: { one: { action: 'accept', content: { url: bad } } }, requestState: undefined }
  assert.equal(await judge({ retry }), 'CG_EGRESS_PRIVATE')
  assert.equal(typeof (await judge({ args: { text: 'no address, and 10.0.0.1 in prose' } })), 'object')
})

test('a name of somebody’s own is no place, unless it names an address or stands where a URL is said to stand', async () => {
  for (const args of [
    { uri: 'note://today' },
    { resourceUri: 'test://example-resource' },
    { text: 'see memo://inbox/3' },
    { retry: 'no' },
  ])
    assert.equal(typeof (await judge({ args })), 'object', JSON.stringify(args))
  for (const args of [
    { uri: 'note://127.0.0.1/' },
    { uri: 'note://localhost/' },
    { uri: 'note://metadata.google.internal/' },
    { url: 'note://today' },
    { uri: 'gopher://inside/' },
    { uri: 'redis://cache:6379' },
    { uri: 'file:///etc/passwd' },
  ])
    assert.notEqual(typeof (await judge({ args })), 'object', JSON.stringify(args))
  const roots = { one: { roots: [{ uri: 'file:///home/ada' }] } }
  assert.equal(typeof (await judge({ retry: { responses: roots, requestState: undefined } })), 'object')
  const both = { one: { roots: [], action: 'accept', content: { url: 'http://127.0.0.1/' } } }
  assert.equal(await judge({ retry: { responses: both, requestState: undefined } }), 'CG_EGRESS_PRIVATE')
})

test('a resource is judged where its URI is one that a server fetches', async () => {
  const resource = (name: string) => ({ target: { server: 'fix', kind: 'resource' as const, name } })
  assert.equal(await judge(resource('http://127.0.0.1/x')), 'CG_EGRESS_PRIVATE')
  assert.equal(await judge(resource('https://inside.example/x')), 'CG_EGRESS_PRIVATE')
  assert.equal(typeof (await judge(resource('https://public.example/x'))), 'object')
  assert.equal(typeof (await judge(resource('file:///srv/notes.txt'))), 'object')
})

test('no name server is told of a call that its text refuses already, nor of addresses', async () => {
  const dns = resolverOf(DNS)
  await judge({ args: { urls: ['https://public.example/', 'http://127.0.0.1/'] } }, {}, dns)
  await judge(url('https://public.example/'), { deny: ['public.example'] }, dns)
  await judge({ args: { urls: ['http://93.184.215.14/', 'http://[2606:2800::1]/'] } }, {}, dns)
  assert.deepEqual(dns.asked, [])
  await judge({ args: { urls: ['https://public.example/a', 'https://public.example/b'] } }, {}, dns)
  assert.deepEqual(dns.asked, ['public.example'])
})

test('observe records what would have been refused; private places and unreadable URLs refuse all the same', async () => {
  verifies('play3.decisions.observe')
  const observe = { mode: 'observe', deny: ['public.example'], schemes: ['https'] } as const
  const seen = await judge({ args: { urls: ['http://public.example/', 'https://absent.example/'] } }, observe)
  assert.ok(typeof seen === 'object')
  assert.deepEqual(seen.decision.observed, ['(egress: scheme)', '(egress: unresolved)'])
  assert.equal(await judge(url('http://127.0.0.1/'), observe), 'CG_EGRESS_PRIVATE')
  assert.equal(await judge(url('https://inside.example/'), observe), 'CG_EGRESS_PRIVATE')
  assert.equal(await judge(url('http://[::1'), observe), 'CG_EGRESS_UNREADABLE')
})

test('a tool whose URLs are content is not judged, and without a resolver the text alone counts', async () => {
  const stage = createEgressStage({ rulesFor: () => undefined, resolver: undefined })
  assert.equal((await stage.run(screenedCall(url('http://127.0.0.1/')), signal)).egress, 'judged')
  const text = createEgressStage({ rulesFor: () => OPEN, resolver: undefined })
  assert.equal((await text.run(screenedCall(url('https://absent.example/')), signal)).egress, 'judged')
  assert.throws(() => text.run(screenedCall(url('http://127.0.0.1/')), signal), Refusal)
})
