import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { Principal } from '../../call/call.ts'
import type { Target } from '../../call/refusal.ts'
import { verifies } from '../../testing/verifies.ts'
import { isInScope, isServerInScope } from '../scope/scope.ts'
import { bench, refuses, token } from './testing/bench.ts'

const DETAIL = {
  type: 'mcp_tool_call',
  locations: ['crm'],
  actions: ['tools/call:crm.read', 'resources/read:crm', 'prompts/get:crm.brief'],
}
const TOOL = ['tools/call:crm.read']
const details = (...list: unknown[]): Record<string, unknown> => ({ authorization_details: list })

test('what a token is for is read, and details of other types are for other services', async () => {
  verifies('play2.purpose')
  const { ask } = bench({ purposes: ['support'] })
  const read = async (claims: Record<string, unknown>) => (await ask(token(claims))).principal.details
  assert.equal(await read({}), undefined)
  assert.equal(await read(details({ type: 'payment', amount: 1 })), undefined)
  assert.deepEqual(await read(details()), [], 'an emptied list is for nothing')
  assert.deepEqual(
    await read(
      details(
        { ...DETAIL, actions: TOOL, datatypes: ['pii'], purpose: 'support', ticket: 'X-1' },
        { type: 'payment' },
      ),
    ),
    [
      {
        locations: DETAIL.locations,
        actions: TOOL,
        datatypes: ['pii'],
        purpose: 'support',
        ticket: 'X-1',
      },
    ],
  )
})

test('a detail that is not understood refuses the token, by the member that is wrong', async () => {
  verifies('play2.purpose')
  const { ask } = bench({ purposes: ['support'] })
  const { locations: _, ...nowhere } = DETAIL
  const { actions: __, ...nothing } = DETAIL
  for (const [detail, says] of [
    [nowhere, /`locations`/],
    [nothing, /`actions`/],
    [{ ...DETAIL, locations: 'crm' }, /`locations`/],
    [{ ...DETAIL, locations: ['CRM'] }, /`locations`/],
    [{ ...DETAIL, actions: ['crm.read'] }, /`actions`/],
    [{ ...DETAIL, actions: ['tools/call:crm'] }, /`actions`/],
    [{ ...DETAIL, actions: [7] }, /`actions`/],
    [{ ...DETAIL, datatypes: 'pii' }, /`datatypes`/],
    [{ ...DETAIL, purpose: '' }, /`purpose`/],
    [{ ...DETAIL, purpose: 'sales' }, /none of `identity.purposes`/],
    [{ ...DETAIL, ticket: 1 }, /`ticket`/],
    [{ ...DETAIL, ticket: 'X 1' }, /`ticket`/],
    [{ ...DETAIL, ticket: '' }, /`ticket`/],
    [{ ...DETAIL, until: 'tomorrow' }, /until/],
    [{ ...DETAIL, type: 'MCP_TOOL_CALL' }, /`type`/],
    [{ ...DETAIL, type: ' mcp_tool_call ' }, /`type`/],
    [{ ...DETAIL, type: 'mcp-tool-call' }, /`type`/],
    [{ ...DETAIL, datatypes: ['pii'], actions: ['resources/read:crm'] }, /`datatypes`/],
  ] as const) {
    await refuses(ask(token(details(detail))), 'CG_IDENTITY_CLAIM', says)
  }
  await refuses(
    ask(token(details({ ...DETAIL, actions: ['tools/call:crm.*'] }))),
    'CG_IDENTITY_WILDCARD',
    /authorization_details/,
  )
  await ask(token(details(DETAIL)))
})

test('a token that holds more than its client is registered for is refused', async () => {
  verifies('play2.purpose')
  const { ask } = bench({ clients: { 'agent-7': { grants: ['tools:read'] } } })
  await ask(token({ scope: 'tools:read' }))
  await ask(token({ scope: undefined }))
  await ask(token({ client_id: 'other', scope: 'tools:write' }))
  const refusal = await refuses(
    ask(token({ scope: 'tools:read tools:write' })),
    'CG_IDENTITY_GRANTS',
    /not registered for the grant .tools:write/,
  )
  assert.equal(refusal.publicText, undefined)
})

// Property: whatever is added to a token narrows it.
const word = fc.constantFrom('crm', 'web', 'read', 'bulk', 'pii', 'x')
const some = fc.uniqueArray(word, { maxLength: 4 })
const action = fc.tuple(word, word).map(([server, name]) => `tools/call:${server}.${name}`)
const detail = fc.record({
  locations: some,
  actions: fc.uniqueArray(action, { maxLength: 6 }),
  datatypes: fc.option(some, { nil: undefined }),
  purpose: fc.constant(undefined),
})
const target = fc.tuple(word, word).map(([server, name]): Target => ({ server, kind: 'tool', name }))

function holding(grants: readonly string[], of: Principal['details']): Principal {
  return {
    actor: { id: 'a', type: 'agent' },
    subject: 's',
    tenant: 't',
    clientId: 'c',
    grants,
    details: of,
    token: { iss: 'i', jtiHash: 'j', exp: 1, iat: 0 },
  }
}

test('details and needed scopes only ever narrow what a token reaches, and a narrower detail reaches no more', () => {
  verifies('play2.purpose')
  fc.assert(
    fc.property(
      some,
      some,
      fc.array(detail, { maxLength: 3 }),
      target,
      some,
      (grants, scopes, list, at, labels) => {
        const reaches = (of: Principal['details'], needs: readonly string[], held = grants): boolean =>
          isInScope(holding(held, of), at, labels, needs)
        const all = reaches(list, scopes)
        if (all) {
          assert.ok(reaches(undefined, scopes) && reaches(list, []), 'without the limit it reaches as much')
          assert.ok(isServerInScope(holding(grants, list), at.server))
        }
        for (const [n, one] of list.entries()) {
          const narrower = [
            { ...one, actions: one.actions.slice(1) },
            { ...one, locations: one.locations.slice(1) },
            { ...one, datatypes: one.datatypes?.slice(1) ?? [] },
          ]
          for (const less of narrower) {
            if (reaches(list.with(n, less), scopes)) assert.ok(all, 'a narrower detail reached more')
          }
        }
        if (reaches(list, scopes, grants.slice(1))) assert.ok(all, 'fewer grants reached more')
        if (reaches(list.slice(1), scopes) && list.length > 1) assert.ok(all, 'fewer details reached more')
      },
    ),
    { numRuns: 2_000 },
  )
})

test('a detail that names kinds of data covers no tool of which nobody said what it touches', () => {
  verifies('play2.purpose')
  const token = holding(
    [],
    [{ locations: ['crm'], actions: TOOL, datatypes: ['public'], purpose: undefined }],
  )
  const at: Target = { server: 'crm', kind: 'tool', name: 'read' }
  assert.equal(isInScope(token, at, ['public'], []), true)
  assert.equal(isInScope(token, at, [], []), false)
  assert.equal(isInScope(token, at, ['public', 'pii'], []), false)
})

test('a server is in scope when an action of the token is on it, not when it is only named', () => {
  const token = holding(
    [],
    [{ locations: ['crm', 'web'], actions: TOOL, datatypes: undefined, purpose: undefined }],
  )
  assert.deepEqual(
    ['crm', 'web', 'other'].map((server) => isServerInScope(token, server)),
    [true, false, false],
  )
})
