import type { EvidenceRecord, OutcomeRecord } from '@callgate/evidence'
import { parseNote } from '@callgate/evidence'

// For tests of the evidence log.

/** A well-formed outcome record of a read; `padding` makes it longer. */
export function testRecord(id: string, padding = ''): OutcomeRecord {
  return {
    v: 1,
    kind: 'outcome',
    id,
    time: '2026-11-22T20:00:00.000Z',
    call: {
      method: 'tools/call',
      server: 'crm',
      tool: 'get',
      class: 'read',
      era: 'modern',
      endpoint: '/mcp',
    },
    peer: '127.0.0.1',
    outcome: 'answered',
    internal: padding,
    ms: 1.5,
  }
}

/** The intent of a write. */
export function testIntent(id: string): EvidenceRecord {
  const { v, time, call, peer } = testRecord(id)
  return { v, kind: 'intent', id, time, call: { ...call, class: 'write' }, peer }
}

/** Text of a note, which for the file `vkey` is the key itself. */
export function parseNoteText(bytes: Buffer | undefined): {
  readonly text: string
  readonly verifierKey: string
} {
  if (bytes === undefined) throw new Error('no such file')
  const whole = bytes.toString()
  return { text: whole.includes('\n\n') ? parseNote(bytes).text : '', verifierKey: whole.trim() }
}
