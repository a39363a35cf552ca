/** A call that wants to run once. Nothing of it can be read back from what is kept: id and payload are keyed hashes. */
export interface OnceKey {
  /** Whose key it is, a dot, and the key: two words of letters, digits, `_` and `-`, together at most 128 characters. */
  readonly id: string
  /** What is called with it: a word of the same letters, at most 128. The same key with another payload never runs. */
  readonly payload: string
  /** Id of the call that begins. */
  readonly call: string
  /** Seconds for which the key is remembered after its call has ended, from 1 to 86,400. */
  readonly lifeS: number
}

/**
 * What a key stands at. `first`: nobody began it, and this call may run. `differs`: it was begun with another payload.
 * `running`: its call has not ended. `unknown`: nobody can say whether its call took effect. `done`: its call took effect;
 * the answer is what `finish` was given, undefined where it is not kept (any more). `call` is the call that began it.
 */
export type Begun =
  | { readonly state: 'first' }
  | { readonly state: 'differs' | 'running' | 'unknown'; readonly call: string }
  | { readonly state: 'done'; readonly call: string; readonly answer: string | undefined }

/** How the call of a key ended. `free`: it did not run, so the key may begin again. */
export type Ending =
  | { readonly kind: 'free' | 'unknown' }
  /** @param answer printable ASCII without spaces and commas, sealed by the caller; undefined: not kept */
  | { readonly kind: 'done'; readonly answer: string | undefined }

/**
 * Remembers which keys were begun. Contract: atomic, first wins; `first` is durable before it is told. A key whose call was
 * running when the process ended is `unknown` afterwards, never free. A key is held while its call runs and `lifeS` longer; it is
 * never forgotten before to make room.
 */
export interface IdempotencyStore {
  /**
   * @throws Error when the store cannot take the key down or has no room for it: the call must not run by it
   * @throws TypeError for a malformed key
   */
  begin(key: OnceKey): Promise<Begun>
  /**
   * Ends the call of a key, for others at once and durably when it resolves; of a key that this call does not hold nothing changes.
   * @throws Error when it cannot be made durable: after a restart the key is then `unknown`
   */
  finish(id: string, call: string, ending: Ending): Promise<void>
}
