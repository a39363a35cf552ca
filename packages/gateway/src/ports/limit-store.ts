/** A sliding window of one scope, such as the calls of a session within an hour. */
export interface Window {
  readonly key: string
  /** Length in milliseconds. */
  readonly ms: number
}

/**
 * What is limited, counted over calls. Contract: what was added is in every total until its window is over, or until it was taken
 * back; a total is never less than that, and at most a sixtieth of a window more.
 */
export interface LimitStore {
  /** What was added to a window; Infinity while an amount without a bound is in it. */
  readonly total: (window: Window) => number
  /**
   * Adds to several windows, to all of them or to none.
   * @returns takes back what was added, once; undefined: there is no room for another window
   */
  readonly add: (amounts: readonly (Window & { readonly amount: number })[]) => (() => void) | undefined
}
