export { canonicalize } from './canonical.ts'
export type { Json } from './canonical.ts'
export { checkpointText, openCheckpoint, parseCheckpoint, signCheckpoint } from './checkpoint.ts'
export type { Checkpoint } from './checkpoint.ts'
export { DsseError, dsseKeyId, isDsseKey, openEnvelope, sealEnvelope } from './dsse.ts'
export { CHECKPOINT, folderReader, readTile } from './log-reader.ts'
export type { FoundTile, LogReader } from './log-reader.ts'
export {
  EMPTY_ROOT,
  leafHash,
  nodeHash,
  proveConsistency,
  proveInclusion,
  verifyConsistency,
  verifyInclusion,
} from './merkle.ts'
export type { NodeSource } from './merkle.ts'
export {
  NoteError,
  noteOf,
  openNote,
  parseNote,
  parseVerifierKey,
  signNote,
  verifierKeyText,
} from './note.ts'
export type { NoteSigner, VerifierKey } from './note.ts'
export { MAX_SCALAR_PAYLOAD_BYTES, keyedBytesRoot, keyedHash, keyedRoot } from './payload.ts'
export { FRAME_HEADER_BYTES, PENDING, damagedAt, encodeFrame, scanPending } from './pending.ts'
export type { PendingLeaf, PendingScan } from './pending.ts'
export {
  MAX_RECORD_BYTES,
  RecordError,
  decodeRecord,
  encodeRecord,
  isRecord,
  recordProblem,
} from './record.ts'
export type {
  EvidenceRecord,
  GateRecord,
  IntentRecord,
  OutcomeRecord,
  Payload,
  RecordedDecision,
  RecordedTarget,
  RefusalsRecord,
} from './record.ts'
export { readRecords } from './records.ts'
export type { StoredRecord } from './records.ts'
export {
  TILE_WIDTH,
  decodeEntries,
  decodeTile,
  edgeTiles,
  encodeEntries,
  encodeTile,
  entriesPath,
  tilePath,
} from './tiles.ts'
export type { Tile } from './tiles.ts'
export { TreeEdge } from './tree-edge.ts'
export type { FilledTile } from './tree-edge.ts'
export { verifyLog } from './verify.ts'
export type { UnsignedTail, Verification, VerifyOptions } from './verify.ts'
export type { Problem } from './verify-tiles.ts'
