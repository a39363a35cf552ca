import type {
  AnsweredCall,
  AuthorizedCall,
  IdentifiedCall,
  ParsedCall,
  PinnedCall,
  ReceivedCall,
  RecordedCall,
  ResolvedCall,
  ScreenedCall,
} from '../call/call.ts'
import type { Stage } from '../call/stage.ts'
import { type AnyStage, startPipeline } from './pipeline.ts'

/** The stages of a call, by name. */
export interface CallStages {
  readonly identity: Stage<ReceivedCall, IdentifiedCall>
  readonly catalog: Stage<IdentifiedCall, ResolvedCall>
  readonly restore: Stage<ResolvedCall, ResolvedCall>
  readonly schema: Stage<ResolvedCall, ParsedCall>
  readonly policy: Stage<ParsedCall, AuthorizedCall>
  readonly scope: Stage<AuthorizedCall, AuthorizedCall>
  readonly dlpArguments: Stage<AuthorizedCall, ScreenedCall>
  readonly egress: Stage<ScreenedCall, PinnedCall>
  readonly record: Stage<PinnedCall, RecordedCall>
  readonly forward: Stage<RecordedCall, AnsweredCall>
  readonly dlpResults: Stage<AnsweredCall, AnsweredCall>
}

/**
 * The order of a call's stages and the reason for each place (docs/life-of-a-call.md). tools/call, resources/read and
 * prompts/get run the same rows; a stage without work for a method passes it on.
 */
export function callStages(stages: CallStages): readonly AnyStage[] {
  const pipeline = startPipeline(stages.identity) // who asks, before anything is said about what exists
    .add(stages.catalog) // what is meant: a pinned tool and the operator's class of it
    .add(stages.restore) // values for placeholders, so that what is judged is what is sent
    .add(stages.schema) // arguments that fit, before rules read them
    .add(stages.policy) // default deny
    .add(stages.scope) // what the token is for, told only to whom policy would allow it
    .add(stages.dlpArguments) // what may leave, of what policy allows
    .add(stages.egress) // where its URLs lead: names are resolved for those alone whom policy allows
    .add(stages.record) // a durable intent, before any side effect
    .add(stages.forward) // takes nothing less than a recorded call
    .add(stages.dlpResults) // what may come back
  return pipeline.stages
}
