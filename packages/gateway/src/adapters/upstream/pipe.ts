import type { UpstreamFailed } from '../../ports/upstream.ts'

/** A channel that carries whole messages both ways: the pipes of a child, or HTTP+SSE of 2024-11-05. */
export interface Pipe {
  /** Bytes that the server has not taken yet. */
  readonly unsentBytes: number
  /** Sends one message; `onSent` tells that the whole of it reached the server, or why not where that is known apart from the end. */
  write(message: Buffer, onSent?: (failure?: UpstreamFailed) => void): void
  /** Ends it and what belongs to it. */
  close(): Promise<void>
  /** Ends it at once: the server broke the protocol. */
  kill(): void
}

/** What a pipe tells. */
export interface PipeEvents {
  onMessage(bytes: Buffer): void
  /** Bytes that are no message. */
  onNoise(bytes: number): void
  /** What came can be cut into messages no longer. */
  onBroken(failure: UpstreamFailed): void
  /** Once, behind the last message. */
  onEnd(failure: UpstreamFailed): void
}
