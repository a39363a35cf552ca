import { createPlaceholders } from '../../adapters/memory/placeholders.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { HostLink } from '../../call/input.ts'
import { DetectorDown } from '../../ports/detector.ts'
import { authorizedCall, mutedHost } from '../../testing/calls.ts'
import { verifies } from '../../testing/verifies.ts'
import type { Finding } from '../../text/finding.ts'
import { beside } from './detection.ts'
import { createDlpStages } from './dlp.ts'

const LENGTH = 40
const spans = (name: string) =>
  fc.array(fc.tuple(fc.nat(LENGTH - 1), fc.integer({ min: 1, max: 8 })), { maxLength: 8 }).map((all) =>
    all.map(([start, size]): Finding => ({
      class: name,
      start,
      end: Math.min(LENGTH, start + size),
      score: 1,
    })),
  )

test('merged findings stand in order, none over another; our own are all there, and nothing found is left out', () => {
  verifies('play3.redaction.detector')
  const text = 'x'.repeat(LENGTH)
  fc.assert(
    fc.property(spans('own'), spans('person'), (some, detected) => {
      let end = 0
      const own = some
        .toSorted((a, b) => a.start - b.start)
        .filter((each) => each.start >= end && (end = each.end) > 0)
      const merged = beside(own, detected, text)
      for (const [i, each] of merged.entries())
        assert.ok((merged[i - 1]?.end ?? 0) <= each.start && each.start < each.end)
      assert.deepEqual(
        merged.filter((each) => each.class === 'own'),
        own,
      )
      const covered = (all: readonly Finding[]) =>
        Array.from(text, (_, at) => all.some((each) => each.start <= at && at < each.end))
      assert.deepEqual(covered(merged), covered([...own, ...detected]))
    }),
    { numRuns: 3_000 },
  )
})

test('what a server says in the middle of a call waits for the detector, in its order; what it cannot look through is lost', async () => {
  verifies('play3.redaction.detector')
  const told: unknown[] = []
  const host: HostLink = { ...mutedHost, log: (params) => void told.push(params['data']) }
  const detect = async (texts: readonly string[]) => {
    const all = texts.join(' ')
    if (all.includes('down')) throw new DetectorDown('down')
    // The first one takes longest.
    await new Promise((resolve) => setTimeout(resolve, all.includes('first') ? 40 : 1))
    return new Map(
      texts
        .filter((text) => text.startsWith('Ada'))
        .map((text) => [text, [{ class: 'person', start: 0, end: 3, score: 1 }]]),
    )
  }
  const actionOf = (found: string) => (found === 'person' ? 'placeholder' : 'count')
  const stages = createDlpStages({
    rulesFor: () => ({ mode: 'enforce', arguments: actionOf, results: actionOf }),
    scan: () => [],
    placeholders: createPlaceholders(),
    restorable: () => undefined,
    exceptions: [],
    now: () => 0,
    onCanary: () => undefined,
    detector: {
      detector: { detect, close: () => Promise.resolve() },
      onFailure: 'deny',
      timeoutMs: 100,
      onProblem: () => undefined,
    },
    hash: () => '',
    outputCheck: () => undefined,
    instructs: () => false,
    label: () => Promise.resolve(),
  })
  const call = await stages.arguments.run(authorizedCall({ host }), AbortSignal.timeout(5_000))
  for (const data of ['Ada first', 'it is down', 'Ada last']) call.host.log({ level: 'info', data })
  await new Promise((resolve) => setTimeout(resolve, 100))
  assert.deepEqual(told, ['[redacted:person] first', '[redacted:person] last'])
  const asked = (message: string) =>
    call.host.ask(
      { q: { method: 'elicitation/create', params: { message } } },
      { id: 'x', session: 's', binding: 'b' },
      AbortSignal.timeout(1_000),
    )
  await assert.rejects(asked('it is down'), { code: 'CG_DLP_DETECTOR' })
})
