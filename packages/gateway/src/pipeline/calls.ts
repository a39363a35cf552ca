import type {
  AnsweredCall,
  AuthorizedCall,
  IdentifiedCall,
  OnceCall,
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
  readonly resume: Stage<IdentifiedCall, IdentifiedCall>
  readonly catalog: Stage<IdentifiedCall, ResolvedCall>
  readonly restore: Stage<ResolvedCall, ResolvedCall>
  readonly schema: Stage<ResolvedCall, ParsedCall>
  readonly policy: Stage<ParsedCall, AuthorizedCall>
  readonly scope: Stage<AuthorizedCall, AuthorizedCall>
  readonly ownership: Stage<AuthorizedCall, AuthorizedCall>
  readonly stepUp: Stage<AuthorizedCall, AuthorizedCall>
  readonly dlpArguments: Stage<AuthorizedCall, ScreenedCall>
  readonly egress: Stage<ScreenedCall, PinnedCall>
  readonly idempotency: Stage<PinnedCall, OnceCall>
  readonly claim: Stage<OnceCall, OnceCall>
  readonly record: Stage<OnceCall, RecordedCall>
  readonly forward: Stage<RecordedCall, AnsweredCall>
  readonly dlpResults: Stage<AnsweredCall, AnsweredCall>
  readonly keep: Stage<AnsweredCall, AnsweredCall>
}

/**
 * The order of a call's stages and the reason for each place (docs/life-of-a-call.md). tools/call, resources/read and
 * prompts/get run the same rows; a stage without work for a method passes it on.
 */
export function callStages(stages: CallStages): readonly AnyStage[] {
  const pipeline = startPipeline(stages.identity) // who asks, before anything is said about what exists
    .add(stages.resume) // which call, where one that waited is asked for by its id
    .add(stages.catalog) // what is meant: a pinned tool and the operator's class of it
    .add(stages.restore) // values for placeholders, so that what is judged is what is sent
    .add(stages.schema) // arguments that fit, before rules read them
    .add(stages.policy) // default deny
    .add(stages.scope) // what the token is for, told only to whom policy would allow it
    .add(stages.ownership) // whose the objects are that it names, before anybody is asked about the call
    .add(stages.stepUp) // what policy requires beside, of calls that nothing else refuses for who makes them
    .add(stages.dlpArguments) // what may leave, of what policy allows
    .add(stages.egress) // where its URLs lead: names are resolved for those alone whom policy allows
    .add(stages.idempotency) // whether it ran before: an answer that is kept outlives no right
    .add(stages.claim) // a ticket is used up by a call that is about to be sent
    .add(stages.record) // a durable intent, before any side effect
    .add(stages.forward) // takes nothing less than a recorded call
    .add(stages.dlpResults) // what may come back
    .add(stages.keep) // for whoever repeats the call, without what may not come back
  return pipeline.stages
}
