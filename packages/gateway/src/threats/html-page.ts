import {
  firedWords,
  itemsOf,
  type PageControl,
  type PageThreat,
  STATE_WORDS,
  type ThreatPage,
} from './page.ts'
import { FRAMEWORK_IDS, FRAMEWORKS } from './standards.ts'
import { summary } from './text-page.ts'

const STYLE = `:root { color-scheme: light dark; --line: #8886; --soft: #8881; --on: #177245; --part: #9a6700; --off: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --on: #4cc38a; --part: #e2b93b; --off: #ff8a80; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-top: 1px solid var(--line); }
th { font-weight: 600; } td code, li code, p code { font-size: .9em; overflow-wrap: anywhere; }
article { border: 1px solid var(--line); border-radius: 6px; padding: .75rem 1rem; margin: 1rem 0; break-inside: avoid; }
article h3 { margin: 0; font-size: 1.05rem; } article > p { margin: .35rem 0; }
.phase { float: right; font-size: .85rem; opacity: .75; } .flag { color: var(--off); font-weight: 600; }
.columns { display: grid; grid-template-columns: repeat(3, 1fr); gap: 0 1.5rem; } @media (max-width: 48rem) { .columns { grid-template-columns: 1fr; } }
h4 { margin: .5rem 0 .1rem; font-size: .9rem; } ul, ol { margin: 0; padding-left: 1.2rem; } small { opacity: .85; }
.enforce { color: var(--on); } .partly, .observe { color: var(--part); } .off { color: var(--off); } .planned { opacity: .75; font-style: italic; }
@media print { body { max-width: none; padding: 0; font-size: 10pt; } :root { color-scheme: light; } a { color: inherit; text-decoration: none; } }`

/** The page as one HTML file: no script, nothing from elsewhere, every text escaped. */
export function htmlPage(page: ThreatPage): string {
  const controls = new Map(page.controls.map((control) => [control.id, control]))
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>Callgate: threat model</title>
<style>
${STYLE}
</style>
</head>
<body>
<h1>Threat model</h1>
<p>${text(summary(page))}</p>
<table>
<thead><tr><th>Phase</th><th>Threat</th><th>Breaks</th><th>Flag</th></tr></thead>
<tbody>
${page.threats.map((threat) => overview(threat, controls)).join('\n')}
</tbody>
</table>
<h2>Threats</h2>
${page.threats.map((threat) => article(threat, controls)).join('\n')}
<h2>Controls</h2>
<table>
<thead><tr><th>Control</th><th>State</th><th>What it does</th>${page.log === undefined ? '' : '<th>Fired</th>'}</tr></thead>
<tbody>
${page.controls.map((control) => controlRow(page, control)).join('\n')}
</tbody>
</table>
<p><small>Ids: ${FRAMEWORK_IDS.map((id) => text(FRAMEWORKS[id].source)).join('; ')}.</small></p>
</body>
</html>
`
}

type Controls = ReadonlyMap<string, PageControl>

function overview({ id, title, phase, chain, flags }: PageThreat, controls: Controls): string {
  const breaks = chain.map((control, i) => `${i + 1} ${stated(control, controls)}`).join('<br>')
  return `<tr><td>${text(phase)}</td><td><a href="#${text(id)}">${text(title)}</a></td><td>${breaks}</td><td class="flag">${flags.map(text).join('<br>')}</td></tr>`
}

function article(threat: PageThreat, controls: Controls): string {
  const { id, title, phase, story, flags, chain, tests, owner, accepted } = threat
  const chainItems = chain.map((control) => `<li>${stated(control, controls)}${note(control, controls)}</li>`)
  const bounded = threat.controls.map((control) => stated(control, controls)).join(', ')
  const ids = FRAMEWORK_IDS.filter((name) => threat.standards[name].length > 0).map(
    (name) => `${text(FRAMEWORKS[name].title)} ${threat.standards[name].map(text).join(', ')}`,
  )
  return `<article id="${text(id)}">
<h3><span class="phase">${text(phase)}</span>${text(title)}</h3>
<p>${text(story)}</p>
${flags.map((flag) => `<p class="flag">${text(flag)}</p>`).join('')}<div class="columns">
<div><h4>Where it breaks</h4><ol>${chainItems.join('')}</ol>${bounded === '' ? '' : `<small>Bounded by ${bounded}</small>`}</div>
<div><h4>What shows it</h4><ul>${itemsOf(threat.detections).map(item).join('')}</ul></div>
<div><h4>What to do</h4><ul>${itemsOf(threat.response).map(item).join('')}</ul></div>
</div>
<p><small>Proven by ${tests.map(text).join(', ')}. ${ids.join('; ')}. Owner: ${text(owner)}.</small></p>
${accepted === undefined ? '' : `<p><small>Accepted by ${text(accepted.by)} until ${text(accepted.until)}: ${text(accepted.risk)}</small></p>\n`}</article>`
}

function stated(id: string, controls: Controls): string {
  const state = controls.get(id)?.state?.state
  if (state === undefined) return text(id)
  return `${text(id)} <span class="${state}">${STATE_WORDS[state]}</span>`
}

function note(id: string, controls: Controls): string {
  const told = controls.get(id)?.state?.note
  return told === undefined ? '' : `<br><small>${text(told)}</small>`
}

function item({ name, kind, text: says }: ReturnType<typeof itemsOf>[number]): string {
  return kind === 'planned'
    ? `<li class="planned">not yet: ${text(says)} (${text(name)})</li>`
    : `<li><code>${text(name)}</code>: ${text(says)}</li>`
}

function controlRow(page: ThreatPage, control: PageControl): string {
  const { id, does, state } = control
  const told =
    state === undefined ? 'not told' : `<span class="${state.state}">${STATE_WORDS[state.state]}</span>`
  const why = state?.note === undefined ? '' : `<br><small>${text(state.note)}</small>`
  const fired = firedWords(page, control)
  return `<tr><td>${text(id)}</td><td>${told}</td><td>${text(does)}${why}</td>${fired === undefined ? '' : `<td>${text(fired)}</td>`}</tr>`
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Text as it may stand in an element or a quoted attribute; characters that no reader sees are shown as their code. */
function text(value: string): string {
  return value
    .replaceAll(/[&<>"']/g, (sign) => ESCAPES[sign] ?? sign)
    .replaceAll(/[\p{Cc}\p{Cf}]/gu, (sign) =>
      /\s/.test(sign) ? ' ' : `\\u{${sign.codePointAt(0)?.toString(16)}}`,
    )
}
