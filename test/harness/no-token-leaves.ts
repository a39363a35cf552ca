/**
 * Loaded into every gate under test by NODE_OPTIONS: whatever socket or pipe it writes to, an access token of a caller or a proof
 * of one may not be in it (ARCHITECTURE.md section 5, rule 6). One that is ends the gate, and with it the test.
 */
import { Socket } from 'node:net'

/** Exit code of a gate that let one out. */
export const LEAKED = 86

const JWT = /eyJ[\w-]{8,}\.eyJ[\w-]+\.[\w-]+/g
const OF_CALLERS = new Set(['at+jwt', 'application/at+jwt', 'dpop+jwt'])
const parse = JSON.parse

type Chunk = string | Uint8Array
type WriteGeneric = (
  writev: boolean,
  data: Chunk | readonly { readonly chunk: Chunk }[],
  ...rest: unknown[]
) => void

function check(chunk: Chunk): void {
  const text = typeof chunk === 'string' ? chunk : mayHold(chunk) ? Buffer.from(chunk).toString('latin1') : ''
  for (const [jwt] of text.matchAll(JWT)) if (OF_CALLERS.has(typOf(jwt))) leaked()
}

function mayHold(chunk: Uint8Array): boolean {
  return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length).includes('eyJ')
}

function typOf(jwt: string): string {
  try {
    const header = parse(Buffer.from(jwt.split('.')[0] ?? '', 'base64url').toString()) as { typ?: string }
    return header.typ ?? ''
  } catch {
    return ''
  }
}

function leaked(): never {
  process.stderr.write(`${new Error("a caller's token left the gate").stack}\n`)
  process.exit(LEAKED)
}

// Both ways of a stream to write come here, those of TLS before they are encrypted.
const socket = Socket.prototype as unknown as { _writeGeneric: WriteGeneric }
const write = socket._writeGeneric
socket._writeGeneric = function (this: Socket, writev, data, ...rest) {
  if (writev && Array.isArray(data)) for (const { chunk } of data as readonly { chunk: Chunk }[]) check(chunk)
  else check(data as Chunk)
  write.call(this, writev, data, ...rest)
}
