import type { IdentifiedCall, ResolvedCall, Target } from '../../call/call.ts'
import type { ReasonCode } from '../../call/reason-code.ts'
import { Refusal } from '../../call/refusal.ts'
import { type Stage, SYNCHRONOUS_MS } from '../../call/stage.ts'
import { isTaskMethod } from '../../mcp/tasks.ts'
import type { Catalog, CatalogServer, ToolState } from '../../ports/catalog.ts'

/** Tells what the host's name means on an endpoint; undefined when it means nothing there. */
export type Resolve = (call: IdentifiedCall) => Target | undefined

/** Tells which task of which tool an id stands for; undefined when this caller holds no such task on this endpoint. */
export type OpenTask = (
  call: IdentifiedCall,
) => { readonly target: Target; readonly taskId: string } | undefined

const WITHHELD: Record<ToolState, ReasonCode> = {
  pending: 'CG_CATALOG_NOT_APPROVED',
  drifted: 'CG_CATALOG_DRIFTED',
  refused: 'CG_CATALOG_REFUSED',
}

/** Row 2: finds the server, the pinned tool and the operator's class of it. Unknown means refused (playbook Play 7, inventory). */
export function createCatalogStage(
  catalog: Catalog,
  resolve: Resolve,
  openTask: OpenTask = () => undefined,
): Stage<IdentifiedCall, ResolvedCall> {
  return {
    name: 'catalog',
    budgetMs: SYNCHRONOUS_MS,
    run(call) {
      const task = isTaskMethod(call.method) ? openTask(call) : undefined
      if (isTaskMethod(call.method) && task === undefined) throw unknownTask()
      const target = task?.target ?? resolve(call)
      const server = target === undefined ? undefined : catalog.server(target.server)
      if (target === undefined || server === undefined) {
        throw new Refusal(target === undefined ? 'CG_CATALOG_UNKNOWN_TOOL' : 'CG_CATALOG_UNKNOWN_SERVER', {
          internal: `no such ${call.method === 'tools/call' ? 'tool' : 'target'} on endpoint \`${call.caller.endpoint.server ?? '/mcp'}\``,
        })
      }
      if (task !== undefined) return resolveTask(resolveTool(call, task.target, server), task.taskId)
      if (target.kind === 'tool') return resolveTool(call, target, server)
      // The protocol's own reads: what they return is data of the server, so they count as its read class.
      return { ...call, target, class: 'read', labels: [], digest: undefined, schema: undefined }
    },
  }
}

/** A task is its tool's: withdrawn or withheld it is refused as a call would be. No arguments came, so no schema applies. */
function resolveTask(tool: ResolvedCall, taskId: string): ResolvedCall {
  return {
    ...tool,
    class: tool.method === 'tasks/get' ? 'read' : tool.class,
    schema: undefined,
    task: { taskId, class: tool.class },
  }
}

/** One answer for what was never made, was made for somebody else or on another endpoint. */
function unknownTask(): Refusal {
  return new Refusal('CG_WIRE_PARAMS', {
    publicText: 'the task is not known',
    internal: 'the task id does not open for this caller on this endpoint',
  })
}

function resolveTool(call: IdentifiedCall, target: Target, server: CatalogServer): ResolvedCall {
  const tool = server.tools.get(target.name)
  if (tool !== undefined) {
    return {
      ...call,
      target,
      class: tool.class,
      labels: tool.labels,
      digest: tool.digest,
      schema: tool.schema,
    }
  }
  const withheld = server.withheld.get(target.name)
  if (withheld !== undefined) throw new Refusal(WITHHELD[withheld.state], { internal: withheld.why, target })
  if (server.tools.size === 0 && server.state !== 'ready') {
    throw new Refusal('CG_CATALOG_NOT_READY', {
      internal: `server \`${server.id}\` has not listed its tools yet`,
    })
  }
  throw new Refusal('CG_CATALOG_UNKNOWN_TOOL', { internal: `server \`${server.id}\` has no such tool` })
}
