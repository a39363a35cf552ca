import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import type { JsonObject } from '../../call/json.ts'
import type { Connection } from './connection.ts'
import { ToolNotices } from './tool-notices.ts'

const connection: Connection = {
  alive: true,
  handshake: {
    era: 'legacy',
    protocolVersion: '2025-11-25',
    serverInfo: {},
    capabilities: {},
    instructions: undefined,
  },
  request: () => Promise.reject(new Error('not asked')),
  listen: () => Promise.resolve(),
  close: () => Promise.resolve(),
}
const settled = () => new Promise((resolve) => setImmediate(resolve))

test('a server that shouts while it is slow to list is asked for one list at a time, and for one more after it', async () => {
  mock.timers.enable({ apis: ['setTimeout'] })
  const lists: PromiseWithResolvers<readonly JsonObject[]>[] = []
  const notices = new ToolNotices(() => {
    const list = Promise.withResolvers<readonly JsonObject[]>()
    lists.push(list)
    return list.promise
  })
  const told: (readonly JsonObject[] | undefined)[] = []
  notices.add((_, tools) => told.push(tools))
  const shout = (session = 'mine'): void => {
    for (let i = 0; i < 100; i++) {
      notices.changed('fix', session, () => connection)
      mock.timers.tick(250)
    }
  }
  shout()
  assert.equal(lists.length, 1)
  shout('theirs')
  assert.equal(lists.length, 2, 'another session has a list of its own')
  lists[0]?.resolve([{ name: 'old' }])
  await settled()
  assert.deepEqual(told, [[{ name: 'old' }]])
  mock.timers.tick(250)
  assert.equal(lists.length, 3, 'what changed during the list is seen')
  lists[2]?.resolve([{ name: 'new' }])
  await settled()
  mock.timers.tick(10_000)
  assert.deepEqual([told.length, lists.length], [2, 3], 'a list that nothing changed under is the last')
  notices.close()
  mock.timers.reset()
})
