import { itemsOf, type PageThreat, type ThreatPage } from './page.ts'
import { FRAMEWORK_IDS, FRAMEWORKS } from './standards.ts'

/** Renders docs/threat-model.md: the page without a configuration. */
export function markdownPage(page: ThreatPage): string {
  const { threats, controls } = page
  const planned = threats
    .flatMap(({ detections, response }) => [...detections, ...response])
    .filter(({ planned: id }) => id !== undefined).length
  return `<!-- generated from rules/threats/ and packages/gateway/src/threats/ by \`npm run docs\`; do not edit -->
# Threat model

What Callgate defends against, in the order of an attack: where each attack breaks first, second and third, what shows it, and what to do
then. \`callgate threats\` prints the same page for your configuration, with every control on, partly on or off, and with \`--log\` how
often each one fired; \`--format html\` makes a page to print.

${planned} detections and steps of response are **not yet** built; they name the promise that they wait for in [coverage.md](coverage.md), as
the tests do that prove the controls. A chain with one break only is flagged: there nothing stands behind the first control.

| Phase | Threat | Breaks | Flag |
| --- | --- | --- | --- |
${threats.map(row).join('\n')}

${threats.map(section).join('\n')}
## Controls

| Control | What it does | Keys |
| --- | --- | --- |
${controls.map(({ id, does, keys }) => `| ${id} | ${cell(does)} | ${keys.map((key) => `\`${key}\``).join(', ') || 'cannot be switched off'} |`).join('\n')}

## Where the ids come from

${FRAMEWORK_IDS.map((id) => `- ${FRAMEWORKS[id].title}: ${FRAMEWORKS[id].source}.`).join('\n')}
`
}

function row({ id, title, phase, chain, flags }: PageThreat): string {
  const breaks = chain.map((control, i) => `${i + 1} ${control}`).join('<br>')
  return `| ${phase} | [${title}](#${id}) | ${breaks} | ${flags.map(cell).join('<br>')} |`
}

function section(threat: PageThreat): string {
  const { id, title, story, controls, detections, response, tests, standards, owner, accepted } = threat
  const lines = [
    `## ${id}`,
    '',
    `**${title}.** ${cell(story)}`,
    '',
    ...threat.flags.map((flag) => `> ${cell(flag)}\n`),
    `- Breaks: ${threat.chain.join(', then ')}.`,
    ...(controls.length === 0 ? [] : [`- Bounded by: ${controls.join(', ')}.`]),
    '- Shown by:',
    ...itemsOf(detections).map(item),
    '- Response:',
    ...itemsOf(response).map(item),
    `- Proven by: ${tests.join(', ')}.`,
    `- Ids: ${FRAMEWORK_IDS.filter((name) => standards[name].length > 0)
      .map((name) => `${FRAMEWORKS[name].title} ${standards[name].join(', ')}`)
      .join('; ')}.`,
    `- Owner: ${cell(owner)}.`,
    ...(accepted === undefined
      ? []
      : [`- Accepted by ${cell(accepted.by)} until ${accepted.until}: ${cell(accepted.risk)}`]),
    '',
  ]
  return lines.join('\n')
}

function item({ name, kind, text }: ReturnType<typeof itemsOf>[number]): string {
  return kind === 'planned' ? `  - **not yet**: ${cell(text)} (${name})` : `  - \`${name}\`: ${cell(text)}`
}

/** Bars would break a table, tags would vanish outside of code. */
function cell(text: string): string {
  return text
    .split('`')
    .map((part, i) => (i % 2 === 0 ? part.replaceAll('<', '&lt;') : part))
    .join('`')
    .replaceAll('|', String.raw`\|`)
}
