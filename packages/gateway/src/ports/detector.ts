import type { Finding } from '../text/finding.ts'

/** Finds in texts what has no form of its own, such as names of people and places, in a process that is not ours. */
export interface Detector {
  /**
   * One question for all texts.
   * @returns findings of the texts that have any, by text, in UTF-16 offsets; they may overlap
   * @throws DetectorDown when there is no whole answer that can be believed: nothing is known of any text then
   */
  detect(texts: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, readonly Finding[]>>
  close(): Promise<void>
}

/** Why there is no answer. INVARIANT: the message holds nothing of a text, of an answer or of a secret. */
export class DetectorDown extends Error {
  override readonly name = 'DetectorDown'
}
