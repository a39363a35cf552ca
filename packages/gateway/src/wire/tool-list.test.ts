import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { type JsonObject, stringMember } from '../call/json.ts'
import { Refusal } from '../call/refusal.ts'
import type { Gate, ToolPlace } from '../pipeline/gate.ts'
import type { PinnedTool } from '../ports/catalog.ts'
import { catalogServer, identifiedCall, pinnedTool } from '../testing/calls.ts'
import { verifies } from '../testing/verifies.ts'
import { createToolList } from './tool-list.ts'

const { principal, session } = identifiedCall()
const known = { principal, session }

/** A gate whose tools are these, in this order, and no others. */
function listOf(tools: () => readonly PinnedTool[]) {
  const server = catalogServer('s', [])
  const gate: Pick<Gate, 'tools' | 'ownTools' | 'server' | 'toolsFound' | 'unavailable'> = {
    ownTools: [],
    *tools(_, __, after?: ToolPlace) {
      for (const tool of tools()) if (after === undefined || tool.name > after.name) yield tool
    },
    server: () => ({ ...server, tools: new Map(tools().map((tool) => [tool.name, tool])) }),
    toolsFound: () => Promise.resolve(),
    unavailable: (_, only) => (only === undefined ? [{ server: 'dead', reason: 'unavailable' }] : []),
  }
  return createToolList(gate)
}

const name = (i: number): string => `t${String(i).padStart(5, '0')}`
const tools = (count: number, bytes = 10): PinnedTool[] =>
  Array.from({ length: count }, (_, i) =>
    pinnedTool('s', name(i), { name: name(i), description: 'x'.repeat(bytes) }),
  )

function namesOf(page: JsonObject): string[] {
  const listed = page['tools']
  assert.ok(Array.isArray(listed))
  return listed.map((tool: JsonObject) => stringMember(tool, 'name') ?? '')
}

test('pages hold a thousand tools or a mebibyte of definitions, and together every tool once', async () => {
  verifies('hosts.list-pages')
  for (const [all, sizes] of [
    [tools(2_500), [1_000, 1_000, 500]],
    [tools(1_000), [1_000]],
    [tools(5, 300 * 1_024), [3, 2]],
    [tools(2, 2 * 1_048_576), [1, 1]],
  ] as const) {
    const list = listOf(() => all)
    const seen: string[] = []
    const pages: number[] = []
    for (let cursor: string | undefined, first = true; first || cursor !== undefined; first = false) {
      const page = await list(known, 's', cursor)
      pages.push(namesOf(page).length)
      seen.push(...namesOf(page))
      cursor = stringMember(page, 'nextCursor')
    }
    assert.deepEqual(pages, sizes)
    assert.deepEqual(
      seen,
      all.map((tool) => tool.name),
    )
  }
})

test('a list goes on at its place when tools came and went, the last one it showed among them', async () => {
  verifies('hosts.list-pages')
  let all = tools(1_500)
  const list = listOf(() => all)
  const cursor = stringMember(await list(known, 's'), 'nextCursor')
  all = all.filter((tool) => tool.name !== name(999) && tool.name !== name(3))
  const rest = namesOf(await list(known, 's', cursor))
  assert.deepEqual(
    rest,
    Array.from({ length: 500 }, (_, i) => name(1_000 + i)),
  )
})

test('only the first page names servers that cannot be asked', async () => {
  const list = listOf(() => tools(1_001))
  const first = await list(known, undefined)
  assert.deepEqual(first['_meta'], {
    'dev.callgate/unavailable': [{ server: 'dead', reason: 'unavailable' }],
  })
  assert.equal(Object.hasOwn(await list(known, undefined, first['nextCursor']), '_meta'), false)
})

test('a cursor that no page of this endpoint gave is refused, whatever it is', async () => {
  verifies('hosts.list-pages')
  const list = listOf(() => tools(1_001))
  const good = stringMember(await list(known, 's'), 'nextCursor') ?? ''
  assert.equal(namesOf(await list(known, 's', good)).length, 1)
  const refused = async (cursor: JsonObject[string], server = 's') => {
    await assert.rejects(
      async () => list(known, server, cursor),
      (error: unknown) => error instanceof Refusal && error.code === 'CG_WIRE_PARAMS',
      JSON.stringify(cursor),
    )
  }
  for (const bad of ['', 'x', `${good}=`, `${good}A`, good.slice(1), 0, null, {}, [good], good.repeat(9)])
    await refused(bad)
  await refused(good, 'other')
  const seed = Math.floor(Math.random() * 2 ** 31)
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.string(), fc.base64String()), (cursor) => refused(cursor)),
    { seed, numRuns: 200 },
  )
})

test('a place is read alike whether there is such a tool or not: a made-up cursor tells nothing', async () => {
  const list = listOf(() => tools(3))
  const at = (tool: string): string => Buffer.from(JSON.stringify(['s', tool])).toString('base64url')
  assert.deepEqual(namesOf(await list(known, 's', at(name(0)))), [name(1), name(2)])
  assert.deepEqual(namesOf(await list(known, 's', at(`${name(0)}x`))), [name(1), name(2)])
})
