/** What a client told of itself in its first message. */
export interface Opening {
  readonly protocol: unknown
  readonly client: unknown
  /** Declared capabilities as paths, such as `elicitation.form`. */
  readonly capabilities: readonly string[]
}

/** Reads the first message that a client sent, of either era. */
export function opening(message: string): Opening {
  const params = objectOf(objectOf(JSON.parse(message))['params'])
  const meta = objectOf(params['_meta'])
  // A modern client puts into the metadata of every request what a legacy one says once, in `initialize`.
  const own = (name: string): unknown => meta[`io.modelcontextprotocol/${name}`]
  const modern = own('protocolVersion') !== undefined
  return {
    protocol: modern ? own('protocolVersion') : params['protocolVersion'],
    client: objectOf(modern ? own('clientInfo') : params['clientInfo'])['name'],
    capabilities: paths(modern ? own('clientCapabilities') : params['capabilities']),
  }
}

function objectOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}

/** Paths to the leaves of an object, sorted. */
function paths(value: unknown, prefix = ''): string[] {
  return Object.entries(objectOf(value))
    .flatMap(([key, inner]) => {
      const below = paths(inner, `${prefix}${key}.`)
      return below.length === 0 ? [`${prefix}${key}`] : below
    })
    .sort()
}
