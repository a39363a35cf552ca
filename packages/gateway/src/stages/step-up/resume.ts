import type { IdentifiedCall } from '../../call/call.ts'
import { type JsonObject, isJsonObject, stringMember } from '../../call/json.ts'
import { Refusal } from '../../call/refusal.ts'
import { type Stage, SYNCHRONOUS_MS } from '../../call/stage.ts'
import type { CallApprovals } from '../../ports/call-approvals.ts'

/** The gate's own tool: runs a call that has waited for approval. */
export const RESUME_TOOL = 'callgate__resume'

/** Its definition, as hosts are shown it at each endpoint. */
export const RESUME_DEFINITION: JsonObject = {
  name: RESUME_TOOL,
  title: 'Run an approved call',
  description:
    'Runs a call that was held back until somebody approves it, with the arguments that it had. Takes the id that the answer to that call named. Use it when the user says that the call was approved; until then it answers that the call still waits.',
  inputSchema: {
    type: 'object',
    properties: {
      id: { type: 'string', pattern: '^[0-9a-f]{32}$', description: 'Id of the request for approval' },
    },
    required: ['id'],
    additionalProperties: false,
  },
}

/**
 * Row 1b: a call of `callgate__resume` becomes the call that waits under its id, as its own caller made it and at the endpoint where he
 * did. It then goes through every row like any other: what policy does not allow any more is refused, approved or not.
 */
export function createResumeStage(
  approvals: Pick<CallApprovals, 'parked'> | undefined,
): Stage<IdentifiedCall, IdentifiedCall> {
  return {
    name: 'resume',
    budgetMs: SYNCHRONOUS_MS,
    run(call) {
      if (approvals === undefined || call.method !== 'tools/call' || call.requested !== RESUME_TOOL)
        return call
      const id = stringMember(call.args, 'id')
      if (id === undefined || Object.keys(call.args).length !== 1)
        throw new Refusal('CG_SCHEMA_VIOLATION', {
          publicText: `\`${RESUME_TOOL}\` takes \`id\`, the id of a request for approval, and nothing else`,
        })
      const parked = approvals.parked(id, call.principal, call.caller.endpoint.server)
      if (parked === undefined)
        throw new Refusal('CG_STEPUP_RESUME', { internal: 'no call of this caller waits under that id here' })
      const args: unknown = JSON.parse(parked.args)
      if (!isJsonObject(args)) throw new TypeError('a parked call has no arguments')
      const { requested, headers, idempotencyKey, ticket } = parked
      return {
        ...call,
        requested,
        args,
        argsBytes: Buffer.from(parked.args),
        exactNumbers: true,
        asked: { requested: call.requested, args: call.args },
        headers,
        idempotencyKey,
        ticket,
      }
    },
  }
}
