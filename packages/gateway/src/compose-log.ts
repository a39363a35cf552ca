import { join } from 'node:path'
import { EvidenceBusy } from './adapters/file/evidence-errors.ts'
import { createEvidenceLog } from './adapters/file/evidence-log.ts'
import type { GatewayConfig } from './config/declaration.ts'
import type { EvidenceLog } from './ports/evidence-log.ts'
import type { Signer } from './ports/signer.ts'

/**
 * Opens the log of this process: the first one that no other process writes (ARCHITECTURE.md section 4).
 * @param most logs that are tried
 * @throws EvidenceBusy when others write them all, EvidenceCorrupt, or the disk's error
 */
export async function openLog(
  { state, evidence: { checkpointMs, checkpointRecords } }: GatewayConfig,
  key: Signer,
  most: number,
): Promise<{ readonly log: EvidenceLog; readonly node: number; readonly directory: string }> {
  for (let node = 0; ; node++) {
    const directory = join(state, 'evidence', String(node))
    const log = createEvidenceLog({ directory, key, checkpointMs, checkpointRecords })
    try {
      await log.start()
      return { log, node, directory }
    } catch (error) {
      if (!(error instanceof EvidenceBusy) || node + 1 >= most) throw error
    }
  }
}
