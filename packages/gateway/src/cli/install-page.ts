import { hostIds, osGaps, profileOf, type HostProfile, type Known, type Source } from './host-profiles.ts'

const SOURCES: Readonly<Record<Source, string>> = {
  measured: 'measured',
  source: 'source read',
  doc: 'its documentation',
  reported: 'reported by others',
}

const SYSTEMS = [
  ['linux', 'Linux'],
  ['darwin', 'macOS'],
  ['win32', 'Windows'],
] as const

/** Renders docs/hosts.md: what Callgate knows of each host, and what going through the gate does not protect. */
export function hostsPage(): string {
  return `<!-- generated from packages/gateway/src/cli/host-profiles.ts; do not edit -->
# Hosts

\`callgate install --host HOST\` puts the MCP servers of a host behind the gate: each one goes into callgate.yaml, and one
line \`callgate connect\` takes their place. It shows the diff first, keeps every other setting byte for byte, and leaves a
backup beside the file that \`--undo\` puts back. A server stays with its host, with the reason said, when it has credentials
that the gate cannot carry, speaks HTTP+SSE, or uses values that the host fills in.

| | without \`--observe\` | with \`--observe\` |
| --- | --- | --- |
| tools | wait for \`callgate servers approve\` | are approved at first sight, and pinned |
| policy | this host may read (class \`read\`) | this host may do all with its new servers; what the policy would deny is recorded |
| rules that were there | go on; deny beats allow | go on; deny beats allow |

Every tool begins as class \`write\`, but for names like \`read_*\`, \`get_*\`, \`list_*\` and \`search_*\`: look through them.
The variables of your shell do not reach the servers any more, only PATH, HOME, LANG, TMPDIR and their own \`env\`, which
moves into callgate.yaml and makes it as private as the host's file was.

## What this does not protect

${SYSTEMS.map(([system, title]) => `${title}:\n\n${list(osGaps[system])}`).join('\n\n')}

${hostIds.map((id) => section(id, profileOf(id))).join('\n\n')}
`
}

function section(id: string, profile: HostProfile): string {
  const { files, entry, toolNames } = profile
  const rows: readonly (readonly [string, string])[] = [
    ...SYSTEMS.map(([system, title]): [string, string] => [
      `files, ${title}`,
      code([...files.user[system], ...files.project]),
    ]),
    ...(profile.homeVariable === undefined
      ? []
      : [['`{home}` of the user', `\`$${profile.homeVariable}\` where it is set`] as const]),
    ['servers stand in', code(profile.places.map((place) => place.join('.')))],
    ['type words', code([entry.stdio ?? [], entry.http, entry.sse].flat()) || 'none'],
    ['a url without type', entry.urlAlone],
    ['fills in', entry.substitution === undefined ? 'nothing' : `\`${entry.substitution}\``],
    ['clientInfo', known(profile.clientInfo, code)],
    ['protocol', known(profile.protocol, code)],
    ['capabilities', known(profile.capabilities, (names) => code(names) || 'none')],
    [
      'tool names',
      known(
        toolNames,
        ({ shown, most, longer }) =>
          `\`${shown}\`, ${most === undefined ? 'no limit' : `at most ${most}; longer: ${longer}`}`,
      ),
    ],
    ['descriptions', known(profile.descriptionBytes, (bytes) => `cut after ${bytes} bytes`)],
    ['HTTP 4xx', known(profile.on4xx, (text) => text)],
    ['list_changed', known(profile.listChanged, (heard) => (heard ? 'taken' : 'not taken'))],
    ['structuredContent', known(profile.structuredContent, (text) => text)],
    ['also starts servers from', profile.elsewhere.join('; ')],
  ]
  return `## ${profile.title}

\`--host ${id}\`, version ${profile.version}

| | |
| --- | --- |
${rows.map(([name, text]) => `| ${name} | ${text.replaceAll('|', String.raw`\|`)} |`).join('\n')}`
}

function known<T>(value: Known<T>, say: (is: T) => string): string {
  if (value.from === 'not found') return 'not found'
  const note = value.note === undefined ? '' : `; ${value.note}`
  return `${say(value.is)} (${SOURCES[value.from]}${note})`
}

function code(words: readonly string[]): string {
  return words.map((word) => `\`${word}\``).join(', ')
}

function list(items: readonly string[]): string {
  return items.map((item) => `- ${item}`).join('\n')
}
