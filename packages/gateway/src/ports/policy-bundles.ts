/** Where signed policy bundles come from. */
export interface BundleSource {
  /**
   * Reads the bundle that is offered now. What comes is a stranger's until its signature was verified.
   * @returns `unchanged`: the one that this source gave last
   * @throws Error that says why there is none
   */
  read(): Promise<Buffer | 'unchanged'>
  /** Makes the next read whole: what was given last was not taken. */
  forget(): void
  close(): Promise<void>
}

/** A bundle that was taken, and when its source last offered it. */
export interface KeptBundle {
  readonly envelope: Buffer
  /** Milliseconds since the epoch. */
  readonly confirmedAt: number
}

/** Keeps the last good bundle over restarts. Contract: `keep` is durable when it resolves, whole or not at all. */
export interface BundleStore {
  /** @returns undefined when none was ever taken. @throws Error when what is there cannot be read */
  load(): Promise<KeptBundle | undefined>
  keep(bundle: KeptBundle): Promise<void>
  /** Notes that the kept one was offered again. */
  confirm(at: number): Promise<void>
}
