/**
 * Claims token ids.
 * `first`: nobody claimed it before. `same`: claimed before with the same binding. `replay`: with another one. `revoked`: nobody
 * holds it any more.
 */
export type Claim = 'first' | 'same' | 'replay' | 'revoked'

/** Contract: atomic, first wins, durable before it resolves, survives a restart until `exp`. */
export interface ReplayGuard {
  /**
   * @param jti token id, scoped by its issuer: `iss` and `jti` hashed together
   * @param exp seconds since the epoch after which the claim may be forgotten
   * @param binding what the token is bound to (session key or proof key); a peer address is never a binding
   * @throws Error when the store cannot answer: the caller must refuse
   */
  claim(jti: string, exp: number, binding: string): Promise<Claim>
  /**
   * Takes a claim from whoever has it: from then on each claim of the id is `revoked`, with any binding, durably and as long as the
   * claim would have been held. An id that nobody claimed is revoked all the same.
   * @throws Error when the store cannot take it down
   */
  revoke(jti: string, exp: number): Promise<void>
}
