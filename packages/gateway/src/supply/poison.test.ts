import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject } from '../call/json.ts'
import type { ServerPins } from '../ports/pin-store.ts'
import { verifies } from '../testing/verifies.ts'
import { ServerCatalog } from './catalog.ts'

const ACT = { name: 'act', inputSchema: { type: 'object', properties: { a: { type: 'string' } } } }
const TURNED = { name: 'act', inputSchema: { type: 'object', properties: { a: { type: 'number' } } } }

for (const [what, text] of [
  ['1e999', '{"name":"p","inputSchema":{"type":"object","maxProperties":1e999}}'],
  ['half a surrogate pair', '{"name":"p","description":"\\ud800","inputSchema":{"type":"object"}}'],
] as const) {
  test(`a tool that holds ${what} is refused alone, and a turned one beside it is withheld`, async () => {
    verifies('play8.signed-only.definitions')
    let saved: Readonly<Record<string, ServerPins>> = {}
    const catalog = new ServerCatalog({
      policies: new Map([
        ['s', { approve: 'first-use', publisher: 'local', classify: () => ({ class: 'write', labels: [] }) }],
      ]),
      store: {
        load: () => Promise.resolve(saved),
        save(pins) {
          saved = pins
          return Promise.resolve()
        },
      },
      now: () => 0,
      onEvent: () => undefined,
      onChange: () => undefined,
    })
    const poison: JsonObject = JSON.parse(text)
    await catalog.load()
    await catalog.listed('s', [ACT])
    assert.deepEqual([...(catalog.server('s')?.tools.keys() ?? [])], ['act'])
    await catalog.listed('s', [ACT, poison])
    assert.deepEqual([...(catalog.server('s')?.tools.keys() ?? [])], ['act'])
    assert.equal(catalog.server('s')?.withheld.get('p')?.state, 'refused')
    await catalog.listed('s', [TURNED, poison])
    assert.deepEqual([...(catalog.server('s')?.tools.keys() ?? [])], [])
    assert.equal(catalog.server('s')?.withheld.get('act')?.state, 'drifted')
  })
}
