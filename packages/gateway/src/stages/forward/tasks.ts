import type { Answer, RecordedCall, TaskCall } from '../../call/call.ts'
import type { InputRequests } from '../../call/input.ts'
import { type JsonObject, member } from '../../call/json.ts'
import { Refusal } from '../../call/refusal.ts'
import { allowedRequests } from '../../mcp/bridge-capabilities.ts'
import {
  isTask,
  readTask,
  readTaskState,
  taskResult,
  taskStateBytes,
  taskStateResult,
} from '../../mcp/tasks.ts'
import { UpstreamFailed } from '../../ports/upstream.ts'
import { resultsOf, unaskedAnswers, withoutRoots } from './retry.ts'
import type { TaskIds } from './task-ids.ts'

export interface TaskOptions {
  /** Capabilities that the server is told. */
  readonly capabilities: JsonObject
  /** The operator's roots of the server, as file URIs; undefined: none are declared to it. */
  readonly roots: readonly string[] | undefined
  readonly send: (method: string, head: JsonObject) => Promise<Answer>
  /** Makes durable that the gate is about to speak for itself. */
  readonly intent: () => Promise<void>
}

/**
 * The answer of a server that made a task of a call, with an id for this host.
 * @returns undefined when it made none, or none that was declared to it
 * @throws UpstreamFailed `protocol` for a task that is malformed
 */
export function taskAnswer(
  call: RecordedCall,
  answer: Answer,
  capabilities: JsonObject,
  ids: TaskIds,
): Answer | undefined {
  const taken = call.method === 'tools/call' && allowedRequests(capabilities).has('tasks')
  if (answer.kind === 'error' || !taken || !isTask(answer.value)) return undefined
  const task = readTask(answer.value)
  if ('problem' in task) throw new UpstreamFailed('protocol', task.problem)
  const { target, principal, caller } = call
  const id = ids.seal({ target, taskId: task.taskId }, principal, caller.endpoint.resource)
  return written(answer, taskResult(id, task))
}

/**
 * Polls, answers or stops a task of a server. An error of the server goes on as it came, like the error of any call.
 * @throws UpstreamFailed; Refusal CG_WIRE_PARAMS when the server is not told of tasks any more
 */
export async function forwardTask(call: RecordedCall, task: TaskCall, options: TaskOptions): Promise<Answer> {
  const { capabilities, roots, send } = options
  const allowed = allowedRequests(capabilities)
  if (!allowed.has('tasks'))
    throw new Refusal('CG_WIRE_PARAMS', {
      publicText: 'the task is not known',
      internal: `server \`${call.target.server}\` is not told of tasks any more`,
    })
  const { taskId } = task
  if (call.method !== 'tasks/get') {
    const answers =
      call.method === 'tasks/update' ? { inputResponses: unaskedAnswers(call.retry?.responses, allowed) } : {}
    const answer = await send(call.method, { taskId, ...answers })
    return answer.kind === 'error' ? answer : acknowledged(answer)
  }
  const answer = await send('tasks/get', { taskId })
  if (answer.kind === 'error') return answer
  const state = readTaskState(answer.value, taskId, allowed)
  if ('problem' in state) throw new UpstreamFailed('protocol', state.problem)
  const rest = await answerRoots(state.requests)
  const value = taskStateResult(call.requested, state, rest)
  return { ...answer, value, bytes: taskStateBytes(value, answer.bytes) }

  /** The questions that are left for the host: those about roots the gate answers itself. */
  async function answerRoots(requests: InputRequests): Promise<InputRequests> {
    const split = withoutRoots(requests, roots)
    if (Object.keys(split.own).length === 0) return requests
    await options.intent()
    await send('tasks/update', { taskId, inputResponses: resultsOf(Object.entries(split.own)) })
    return split.rest
  }
}

/** tasks/update and tasks/cancel are answered by nothing but that they arrived. */
function acknowledged(answer: Answer): Answer {
  if ((member(answer.value, 'resultType') ?? 'complete') !== 'complete')
    throw new UpstreamFailed('protocol', 'the server acknowledges by a result of another type')
  return written(answer, { resultType: 'complete' })
}

function written(answer: Answer, value: JsonObject): Answer {
  return { ...answer, value, bytes: Buffer.from(JSON.stringify(value)) }
}
