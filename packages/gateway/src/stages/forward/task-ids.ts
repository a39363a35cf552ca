import type { Principal, Target } from '../../call/call.ts'
import { isJsonObject, stringMember } from '../../call/json.ts'
import type { KeyRing } from '../../ports/key-ring.ts'

/** A task behind the id that its host holds. */
export interface OpenedTask {
  readonly target: Target
  /** The server's own id. */
  readonly taskId: string
}

/**
 * Ids of tasks as hosts hold them: the server, the tool and the server's own id, sealed. So the gate keeps no table of tasks,
 * no server ever gets an id that another one gave, and an id says nothing to who holds it.
 *
 * It opens for the principal that made the call, on the endpoint of that call, and not for the session alone: hosts are told to
 * keep ids on disk and to poll on after a crash (tasks, polling), when their session has long become another one.
 */
export function createTaskIds(keys: KeyRing) {
  const bound = ({ token, tenant, actor, subject, clientId }: Principal, resource: string): string =>
    JSON.stringify([token.iss, tenant, actor.id, subject, clientId, resource])
  return {
    seal({ target, taskId }: OpenedTask, principal: Principal, resource: string): string {
      const text = JSON.stringify({ server: target.server, tool: target.name, taskId })
      return keys.seal('task', Buffer.from(text), bound(principal, resource))
    },

    /** @returns undefined when it is not ours, not this principal's or not of this endpoint */
    open(sealed: string, principal: Principal, resource: string): OpenedTask | undefined {
      const text = keys.open('task', sealed, bound(principal, resource))?.toString('utf8')
      const task: unknown = text === undefined ? undefined : JSON.parse(text)
      if (!isJsonObject(task)) return undefined
      const server = stringMember(task, 'server')
      const name = stringMember(task, 'tool')
      const taskId = stringMember(task, 'taskId')
      if (server === undefined || name === undefined || taskId === undefined) return undefined
      return { target: { server, kind: 'tool', name }, taskId }
    },
  }
}

export type TaskIds = ReturnType<typeof createTaskIds>
