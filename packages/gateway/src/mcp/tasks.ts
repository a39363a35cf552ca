import type { CallMethod, TaskMethod } from '../call/call.ts'
import type { InputRequests } from '../call/input.ts'
import { isJsonObject, member, stringMember, type Json, type JsonObject } from '../call/json.ts'
import type { ClientCapability } from './bridge-capabilities.ts'
import type { Problem } from './bridge-requests.ts'
import { parseExact } from './json-exact.ts'
import { readInputRequests, shownRequests, urlElicitationsOf } from './mrtr.ts'

// Tasks (extension of 2026-07-28): a server answers tools/call with a handle, and the host polls for the result.
// The experimental tasks of 2025-11-25 are another protocol, which the gate does not speak.

/** Longest id that a server may give a task, in bytes of its JSON text: sealed it still fits a header. */
export const MAX_TASK_ID_BYTES = 1_024
/** Longest status message that is shown, in UTF-16 units; the rest is cut off. */
export const MAX_STATUS_MESSAGE = 1_024

const METHODS: ReadonlySet<string> = new Set<TaskMethod>(['tasks/get', 'tasks/update', 'tasks/cancel'])
const STATUSES: ReadonlySet<Json | undefined> = new Set([
  'working',
  'input_required',
  'completed',
  'cancelled',
  'failed',
])
/** As much of ISO 8601 as keeps other text out. */
const TIMESTAMP = /^\d{4}-\d{2}-\d{2}T[\d:.,]{4,24}(?:Z|[+-]\d{2}:?\d{2})$/

export function isTaskMethod(method: CallMethod): method is TaskMethod {
  return METHODS.has(method)
}

/** Whether a server answers a call with a task. */
export function isTask(result: JsonObject): boolean {
  return member(result, 'resultType') === 'task'
}

/** A task as a server tells of it. */
export interface Task {
  /** The server's own id, which no host sees. */
  readonly taskId: string
  /** The members that pass, without the id. */
  readonly members: JsonObject
}

/** Reads what a server says of a task: known members only, each of its type. */
export function readTask(result: JsonObject): Task | Problem {
  const taskId = stringMember(result, 'taskId')
  if (taskId === undefined || taskId === '' || bytesOf(taskId) > MAX_TASK_ID_BYTES)
    return { problem: `the task has no id of at most ${MAX_TASK_ID_BYTES} bytes` }
  const status = member(result, 'status')
  if (status === undefined || !STATUSES.has(status)) return { problem: 'the task has no known status' }
  const statusMessage = member(result, 'statusMessage')
  if (statusMessage !== undefined && typeof statusMessage !== 'string')
    return { problem: 'the status message of the task is no text' }
  const createdAt = member(result, 'createdAt')
  const lastUpdatedAt = member(result, 'lastUpdatedAt')
  if (!isTimestamp(createdAt) || !isTimestamp(lastUpdatedAt))
    return { problem: 'the task does not say by ISO 8601 when it was made and updated' }
  const ttlMs = member(result, 'ttlMs')
  if (ttlMs !== null && !isMs(ttlMs))
    return { problem: '`ttlMs` of the task is neither milliseconds nor null' }
  const pollIntervalMs = member(result, 'pollIntervalMs')
  if (pollIntervalMs !== undefined && !isMs(pollIntervalMs))
    return { problem: '`pollIntervalMs` of the task is no number of milliseconds' }
  return {
    taskId,
    members: {
      status,
      ...(statusMessage === undefined
        ? {}
        : { statusMessage: statusMessage.slice(0, MAX_STATUS_MESSAGE).toWellFormed() }),
      createdAt,
      lastUpdatedAt,
      ttlMs,
      ...(pollIntervalMs === undefined ? {} : { pollIntervalMs }),
    },
  }
}

/** A task as tasks/get tells of it. */
export interface TaskState {
  readonly members: JsonObject
  /** Questions of a task that waits for input; empty otherwise. */
  readonly requests: InputRequests
  /** `result` of a completed task, `error` of a failed one; empty otherwise. */
  readonly ending: JsonObject
}

/**
 * Reads the answer to tasks/get.
 * @param taskId the id that was asked for: another task's state is not for this host
 * @param allowed what was declared to the server
 */
export function readTaskState(
  result: JsonObject,
  taskId: string,
  allowed: ReadonlySet<ClientCapability>,
): TaskState | Problem {
  const type = member(result, 'resultType')
  if (type !== undefined && type !== 'complete')
    return { problem: 'the answer to a poll is of a type that it cannot have' }
  const task = readTask(result)
  if ('problem' in task) return task
  if (task.taskId !== taskId) return { problem: 'the server answers with another task' }
  const { members } = task
  const bare: TaskState = { members, requests: {}, ending: {} }
  switch (members['status']) {
    case 'input_required': {
      const read = readInputRequests(member(result, 'inputRequests') ?? null, allowed)
      return 'problem' in read ? read : { ...bare, requests: read.requests }
    }
    case 'completed': {
      const value = member(result, 'result')
      if (!isJsonObject(value) || (member(value, 'resultType') ?? 'complete') !== 'complete')
        return { problem: 'the completed task has no result' }
      return { ...bare, ending: { result: value } }
    }
    case 'failed': {
      const error = member(result, 'error')
      return isError(error) ? { ...bare, ending: { error } } : { problem: 'the failed task has no error' }
    }
    default:
      return bare
  }
}

/** A JSON-RPC error; not one of 2025-11-25 that sends a user to a URL, which no modern server has. */
function isError(error: Json | undefined): error is JsonObject {
  if (!isJsonObject(error) || stringMember(error, 'message') === undefined) return false
  return Number.isSafeInteger(member(error, 'code')) && urlElicitationsOf(error, new Set()) === undefined
}

/** A new task for its host. @param id sealed by the gate, never a server's own */
export function taskResult(id: string, { members }: Task): JsonObject {
  return { resultType: 'task', taskId: id, ...members }
}

/**
 * The state of a task for its host.
 * @param id as the host wrote it
 * @param shown the questions that are left for the host; with none of them the task goes on by itself
 */
export function taskStateResult(
  id: string,
  { members, ending }: Pick<TaskState, 'members' | 'ending'>,
  shown: InputRequests,
): JsonObject {
  const waits = members['status'] === 'input_required'
  const asks = Object.keys(shown).length > 0
  return {
    resultType: 'complete',
    taskId: id,
    ...members,
    ...(waits && !asks ? { status: 'working' } : {}),
    ...(asks ? { inputRequests: shownRequests(shown) } : {}),
    ...ending,
  }
}

/**
 * The bytes of a task's state: the ending keeps the numbers that the server wrote.
 * @param received bytes of the server's answer
 */
export function taskStateBytes(value: JsonObject, received: Uint8Array): Buffer {
  const exact = parseExact(received) ?? {}
  const ending = ['result', 'error'].flatMap((key) =>
    Object.hasOwn(value, key) && Object.hasOwn(exact, key)
      ? [[key, member(exact, key) ?? null] as const]
      : [],
  )
  return Buffer.from(JSON.stringify({ ...value, ...Object.fromEntries(ending) }))
}

function isTimestamp(value: Json | undefined): value is string {
  return typeof value === 'string' && TIMESTAMP.test(value)
}

function isMs(value: Json | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function bytesOf(text: string): number {
  return Buffer.byteLength(JSON.stringify(text))
}
