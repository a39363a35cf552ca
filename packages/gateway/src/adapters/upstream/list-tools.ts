import { isJsonObject, member, stringMember, type JsonObject } from '../../call/json.ts'
import { UpstreamFailed } from '../../ports/upstream.ts'
import type { ConnectContext, Connection } from './connection.ts'
import { codeOf } from './handshake.ts'

/**
 * Lists every page of a server's tools, each definition proven unambiguous by the scanner with its whole page.
 * A server that declares no tools is not asked.
 * @throws UpstreamFailed `protocol` for a list that is not one or never ends, `too_large` over a cap
 */
export async function listTools(
  connection: Connection,
  context: Pick<ConnectContext, 'server' | 'limits'>,
  signal: AbortSignal,
): Promise<readonly JsonObject[]> {
  const { server, limits } = context
  if (member(connection.handshake.capabilities, 'tools') === undefined) return []
  const tools: JsonObject[] = []
  let bytes = 0
  let cursor: string | undefined
  for (let page = 0; page < limits.maxPages; page++) {
    const answer = await connection.request(
      {
        method: 'tools/list',
        head: cursor === undefined ? {} : { cursor },
        argsBytes: undefined,
        meta: {},
        host: undefined,
      },
      signal,
    )
    if (answer.kind === 'error') {
      throw new UpstreamFailed(
        'protocol',
        `server \`${server}\` refused tools/list with code ${codeOf(answer)}`,
      )
    }
    bytes += answer.bytes.length
    if (bytes > limits.maxToolsBytes) throw over(server, `they take more than ${limits.maxToolsBytes} bytes`)
    const listed = member(answer.value, 'tools')
    if (!Array.isArray(listed))
      throw new UpstreamFailed('protocol', `server \`${server}\` sent a tools/list without tools`)
    for (const tool of listed) {
      if (!isJsonObject(tool) || stringMember(tool, 'name') === undefined) {
        throw new UpstreamFailed(
          'protocol',
          `server \`${server}\` lists a tool that is no object with a name`,
        )
      }
      tools.push(tool)
    }
    if (tools.length > limits.maxTools) throw over(server, `it lists more than ${limits.maxTools} tools`)
    cursor = stringMember(answer.value, 'nextCursor')
    if (cursor === undefined) return tools
  }
  throw over(server, `its tools take more than ${limits.maxPages} pages`)
}

function over(server: string, what: string): UpstreamFailed {
  return new UpstreamFailed('too_large', `tools of server \`${server}\` are over a cap: ${what}`)
}
