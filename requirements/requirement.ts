/** One promise: what Callgate does, and the line that asks for it. */
export interface Requirement {
  /** Line of the playbook, or standard and section. */
  readonly source: string
  /** What holds, stated as a fact that a test can prove. */
  readonly behaviour: string
  /** What the promise waits for. Absent: it is built, and a test cites it. */
  readonly deferred?: string
}
