import type { AnsweredCall, GrowingCall, ReceivedCall } from '../call/call.ts'
import type { Stage } from '../call/stage.ts'

/** A stage whose height in the call's growth was checked when the pipeline was built. */
export type AnyStage = Stage<GrowingCall, GrowingCall>

/** An ordered list of stages that the compiler has checked: each takes what the one before it made. */
export interface Pipeline<Out> {
  /** The finished list, for the runner. Only a pipeline that ends in an answer has one. */
  readonly stages: Out extends AnsweredCall ? readonly AnyStage[] : never
  add<Next extends Out>(stage: Stage<Out, Next>): Pipeline<Next>
}

/** Starts a pipeline with its first stage. */
export function startPipeline<Out extends ReceivedCall>(first: Stage<ReceivedCall, Out>): Pipeline<Out> {
  return extend<Out>([erase(first)])
}

function extend<Out>(stages: readonly AnyStage[]): Pipeline<Out> {
  return {
    stages: stages as Pipeline<Out>['stages'],
    add: <Next extends Out>(stage: Stage<Out, Next>) => extend<Next>([...stages, erase(stage)]),
  }
}

// The one place where a stage loses its types: the signatures above have checked the order, the runner only walks the list.
function erase<In, Out extends In>(stage: Stage<In, Out>): AnyStage {
  return stage as unknown as AnyStage
}
