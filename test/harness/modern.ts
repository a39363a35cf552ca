import type { HttpAnswer, TestGate } from './gate.ts'

const PREFIX = 'io.modelcontextprotocol'

/** One modern request (2026-07-28): metadata in the body, the headers that repeat it. `headers` may replace any of them. */
export function modern(
  gate: TestGate,
  method: string,
  params: Record<string, unknown> = {},
  options: {
    path?: string
    token?: string
    version?: string
    meta?: Record<string, unknown>
    /** An empty text leaves the header out. */
    headers?: Record<string, string>
    id?: number | string | undefined
  } = {},
): Promise<HttpAnswer> {
  const { path = '/mcp', token = gate.mint({ path }), version = '2026-07-28', meta = {} } = options
  const _meta = { [`${PREFIX}/protocolVersion`]: version, [`${PREFIX}/clientCapabilities`]: {}, ...meta }
  const named = params['name'] ?? params['uri']
  const all = {
    authorization: `Bearer ${token}`,
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    'mcp-protocol-version': version,
    'mcp-method': method,
    ...(typeof named === 'string' ? { 'mcp-name': named } : {}),
    ...options.headers,
  }
  const headers = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== ''))
  const id = 'id' in options ? options.id : 1
  return gate.http(
    'POST',
    path,
    headers,
    JSON.stringify({ jsonrpc: '2.0', id, method, params: { ...params, _meta } }),
  )
}

/** The error of a JSON-RPC answer, all undefined when there is none. */
export function errorOf(answer: HttpAnswer): {
  code?: number
  message?: string
  data?: Record<string, unknown>
} {
  return (
    (answer.json() as { error?: { code?: number; message?: string; data?: Record<string, unknown> } })
      .error ?? {}
  )
}

/** The result of a JSON-RPC answer, empty when there is none. */
export function resultOf(answer: HttpAnswer): Record<string, unknown> {
  return (answer.json() as { result?: Record<string, unknown> }).result ?? {}
}
