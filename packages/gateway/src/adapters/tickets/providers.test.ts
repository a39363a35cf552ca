import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { TicketsDown } from '../../ports/tickets.ts'
import { verifies } from '../../testing/verifies.ts'
import { TICKET_SYSTEMS, ticketProvider } from './providers.ts'

const providers = TICKET_SYSTEMS.map(
  (type) => [type, ticketProvider({ type, user: undefined, repository: 'acme/changes' })] as const,
)

/** Whole answers, to be spoiled. */
const ANSWERS = {
  jira: { key: 'A-1', fields: { status: { name: 'ok' }, assignee: null, description: null } },
  servicenow: {
    result: [
      Object.fromEntries(
        ['number', 'approval', 'assigned_to', 'description', 'start_date', 'end_date'].map((name) => [
          name,
          { value: name === 'approval' ? 'ok' : '', display_value: '' },
        ]),
      ),
    ],
  },
  github: { number: 1, state: 'open', labels: ['ok'], body: null, assignees: [] },
  gitlab: { iid: 1, state: 'opened', labels: ['ok'], description: 'x', assignees: [], due_date: null },
  http: { id: '1', state: 'ok', text: 'x' },
}

test('every system reads its own answer, and what is no answer of it stands for nothing', () => {
  verifies('play3.ticket')
  for (const [type, provider] of providers) {
    assert.equal(provider.read(ANSWERS[type], ['ok'])?.approved, true, type)
    assert.equal(provider.read(ANSWERS[type], ['other'])?.approved, false, type)
    for (const [other, answer] of Object.entries(ANSWERS))
      if (other !== type) assert.throws(() => provider.read(answer, ['ok']), TicketsDown, `${type} ${other}`)
  }
})

test('whatever a system answers is a ticket, none, or trouble', () => {
  verifies('play3.ticket')
  const spoiled = (answer: unknown): fc.Arbitrary<unknown> =>
    fc.tuple(fc.jsonValue(), fc.nat()).map(([value, n]) => {
      const whole = structuredClone(answer)
      const places: [object, string][] = []
      const walk = (at: unknown): void => {
        if (typeof at !== 'object' || at === null) return
        for (const key of Object.keys(at)) {
          places.push([at, key])
          walk(Reflect.get(at, key))
        }
      }
      walk(whole)
      const place = places[n % places.length]
      if (place !== undefined) Reflect.set(...place, value)
      return whole
    })
  for (const [type, provider] of providers)
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), spoiled(ANSWERS[type])), (body) => {
        try {
          const ticket = provider.read(body, ['ok'])
          if (ticket === undefined) return
          assert.equal(typeof ticket.text, 'string')
          assert.notEqual(typeof ticket.id, 'undefined')
          for (const time of [ticket.from, ticket.until])
            assert.ok(time === undefined || Number.isFinite(time))
        } catch (error) {
          if (!(error instanceof TicketsDown)) throw error
          assert.doesNotMatch(error.message, /[{"]/)
        }
      }),
    )
})

test('an id leads to no other place of a system', () => {
  verifies('play3.ticket')
  for (const [type, provider] of providers)
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.constantFrom('../x', 'A-1/../..', '1?a=b', '1#x', '%2e%2e', 'A-1\n')),
        (id) => {
          if (!provider.id.test(id)) return
          const { pathname, search, hash } = new URL(`https://t.example${provider.path(id)}`)
          const plain = new URL(
            `https://t.example${provider.path(type === 'servicenow' ? 'CHG1' : type === 'jira' ? 'A-1' : '1')}`,
          )
          assert.equal(pathname.split('/').length, plain.pathname.split('/').length)
          assert.equal(search.split('&').length, plain.search.split('&').length)
          assert.equal(hash, '')
        },
      ),
    )
})
