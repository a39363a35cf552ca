import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { UpstreamFailed, type Listening } from '../ports/upstream.ts'
import { catalogServer } from '../testing/calls.ts'
import { verifies } from '../testing/verifies.ts'
import { identifiedCall } from '../testing/calls.ts'
import { type Listener, Listeners } from './listeners.ts'

interface Heard {
  readonly listening: Listening
  readonly signal: AbortSignal
}

const ALL = { tools: true, prompts: true, resources: true, logs: true }

/** Listeners before servers `a` and `b`, and what the upstream was asked to hear. */
function listenersOver(fails: () => boolean = () => false) {
  const heard: Heard[] = []
  const servers = new Map(['a', 'b'].map((id) => [id, catalogServer(id, [])]))
  const listeners = new Listeners({
    upstream: {
      listen: (listening, signal) => {
        heard.push({ listening, signal })
        return fails() ? Promise.reject(new UpstreamFailed('unavailable', 'no')) : Promise.resolve()
      },
    },
    server: (id) => servers.get(id),
    declared: (server, host) => ({ ...host, server }),
  })
  const open = () => heard.filter(({ signal }) => !signal.aborted)
  return { listeners, heard, open }
}

/** A stream that keeps what it is told. */
function streamOf(change: Partial<Listener> = {}) {
  const told: string[] = []
  const listener: Listener = {
    session: 'mine',
    principal: identifiedCall().principal,
    server: 'a',
    wishes: ALL,
    capabilities: {},
    mayHear: () => true,
    logs: () => (params, to) => to(params),
    tell: (method, params, server) => told.push(`${server ?? 'gate'} ${method} ${JSON.stringify(params)}`),
    ...change,
  }
  let stops = 0
  return { listener, told, stop: () => void stops++, stops: () => stops }
}

test('a stream of one server hears it for its own session, with what that session declared', () => {
  verifies('eras.streams')
  const { listeners, heard, open } = listenersOver()
  const mine = streamOf({ capabilities: { roots: {} } })
  const theirs = streamOf({ session: 'theirs' })
  const end = listeners.open(mine.listener, mine.stop)
  listeners.open(theirs.listener, theirs.stop)
  assert.deepEqual(
    heard.map(({ listening: { server, session, capabilities } }) => [server, session, capabilities]),
    [
      ['a', 'mine', { roots: {}, server: 'a' }],
      ['a', 'theirs', { server: 'a' }],
    ],
  )
  heard[0]?.listening.onNotification('notifications/prompts/list_changed', {})
  assert.deepEqual([mine.told, theirs.told], [['a notifications/prompts/list_changed {}'], []])
  end()
  end()
  assert.deepEqual(
    open().map(({ listening }) => listening.session),
    ['theirs'],
  )
  assert.equal(mine.stops(), 0, 'the host ended it')
})

test('a stream of all servers hears each from the first call on that its session made to it', () => {
  const { listeners, heard } = listenersOver()
  const mine = streamOf({ server: undefined })
  listeners.open(mine.listener, mine.stop)
  assert.equal(heard.length, 0)
  listeners.touch('theirs', 'a')
  assert.equal(heard.length, 0)
  for (const server of ['a', 'a', 'b', 'nobody']) listeners.touch('mine', server)
  assert.deepEqual(
    heard.map(({ listening }) => listening.server),
    ['a', 'b'],
  )
})

test('a server that cannot be heard is tried again at the next call', async () => {
  let fails = true
  const { listeners, heard } = listenersOver(() => fails)
  const mine = streamOf({ server: undefined })
  listeners.open(mine.listener, mine.stop)
  listeners.touch('mine', 'a')
  await turn()
  fails = false
  listeners.touch('mine', 'a')
  await turn()
  listeners.touch('mine', 'a')
  assert.equal(heard.length, 2)
})

test('a stream is told what it wished for, of resources only those that it watches, and tools by the gate alone', () => {
  verifies('eras.streams')
  const { listeners, heard } = listenersOver()
  const quiet = streamOf({
    wishes: { tools: false, prompts: true, resources: false, logs: false },
    resources: new Map([['a', ['note://a']]]),
  })
  listeners.open(quiet.listener, quiet.stop)
  const hear = heard[0]?.listening.onNotification
  for (const method of ['tools/list_changed', 'prompts/list_changed', 'resources/list_changed', 'message']) {
    hear?.(`notifications/${method}`, {})
  }
  hear?.('notifications/resources/updated', { uri: 'note://a' })
  hear?.('notifications/resources/updated', { uri: 'note://b' })
  hear?.('notifications/made/up', {})
  listeners.changed()
  assert.deepEqual(quiet.told, [
    'a notifications/prompts/list_changed {}',
    'a notifications/resources/updated {"uri":"note://a"}',
  ])
  const wants = streamOf()
  listeners.open(wants.listener, wants.stop)
  heard[1]?.listening.onNotification('notifications/tools/list_changed', {})
  assert.deepEqual(wants.told, [], 'hosts see pinned definitions: nothing has changed for them yet')
  listeners.changed()
  assert.deepEqual(wants.told, ['gate notifications/tools/list_changed {}'])
})

test('a ninth stream of a session ends its oldest, once, and leaves other sessions alone', () => {
  verifies('eras.streams')
  const { listeners, open } = listenersOver()
  const theirs = streamOf({ session: 'theirs' })
  listeners.open(theirs.listener, theirs.stop)
  const mine = Array.from({ length: 20 }, () => streamOf())
  const ends = mine.map(({ listener, stop }) => listeners.open(listener, stop))
  assert.deepEqual(
    mine.map(({ stops }) => stops()),
    [...Array<number>(12).fill(1), ...Array<number>(8).fill(0)],
  )
  // Hosts whose streams were ended close them too: that ends nothing more.
  for (const end of ends.slice(0, 12)) end()
  assert.equal(open().length, 8 + 1)
  for (const end of ends) end()
  assert.equal(open().length, 1)
  assert.equal(theirs.stops(), 0)
})

test('the shutdown ends every stream once and hears nobody any more', () => {
  const { listeners, open } = listenersOver()
  const streams = [streamOf(), streamOf(), streamOf({ session: 'theirs', server: undefined })]
  for (const { listener, stop } of streams) listeners.open(listener, stop)
  listeners.close()
  listeners.close()
  assert.deepEqual(
    streams.map(({ stops }) => stops()),
    [1, 1, 1],
  )
  assert.equal(open().length, 0)
})

test('a watched resource is heard on every open stream of its session, and no more once it is not watched', () => {
  verifies('eras.streams')
  const { listeners, open } = listenersOver()
  const all = streamOf({ server: undefined })
  const other = streamOf({ server: 'b' })
  const theirs = streamOf({ session: 'theirs', server: undefined })
  for (const { listener, stop } of [all, other, theirs]) listeners.open(listener, stop)
  assert.equal(listeners.watch('mine', 'a', 'note://a'), true)
  const wanted = () =>
    open()
      .filter(({ listening }) => listening.server === 'a')
      .map(({ listening }) => [listening.session, [...listening.resources]])
  assert.deepEqual(wanted(), [['mine', ['note://a']]])
  const hear = open().find(({ listening }) => listening.server === 'a')?.listening.onNotification
  hear?.('notifications/resources/updated', { uri: 'note://a' })
  hear?.('notifications/resources/updated', { uri: 'note://b' })
  assert.deepEqual(all.told, ['a notifications/resources/updated {"uri":"note://a"}'])
  listeners.unwatch('theirs', 'a', 'note://a')
  assert.deepEqual(wanted(), [['mine', ['note://a']]])
  listeners.unwatch('mine', 'a', 'note://a')
  assert.deepEqual(wanted(), [['mine', []]])
})

test('a session watches 1,000 resources, over all servers; one more is refused, one of them again is not', () => {
  const { listeners } = listenersOver()
  for (let i = 0; i < 1_000; i++) {
    assert.equal(listeners.watch('mine', i % 2 === 0 ? 'a' : 'b', `note://${i}`), true)
  }
  assert.equal(listeners.watch('mine', 'a', 'note://more'), false)
  assert.equal(listeners.watch('mine', 'a', 'note://0'), true)
  assert.equal(listeners.watch('theirs', 'a', 'note://more'), true)
  listeners.unwatch('mine', 'b', 'note://1')
  assert.equal(listeners.watch('mine', 'a', 'note://more'), true)
})

test('a server that policy does not let a stream hear is not even asked', () => {
  verifies('eras.streams')
  const { listeners, heard } = listenersOver()
  let gives = false
  const mine = streamOf({ server: undefined, mayHear: () => gives })
  listeners.open(mine.listener, mine.stop)
  listeners.touch('mine', 'a')
  assert.equal(heard.length, 0)
  gives = true
  listeners.touch('mine', 'a')
  assert.equal(heard.length, 1)
})
