import { createServer } from 'node:http'
import { parseArgs } from 'node:util'
import { readMessage, sendError } from './backend-http.ts'
import { LegacyEndpoint } from './backend-legacy.ts'
import { ModernEndpoint } from './backend-modern.ts'
import { serveStdio } from './backend-stdio.ts'
import { Fixture } from './fixture.ts'
import { LEGACY } from './fixture-legacy.ts'
import { MODERN } from './fixture-modern.ts'

/** A running fixture backend. */
export interface Backend {
  /** Its MCP endpoint. */
  readonly url: string
  close(): void
}

/** Which protocol eras a server speaks. */
export const ERAS = ['legacy', 'modern', 'both'] as const
export type Eras = (typeof ERAS)[number]

/**
 * The MCP server that the conformance suite is run against: every tool, prompt and resource that it asks for, in either era
 * or both, on Streamable HTTP at 127.0.0.1. It knows nothing of the gate.
 * @param port default 0, which takes a free one
 */
export function startBackend(eras: Eras, port = 0): Promise<Backend> {
  const fixture = new Fixture()
  const legacy = eras === 'modern' ? undefined : new LegacyEndpoint(fixture)
  const versions = modernVersions(eras)
  const modern = versions === undefined ? undefined : new ModernEndpoint(fixture, versions)
  let own = new Set<string>()

  const server = createServer((request, response) => {
    const { method, headers } = request
    // DNS rebinding: a browser that was led here names another host, or another origin.
    const foreign =
      !own.has(headers.host ?? '') ||
      (headers.origin !== undefined && !own.has(headers.origin.replace(/^http:\/\//, '')))
    if (foreign) return sendError(response, 403, -32000, 'this Host or Origin is not served')
    if (request.url !== '/mcp') return sendError(response, 404, -32000, 'only /mcp is served')
    if (method === 'GET' && legacy?.owns(request)) return legacy.get(request, response)
    if (method === 'DELETE' && legacy?.owns(request)) return legacy.delete(request, response)
    if (method !== 'POST') {
      response.setHeader('allow', 'POST')
      return sendError(response, 405, -32000, 'method not allowed')
    }
    void readMessage(request).then(
      async (message) => {
        if (message === undefined) return sendError(response, 400, -32700, 'not a JSON object')
        if (modern !== undefined && (legacy === undefined || modern.owns(request, message))) {
          return modern.post(request, response, message)
        }
        return legacy?.post(request, response, message)
      },
      () => request.destroy(),
    )
  })
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => {
      const address = server.address()
      if (typeof address !== 'object' || address === null) throw new TypeError('no port')
      own = new Set([`127.0.0.1:${address.port}`, `localhost:${address.port}`])
      resolve({
        url: `http://127.0.0.1:${address.port}/mcp`,
        close() {
          server.close()
          server.closeAllConnections()
        },
      })
    })
  })
}

/** What a server with the modern era says that it speaks; undefined when it knows nothing of that era. */
function modernVersions(eras: Eras): readonly string[] | undefined {
  if (eras === 'legacy') return undefined
  return eras === 'both' ? [...MODERN, ...LEGACY] : MODERN
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      era: { type: 'string', default: 'both' },
      port: { type: 'string', default: '0' },
      stdio: { type: 'boolean', default: false },
    },
  })
  const eras = ERAS.find((era) => era === values.era)
  if (eras === undefined) {
    console.error(`backend: \`--era\` is \`${values.era}\` (expected ${ERAS.join(', ')})`)
    process.exit(2)
  }
  if (values.stdio) serveStdio(eras !== 'modern', modernVersions(eras))
  else console.log((await startBackend(eras, Number(values.port))).url)
}
