import { isJsonObject, member, type Json, type JsonObject } from '../call/json.ts'
import { encodeHeaderValue } from './era.ts'

/** One parameter of a tool that a modern host repeats in a header. Source: MCP 2026-07-28, Streamable HTTP; SEP-2243. */
export interface ParamHeader {
  /** Names of the properties that lead to the parameter, from the arguments down. */
  readonly path: readonly string[]
  /** Whole header name in lower case: `mcp-param-region`. */
  readonly name: string
  readonly type: ParamType
}

/** Types that may stand in a header; `number` may not. */
export type ParamType = 'string' | 'integer' | 'boolean'

/** Schema keyword that asks for the header. */
const KEYWORD = 'x-mcp-header'
const PREFIX = 'mcp-param-'
/** RFC 9110 section 5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

/**
 * The headers that a tool's input schema asks for.
 * @param inputSchema a schema that is at most as deep as our scanner lets through
 * @returns a problem when a modern client must drop the tool: a name that is no token or used twice, a parameter that is not a
 * string, integer or boolean, an annotation that is not reached from the root by `properties` alone
 */
export function paramHeadersOf(
  inputSchema: JsonObject,
): { readonly headers: readonly ParamHeader[] } | { readonly problem: string } {
  const headers = new Map<string, ParamHeader>()

  function visit(schema: Json, path: readonly string[], reached: boolean): string | undefined {
    if (!isJsonObject(schema)) return undefined
    const name = member(schema, KEYWORD)
    if (name !== undefined) {
      if (!reached || path.length === 0) return `\`${KEYWORD}\` stands where no chain of properties leads`
      if (typeof name !== 'string' || !TOKEN.test(name)) return `\`${KEYWORD}\` is not the name of a header`
      const type = member(schema, 'type')
      if (!isParamType(type))
        return `\`${KEYWORD}\` stands on a parameter that is no string, integer or boolean`
      const header = { path, name: PREFIX + name.toLowerCase(), type }
      if (headers.has(header.name)) return `\`${KEYWORD}\` names the same header twice`
      headers.set(header.name, header)
    }
    for (const [keyword, value] of Object.entries(schema)) {
      const problem =
        keyword === 'properties'
          ? first(named(value), ([property, child]) => visit(child, [...path, property], reached))
          : first(subschemas(keyword, value), (child) => visit(child, path, false))
      if (problem !== undefined) return problem
    }
    return undefined
  }

  const problem = visit(inputSchema, [], true)
  return problem === undefined ? { headers: [...headers.values()] } : { problem }
}

/** Keywords whose value is one schema or a list of them (JSON Schema 2020-12 and before). */
const SCHEMAS = new Set(
  'items prefixItems additionalItems contains additionalProperties unevaluatedProperties unevaluatedItems propertyNames oneOf anyOf allOf not if then else contentSchema'.split(
    ' ',
  ),
)
/** Keywords whose value holds schemas by name. */
const NAMED_SCHEMAS = new Set('patternProperties dependentSchemas dependencies $defs definitions'.split(' '))

function subschemas(keyword: string, value: Json): readonly Json[] {
  if (SCHEMAS.has(keyword)) return Array.isArray(value) ? value : [value]
  return NAMED_SCHEMAS.has(keyword) ? named(value).map(([, schema]) => schema) : []
}

function named(value: Json): [string, Json][] {
  return isJsonObject(value) ? Object.entries(value) : []
}

function first<T>(items: readonly T[], problemOf: (item: T) => string | undefined): string | undefined {
  for (const item of items) {
    const problem = problemOf(item)
    if (problem !== undefined) return problem
  }
  return undefined
}

function isParamType(type: Json | undefined): type is ParamType {
  return type === 'string' || type === 'integer' || type === 'boolean'
}

/**
 * The headers that belong to some arguments, names and encoded values. A parameter that is absent, null or not of its type has
 * none: what has another type the schema check refuses.
 */
export function expectedHeaders(
  headers: readonly ParamHeader[],
  args: JsonObject,
): [name: string, value: string][] {
  return headers.flatMap((header) => {
    const value = textOf(header, args)
    return value === undefined ? [] : [[header.name, encodeHeaderValue(value)] satisfies [string, string]]
  })
}

/**
 * Checks the headers of a call against its arguments. A header that no parameter asks for is not looked at, and like every
 * header of a host it goes no further: the gate makes those for the server from the arguments that it checked.
 * @param raw names and values in turn, as they came
 * @returns what is wrong, without any value; undefined when header and arguments say the same
 */
export function checkHeaders(
  headers: readonly ParamHeader[],
  args: JsonObject,
  raw: readonly string[],
): string | undefined {
  if (headers.length === 0) return undefined
  const got = new Map<string, string>()
  const repeated = new Set<string>()
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i]?.toLowerCase() ?? ''
    if (!name.startsWith(PREFIX)) continue
    if (got.has(name)) repeated.add(name)
    got.set(name, raw[i + 1] ?? '')
  }
  return first(headers, (header) => {
    if (repeated.has(header.name)) return `header \`${header.name}\` is there twice`
    const text = got.get(header.name)
    const value = valueAt(header, args)
    if (text === undefined)
      return textOf(header, args) === undefined ? undefined : `header \`${header.name}\` is missing`
    if (value === undefined || value === null)
      return `header \`${header.name}\` is there, its argument is not`
    const said = decodeHeaderValue(text)
    if (said === undefined) return `header \`${header.name}\` holds characters that it may not`
    // What is not of its type has no header form; the schema check tells the caller better what is wrong with it.
    const is = textOf(header, args)
    if (is === undefined || said === is || (header.type === 'integer' && isSameInteger(said, is)))
      return undefined
    return `header \`${header.name}\` does not say what its argument says`
  })
}

function valueAt({ path }: ParamHeader, args: JsonObject): Json | undefined {
  let value: Json | undefined = args
  for (const key of path) {
    if (!isJsonObject(value)) return undefined
    value = member(value, key)
  }
  return value
}

function textOf(header: ParamHeader, args: JsonObject): string | undefined {
  const value = valueAt(header, args)
  if (header.type === 'integer') return Number.isSafeInteger(value) ? String(value) : undefined
  return typeof value === header.type ? String(value) : undefined
}

/** `42.0` is 42 (specification: compare integers as numbers). At most 16 digits, so that none is rounded to a safe one. */
function isSameInteger(said: string, is: string): boolean {
  return /^-?(0|[1-9]\d{0,15})(\.0+)?$/.test(said) && Number(said) === Number(is)
}

const PLAIN = /^[\t\x20-\x7e]*$/
/** In lower case exactly, and whole: without its end the text is a plain value. */
const WRAPPED = /^=\?base64\?(.*)\?=$/

/**
 * The value of an `Mcp-Name` or `Mcp-Param-*` header, after HTTP took the white space around it away.
 * @returns undefined when it holds characters that a header may not, or is wrapped and not strict base64 over UTF-8
 */
export function decodeHeaderValue(text: string): string | undefined {
  if (!PLAIN.test(text)) return undefined
  const wrapped = WRAPPED.exec(text)?.[1]
  if (wrapped === undefined) return text
  const bytes = Buffer.from(wrapped, 'base64')
  if (bytes.toString('base64') !== wrapped) return undefined
  const value = bytes.toString('utf8')
  return Buffer.from(value, 'utf8').equals(bytes) ? value : undefined
}
