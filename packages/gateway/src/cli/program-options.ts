// What several commands have in common: options, and how they end.

export const JSON_FLAG = ['--json', 'print JSON for machines'] as const
export const CERTS_FOLDER = [
  '--dir <folder>',
  'folder of the authority; default: certs in the state folder',
] as const
export const CONFIG = [
  '-c, --config <file>',
  'callgate.yaml; default: that of the gate on this state folder, else the usual places',
] as const

/** Collects an option that may be repeated. */
export function listed(value: string, earlier: readonly string[]): readonly string[] {
  return [...earlier, value]
}

export function exit(code: number): void {
  process.exitCode = code
}
