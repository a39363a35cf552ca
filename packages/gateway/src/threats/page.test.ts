import assert from 'node:assert/strict'
import { test } from 'node:test'
import { verifies } from '../testing/verifies.ts'
import type { ControlState } from './control.ts'
import type { Firings } from './firings.ts'
import { htmlPage } from './html-page.ts'
import { markdownPage } from './markdown-page.ts'
import { type PageSources, threatPage, type ThreatPage } from './page.ts'
import { textPage } from './text-page.ts'
import type { Threat } from './threat.ts'

const THREAT: Threat = {
  id: 'planted',
  title: 'Planted',
  story: 'Somebody does it. It costs something.',
  phase: 'delivery',
  chain: ['catalog.pins', 'policy.windows', 'egress.lists'],
  controls: ['evidence.log'],
  detections: [
    { planned: 'play5.sigma', says: 'a rule alerts' },
    { code: 'CG_CATALOG_DRIFTED', says: 'it is called' },
  ],
  response: [
    { command: 'callgate tail', does: 'watch' },
    { planned: 'play6.kill', does: 'end it' },
  ],
  tests: ['play8.pins'],
  standards: {
    'owasp-api': ['API10'],
    'owasp-mcp': ['MCP03'],
    'owasp-agentic': [],
    'mitre-atlas': [],
    'nsa-mcp': [],
    'safe-t': [],
  },
  owner: 'security',
}

/** A page where every control has one of these states. */
function pageOf(
  threat: Threat,
  states: Readonly<Record<string, ControlState>>,
  more: PageSources = {},
): ThreatPage {
  const page = threatPage([threat], more)
  // The states are put in by hand: what a configuration makes of each control is shown in controls.test.ts.
  const controls = page.controls.map((control) => ({
    ...control,
    state: states[control.id] ?? { state: 'enforce' as const },
  }))
  return { ...page, controls, config: '/etc/callgate.yaml' }
}

test('each chain shows where it breaks first, second and third, and its phase', () => {
  verifies('play1.kill-chain')
  const lines = textPage(threatPage([THREAT], {}))
  const breaks = lines.filter((line) => line.includes('breaks'))
  assert.deepEqual(breaks, [
    '    breaks first: catalog.pins',
    '    breaks second: policy.windows',
    '    breaks third: egress.lists',
  ])
  assert.ok(lines.includes('DELIVERY'))
  const html = htmlPage(threatPage([THREAT], {}))
  assert.ok(html.includes('<ol><li>catalog.pins</li><li>policy.windows</li><li>egress.lists</li></ol>'))
  assert.ok(html.includes('<span class="phase">delivery</span>'))
  assert.match(
    markdownPage(threatPage([THREAT], {})),
    /\| delivery \| \[Planted\]\(#planted\) \| 1 catalog.pins<br>2 policy.windows<br>3 egress.lists \|/,
  )
})

test('a chain with one break only is flagged in each format, one with two is not', () => {
  verifies('play1.kill-chain')
  const one = threatPage([{ ...THREAT, chain: ['evidence.log'] }], {})
  const two = threatPage([{ ...THREAT, chain: ['evidence.log', 'catalog.pins'] }], {})
  const flag = 'the chain has one break only'
  for (const render of [
    (page: ThreatPage) => textPage(page).join('\n'),
    htmlPage,
    (page: ThreatPage) => JSON.stringify(page),
  ]) {
    assert.ok(render(one).includes(flag))
    assert.ok(!render(two).includes(flag))
  }
  assert.ok(markdownPage(one).includes(`| ${flag} |`))
  assert.ok(!markdownPage(two).includes(`| ${flag} |`))
})

test('of a chain the breaks that are on count: one, or none, is flagged', () => {
  const flags = (...states: readonly ControlState['state'][]): readonly string[] => {
    const chain = ['policy.default-deny', 'policy.windows', 'policy.injection-label'].slice(0, states.length)
    const rules = (['window', 'label'] as const)
      .filter((_, i) => states[i + 1] !== 'off')
      .map((kind, i) => ({
        decision: 'deny',
        mode: states[i + 1] === 'observe' ? 'observe' : 'enforce',
        reads: new Set(kind === 'window' ? ['window'] : []),
        readsLabels: kind === 'label',
        readsTicket: false,
      }))
    // These three read nothing of the configuration but rules.
    const config = {} as never
    const [threat] = threatPage([{ ...THREAT, chain }], { running: { path: 'c', config, rules } }).threats
    return threat?.flags ?? []
  }
  assert.deepEqual(flags('enforce', 'enforce', 'enforce'), [])
  for (const state of ['off', 'observe'] as const)
    assert.deepEqual(flags('enforce', state), ['one break only is on: policy.default-deny'])
  const offOnly = threatPage([{ ...THREAT, chain: ['policy.windows', 'policy.injection-label'] }], {
    running: { path: 'c', config: {} as never, rules: [] },
  })
  assert.deepEqual(offOnly.threats[0]?.flags, ['no break is on'])
})

test('an acceptance is over the day after its last one', () => {
  const threat = { ...THREAT, accepted: { risk: 'a rest', by: 'somebody', until: '2027-01-31' } }
  const flags = (now: string) => threatPage([threat], { now: Date.parse(now) }).threats[0]?.flags
  assert.deepEqual(flags('2027-01-31T23:59:59Z'), [])
  assert.deepEqual(flags('2027-02-01T00:00:00Z'), [
    'the accepted risk was accepted until 2027-01-31: accept it again, or end it',
  ])
})

test('what is not built is said to be not yet there, behind what is', () => {
  const lines = textPage(threatPage([THREAT], {}))
  const seen = lines.filter((line) => line.includes('seen'))
  assert.deepEqual(seen, [
    '    seen by: CG_CATALOG_DRIFTED: it is called',
    '    not yet seen: a rule alerts (play5.sigma)',
  ])
  assert.ok(lines.includes('    not yet: end it (play6.kill)'))
  assert.ok(
    htmlPage(threatPage([THREAT], {})).includes('<li class="planned">not yet: end it (play6.kill)</li>'),
  )
  assert.ok(markdownPage(threatPage([THREAT], {})).includes('**not yet**: end it (play6.kill)'))
})

test('the state of each control stands on the page, with what an operator should know', () => {
  verifies('play1.live.state')
  const page = pageOf(THREAT, {
    'catalog.pins': { state: 'partly', note: 'first-use at a' },
    'policy.windows': { state: 'observe' },
    'egress.lists': { state: 'off', note: 'name domains' },
  })
  const text = textPage(page).join('\n')
  assert.ok(text.includes('breaks first: catalog.pins, partly on: first-use at a'))
  assert.ok(text.includes('breaks second: policy.windows, observes only'))
  assert.ok(text.includes('breaks third: egress.lists, off: name domains'))
  assert.ok(text.includes('1 of 4 controls on, 1 in part, by /etc/callgate.yaml'))
  const html = htmlPage(page)
  assert.ok(html.includes('<td>egress.lists</td><td><span class="off">off</span></td>'))
  const without = textPage(threatPage([THREAT], {})).join('\n')
  assert.ok(without.includes('no configuration: whether a control is on is not told'))
  assert.ok(!/ on\b(?! is)/.test(without.split('\n').slice(1).join('\n')))
})

test('firings stand beside their control; one without codes of its own is said to be not counted apart', () => {
  verifies('play1.live.fired')
  const fired: Firings = { refused: 3, changed: 0, observed: 1, last: '2026-11-24T00:00:00.000Z' }
  const threat = { ...THREAT, controls: ['catalog.injection-scan'] }
  const page = threatPage([threat], { firings: { log: '/log', counts: new Map([['catalog.pins', fired]]) } })
  const lines = textPage(page)
  const of = (id: string) => lines.find((line) => line.startsWith(`  ${id}: `)) ?? ''
  assert.match(of('catalog.pins'), /\(refused 3, would have acted on 1; last 2026-11-24T00:00:00.000Z\)$/)
  assert.match(of('policy.windows'), /\(never fired\)$/)
  assert.match(of('catalog.injection-scan'), /\(not counted apart\)$/)
  assert.ok(
    htmlPage(page).includes('<td>refused 3, would have acted on 1; last 2026-11-24T00:00:00.000Z</td>'),
  )
})

test('the HTML page needs nothing from elsewhere, runs nothing, and escapes whatever a file holds', () => {
  const hostile = `</p><script>alert(1)</script><img src=x onerror="y"> & 'q' \u202e\u{e0041}\u0007`
  const threat = {
    ...THREAT,
    title: hostile,
    story: hostile,
    owner: hostile,
    accepted: { risk: hostile, by: hostile, until: '2027-01-31' },
    detections: [{ event: 'a.done', says: hostile }],
    response: [{ command: hostile, does: hostile }],
  }
  const html = htmlPage(pageOf(threat, { 'catalog.pins': { state: 'off', note: hostile } }))
  assert.doesNotMatch(html, /<(script|img|link|iframe|object|form|base)\b/i)
  assert.doesNotMatch(html, /<[^>]*\s(?:src|style|on\w+)=/)
  assert.doesNotMatch(html, /url\(|@import|https?:/)
  assert.doesNotMatch(html, /[\p{Cf}]|(?!\n)\p{Cc}/u)
  assert.ok(html.includes('&lt;script&gt;alert(1)&lt;/script&gt;'))
  assert.ok(html.includes(`content="default-src 'none'; style-src 'unsafe-inline'"`))
  // Every link leads to a place on the page itself.
  for (const [, to = ''] of html.matchAll(/href="([^"]*)"/g)) assert.equal(to, '#planted')
  assert.equal(html.match(/<article/g)?.length, html.match(/<\/article>/g)?.length)
})

test('the Markdown page keeps its tables and tags whatever a file holds', () => {
  const page = markdownPage(threatPage([{ ...THREAT, owner: 'a <b> | c' }], {}))
  assert.ok(page.includes(String.raw`a &lt;b> \| c`))
})
