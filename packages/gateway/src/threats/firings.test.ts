import assert from 'node:assert/strict'
import type { EvidenceRecord, OutcomeRecord, RefusalsRecord } from '@callgate/evidence'
import { test } from 'node:test'
import { verifies } from '../testing/verifies.ts'
import { countFirings } from './firings.ts'

const at = (second: number): string => `2026-11-24T00:00:0${second}.000Z`

function outcome(second: number, change: Partial<OutcomeRecord> = {}): OutcomeRecord {
  return {
    v: 1,
    kind: 'outcome',
    id: `id${second}`,
    time: at(second),
    call: { method: 'tools/call', server: 'a', tool: 't', era: 'modern', endpoint: 'a' },
    peer: '127.0.0.1',
    outcome: 'answered',
    ms: 1,
    ...change,
  }
}

const observing = (observed: readonly string[]): OutcomeRecord['decision'] => ({
  effect: 'allow',
  reason: 'CG_OK',
  rules: [],
  errors: [],
  observed,
})

async function counted(records: readonly EvidenceRecord[]) {
  return Object.fromEntries(await countFirings(records))
}

test('refusals are counted by the control that their code belongs to, in calls and in what was refused before them', async () => {
  verifies('play1.live.fired')
  const refusals: RefusalsRecord = {
    v: 1,
    kind: 'refusals',
    id: 'r',
    time: at(3),
    peer: '127.0.0.1',
    code: 'CG_IDENTITY_EXPIRED',
    second: 1,
    count: 40,
  }
  const found = await counted([
    outcome(1, { outcome: 'refused', code: 'CG_EGRESS_PRIVATE' }),
    outcome(2, { outcome: 'refused', code: 'CG_EGRESS_PRIVATE' }),
    outcome(3),
    refusals,
    // Says nothing of a control: a server that is away.
    outcome(4, { outcome: 'failed', code: 'CG_UPSTREAM_UNAVAILABLE' }),
  ])
  assert.deepEqual(found, {
    'egress.private': { refused: 2, changed: 0, observed: 0, last: at(2) },
    'identity.tokens': { refused: 40, changed: 0, observed: 0, last: at(3) },
  })
})

test('an intent counts nothing: its outcome does', async () => {
  const { outcome: _, code: __, ms: ___, ...rest } = outcome(1)
  assert.deepEqual(await counted([{ ...rest, kind: 'intent' }]), {})
})

test('what was changed is told from what would have been, and from what was refused', async () => {
  const places = [
    'arguments /to email',
    'arguments /cc email',
    'results /text hidden_text.tags',
    'results /a secret.github',
  ]
  const found = await counted([
    outcome(1, { found: { places } }),
    outcome(2, {
      found: { places: ['arguments /to email'] },
      decision: observing(['(dlp: mask email in the argument)']),
    }),
    outcome(3, { found: { places: ['arguments /n iban'] }, outcome: 'refused', code: 'CG_DLP_ARGUMENT' }),
  ])
  assert.deepEqual(found, {
    'dlp.arguments': { refused: 1, changed: 1, observed: 1, last: at(3) },
    'dlp.hidden-text': { refused: 0, changed: 1, observed: 0, last: at(1) },
    'dlp.results': { refused: 0, changed: 1, observed: 0, last: at(1) },
  })
})

test('what only observes is counted once a call: rules, lists of egress, data in answers', async () => {
  const found = await counted([
    outcome(1, {
      decision: observing(['no-bulk', 'no-night', '(egress: not_listed)', '(ownership: order)']),
    }),
    outcome(2, {
      decision: observing([
        '(dlp: drop hidden_text.tags in the result)',
        '(dlp: placeholder secret.github in the result)',
      ]),
    }),
  ])
  assert.deepEqual(found, {
    'policy.default-deny': { refused: 0, changed: 0, observed: 1, last: at(1) },
    'egress.lists': { refused: 0, changed: 0, observed: 1, last: at(1) },
    'ownership.ids': { refused: 0, changed: 0, observed: 1, last: at(1) },
    'dlp.hidden-text': { refused: 0, changed: 0, observed: 1, last: at(2) },
    'dlp.results': { refused: 0, changed: 0, observed: 1, last: at(2) },
  })
})
