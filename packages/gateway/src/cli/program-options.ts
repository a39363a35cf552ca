// Options that several commands have.

export const JSON_FLAG = ['--json', 'print JSON for machines'] as const
export const CERTS_FOLDER = [
  '--dir <folder>',
  'folder of the authority; default: certs in the state folder',
] as const
export const CONFIG = [
  '-c, --config <file>',
  'callgate.yaml; default: that of the gate on this state folder, else the usual places',
] as const
