import { profileOf, type HostProfile } from './host-profiles.ts'
import { unifiedDiff } from './install-diff.ts'
import type { Shown } from './install-document.ts'
import { maskJson } from './install-json-document.ts'
import { textOf, type FileChange, type InstallPlan } from './install-plan.ts'
import { shownUrl, shownWord } from './install-server.ts'
import { maskYaml } from './install-yaml.ts'
import { safeText } from '../text/safe-text.ts'

/** A change as it may be shown: nothing in it but what `install` itself reads and writes, and no secret. */
export interface ShownChange {
  readonly file: string
  readonly diff: readonly string[]
}

/** A host's file before and after. Its other settings are masked: they may hold the tokens of the host itself. */
export function hostDiff(profile: HostProfile, change: Pick<FileChange, 'file' | 'text'>): ShownChange {
  const mask = profile.format === 'json' ? maskJson : maskYaml
  const [place = ''] = profile.places[0] ?? []
  const shown: Shown = (path, value, before) => {
    const at = path.lastIndexOf(place)
    return at === -1 ? undefined : shownMember(path.slice(at + 2), value, before)
  }
  const before = change.file.text.trim() === '' ? '' : mask(textOf(profile, change.file), shown)
  return shownChange(change.file.path, before, change.text === '' ? '' : mask(change.text, shown))
}

/** The files of the gate. A policy file is new and ours; callgate.yaml is masked like a host's file. */
export function gateChanges({ gate, policies }: InstallPlan): ShownChange[] {
  const shown: Shown = (path, value, before) => {
    if (path[0] === 'servers') return shownMember(path.slice(2), value, before)
    return path[0] === 'policy' || path[0] === 'identity' || path[0] === 'state' ? value : undefined
  }
  return [
    ...policies.map(({ file, text }) => shownChange(file.path, '', text)),
    ...(gate === undefined
      ? []
      : [
          shownChange(
            gate.file.path,
            maskYaml(gate.file.text, shown),
            maskYaml(gate.text, shown, gate.file.bytes === undefined ? 'comments shown' : 'comments masked'),
          ),
        ]),
  ]
}

function shownMember(
  path: readonly (string | number)[],
  value: string,
  before: string | undefined,
): string | undefined {
  const [member] = path
  if (member === 'url') return shownUrl(value)
  if (member === 'command' || member === 'args') return shownWord(value, before)
  if (member === 'cwd' || member === 'type' || member === 'name') return value
  return member === 'network' || member === 'approve' || member === 'tools' ? value : undefined
}

function shownChange(file: string, before: string, after: string): ShownChange {
  const diff = unifiedDiff(before, after)
  return { file, diff: diff.map((line) => line.split('\t').map(safeText).join('\t')) }
}

/** What is planned, before the diffs: one line for each server. */
export function planLines({ files }: InstallPlan): string[] {
  return files.flatMap(({ host, path, moved, stays, change }) => [
    `${profileOf(host).title}: ${safeText(path)}${change !== undefined ? '' : stays.length > 0 ? ' has nothing to move' : ' already goes through the gate'}`,
    ...moved.map(
      ({ name, id, behind }) =>
        `  ${safeText(name)} goes behind the gate as ${id}${behind.length === 0 ? '' : `; left behind: ${safeText(behind.join(', '))}`}`,
    ),
    ...stays.map(({ name, why }) => `  ${safeText(name)} stays as it is: ${safeText(why)}`),
  ])
}
