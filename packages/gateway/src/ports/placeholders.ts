import type { Session } from '../call/call.ts'

/**
 * Values that a session was shown as placeholders, such as `<EMAIL_1>`. Contract: a placeholder gives its value back to the session
 * that it was made for and to no other; equal values of a session have one placeholder. What is forgotten stays a placeholder.
 */
export interface Placeholders {
  /**
   * The placeholder of a value, made at its first time.
   * @param found class of what was found, such as `email` or `secret.github`
   */
  keep(session: Pick<Session, 'key'>, found: string, value: string): string
  /** Whether a session was shown any. */
  any(session: Pick<Session, 'key'>): boolean
  /** What a placeholder stands for; undefined: nothing that this session was shown, or it is forgotten. */
  value(
    session: Pick<Session, 'key'>,
    placeholder: string,
  ): { readonly found: string; readonly value: string } | undefined
}
