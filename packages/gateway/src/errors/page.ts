import { registry } from './registry.ts'

/** Renders docs/errors.md: every reason code with what happened, how to fix it and who sees it. */
export function errorsPage(): string {
  const rows = Object.entries(registry).map(
    ([code, entry]) =>
      `| ${code} | ${cell(entry.publicText)} | ${cell(entry.fix)} | ${entry.sees} | ${entry.status} | ${entry.rpc} |`,
  )
  return `<!-- generated from packages/gateway/src/errors/registry.ts by \`npm run docs\`; do not edit -->
# Reason codes

Every refusal carries one of these codes and an evidence id; \`callgate explain <evidence id>\` tells the whole story.
"What happened" is the text that the agent reads, so it never holds rule text or data. The status is what the record holds:
a refused tool call itself is HTTP 200 with a tool result \`isError\`, other methods get the JSON-RPC code.

| Code | What happened | How to fix | Who sees it | Status | JSON-RPC |
| --- | --- | --- | --- | --- | --- |
${rows.join('\n')}
`
}

/** A bar would break the table; a tag outside code would vanish in it. */
function cell(text: string): string {
  return text
    .split('`')
    .map((part, index) => (index % 2 === 0 ? part.replaceAll('<', '&lt;') : part))
    .join('`')
    .replaceAll('|', String.raw`\|`)
}
