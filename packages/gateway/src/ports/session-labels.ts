/**
 * What a session has seen, for the rules that read `session.labels`. Contract: a label that was added is durable when `add`
 * resolves and stays at least 8 hours (ARCHITECTURE.md section 3); it may be kept longer, and is never lost before.
 */
export interface SessionLabels {
  /** Labels of a session by its key, in the order of their names. */
  of(key: string, now: number): readonly string[]
  /** @throws Error when it cannot be kept: the answer that brought it must not reach the host then */
  add(key: string, label: string, now: number): Promise<void>
}
