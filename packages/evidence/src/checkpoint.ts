import { HASH_BYTES } from './merkle.ts'
import { NoteError, openNote, signNote, strictBase64 } from './note.ts'
import type { NoteSigner, VerifierKey } from './note.ts'

/** What a log vouches for: that many leaves, that root. Source: C2SP tlog-checkpoint. */
export interface Checkpoint {
  /** Name of the log; equals the name of the key that signs it. */
  readonly origin: string
  readonly size: number
  readonly root: Buffer
}

/** What is signed of a checkpoint. */
export function checkpointText({ origin, size, root }: Checkpoint): string {
  return `${origin}\n${size}\n${root.toString('base64')}\n`
}

/** Signed note of a checkpoint whose origin is the signer's name. */
export function signCheckpoint(size: number, root: Buffer, signer: NoteSigner): string {
  return signNote(checkpointText({ origin: signer.name, size, root }), signer)
}

/** Verifies and reads a checkpoint. @throws NoteError when signature, form or origin is wrong */
export function openCheckpoint(note: Buffer, key: VerifierKey): Checkpoint {
  const checkpoint = parseCheckpoint(openNote(note, key))
  if (checkpoint.origin !== key.name) {
    throw new NoteError(`checkpoint: origin is \`${checkpoint.origin}\`, the key belongs to \`${key.name}\``)
  }
  return checkpoint
}

/** Reads the text of a checkpoint; extension lines are allowed and ignored. @throws NoteError when it is malformed */
export function parseCheckpoint(text: string): Checkpoint {
  const [origin, size, encoded, ...extensions] = text.split('\n')
  if (origin === undefined || size === undefined || encoded === undefined || origin === '') {
    throw new NoteError('checkpoint: expected the lines origin, size and root')
  }
  if (extensions.pop() !== '' || extensions.includes('')) throw new NoteError('checkpoint: empty line')
  if (!/^(0|[1-9][0-9]*)$/.test(size) || !Number.isSafeInteger(Number(size))) {
    throw new NoteError(`checkpoint: size is \`${size}\` (expected a decimal number without leading zeros)`)
  }
  const root = strictBase64(encoded)
  if (root?.length !== HASH_BYTES) throw new NoteError('checkpoint: root is not a base64 SHA-256 hash')
  return { origin, size: Number(size), root }
}
