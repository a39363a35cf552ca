import type { InputRequest } from '../call/input.ts'
import { isJsonObject, member, stringMember, type Json, type JsonObject } from '../call/json.ts'
import { type ClientCapability, isAllowed } from './bridge-capabilities.ts'

/** What a peer sent cannot be used: a safe sentence for the record, with nothing of the payload in it. */
export interface Problem {
  readonly problem: string
}

/** Version from which on elicitation has modes, sampling has tools and a message several parts. */
const SINCE_2025_11_25 = '2025-11-25'
/** Version from which on there is elicitation. */
const SINCE_2025_06_18 = '2025-06-18'
/** Longest question, in bytes of its JSON text; room for images in a sampled conversation. */
export const MAX_QUESTION_BYTES = 4 * 1_048_576
/** Longest URL that a user is sent to, in UTF-16 units. */
const MAX_URL = 8_192
/** Members of sampling params that pass; a task or progress token belongs to one hop, and unknown members were never judged. */
const SAMPLING =
  'messages modelPreferences systemPrompt includeContext temperature maxTokens stopSequences metadata tools toolChoice'.split(
    ' ',
  )

/**
 * One question of a server, out of a legacy request or an entry of `inputRequests`, in one form: known members only, `mode`
 * always said, `includeContext` left out unless it was declared (a host may ignore it, and it would carry what other servers said).
 * @param allowed what was declared to this server
 */
export function readInputRequest(
  method: string,
  params: JsonObject,
  allowed: ReadonlySet<ClientCapability>,
): InputRequest | Problem {
  if (Buffer.byteLength(JSON.stringify(params)) > MAX_QUESTION_BYTES) {
    return { problem: `a question of the server is longer than ${MAX_QUESTION_BYTES} bytes` }
  }
  const request = parse(method, params)
  if ('problem' in request) return request
  if (!isAllowed(allowed, request))
    return { problem: `\`${method}\` asks what was not declared to the server` }
  if (request.method !== 'sampling/createMessage' || allowed.has('sampling.context')) return request
  const { includeContext: _, ...rest } = request.params
  return { method: request.method, params: rest }
}

function parse(method: string, params: JsonObject): InputRequest | Problem {
  switch (method) {
    case 'elicitation/create':
      return parseElicitation(params)
    case 'sampling/createMessage':
      return parseSampling(params)
    case 'roots/list':
      return { method, params: {} }
    default:
      return { problem: 'the server asks by a method that no host answers' }
  }
}

function parseElicitation(params: JsonObject): InputRequest | Problem {
  const method = 'elicitation/create'
  const message = stringMember(params, 'message')
  if (message === undefined) return { problem: `\`${method}\` has no message` }
  const mode = Object.hasOwn(params, 'mode') ? member(params, 'mode') : 'form'
  if (mode === 'form') {
    const requestedSchema = member(params, 'requestedSchema')
    if (!isFlatSchema(requestedSchema)) return { problem: `\`${method}\` asks for more than a flat form` }
    return { method, params: { mode, message, requestedSchema } }
  }
  if (mode !== 'url') return { problem: `\`${method}\` has an unknown mode` }
  const url = stringMember(params, 'url')
  if (url === undefined || !isWebUrl(url)) return { problem: `\`${method}\` names no web URL` }
  const elicitationId = stringMember(params, 'elicitationId')
  return { method, params: { mode, message, url, ...(elicitationId === undefined ? {} : { elicitationId }) } }
}

/** Fields of text, number or choice, none inside another: all that the specification lets a form ask. */
function isFlatSchema(schema: Json | undefined): schema is JsonObject {
  if (!isJsonObject(schema) || member(schema, 'type') !== 'object') return false
  const properties = member(schema, 'properties')
  return isJsonObject(properties) && Object.values(properties).every(isField)
}

function isField(field: Json): boolean {
  if (!isJsonObject(field)) return false
  const type = member(field, 'type')
  if (type !== 'array')
    return type === 'string' || type === 'number' || type === 'integer' || type === 'boolean'
  const items = member(field, 'items')
  return (
    isJsonObject(items) && (Array.isArray(member(items, 'enum')) || Array.isArray(member(items, 'anyOf')))
  )
}

/**
 * A URL that a user may be sent to. `javascript:`, `file:` and schemes of programs on his machine are no place to send him to;
 * user info and hidden characters only make another address look like the one that is opened.
 */
function isWebUrl(text: string): boolean {
  if (text.length > MAX_URL || /[\s\p{Cc}\p{Cf}\\]/u.test(text)) return false
  const url = URL.parse(text)
  if (url === null || url.username !== '' || url.password !== '') return false
  return url.protocol === 'https:' || url.protocol === 'http:'
}

function parseSampling(params: JsonObject): InputRequest | Problem {
  const method = 'sampling/createMessage'
  const messages = member(params, 'messages')
  const maxTokens = member(params, 'maxTokens')
  if (!Array.isArray(messages) || !messages.every(isSamplingMessage)) {
    return { problem: `\`${method}\` has no messages of role and content` }
  }
  if (typeof maxTokens !== 'number') return { problem: `\`${method}\` has no number as maxTokens` }
  return { method, params: pick(params, SAMPLING) }
}

/** The members of an object that are in a list, where they are there. */
export function pick(object: JsonObject, keys: readonly string[]): JsonObject {
  return Object.fromEntries(
    keys.flatMap((key) => {
      const value = member(object, key)
      return value === undefined ? [] : [[key, value] as const]
    }),
  )
}

/** A message of a model or to it: a role, and one part or several. */
export function isSamplingMessage(message: Json): message is JsonObject {
  if (!isJsonObject(message)) return false
  const role = member(message, 'role')
  if (role !== 'user' && role !== 'assistant') return false
  const content = member(message, 'content')
  return Array.isArray(content) ? content.every(isPart) : isPart(content)
}

function isPart(part: Json | undefined): boolean {
  return isJsonObject(part) && stringMember(part, 'type') !== undefined
}

/** A question as a modern host gets it: elicitation ids are gone since 2026-07-28. */
export function modernRequest({ method, params }: InputRequest): InputRequest {
  const { elicitationId: _, ...rest } = params
  return { method, params: rest }
}

/**
 * A question as the params of a request to a legacy host.
 * @param version what host and gate agreed on
 * @param elicitationId for a URL elicitation of a modern server, which gave none; unique to this question
 * @returns a problem when the version cannot carry it
 */
export function legacyRequest(
  { method, params }: InputRequest,
  version: string,
  elicitationId: string,
): { readonly params: JsonObject } | Problem {
  const tooOld: Problem = { problem: `\`${method}\` cannot be asked of a host of version \`${version}\`` }
  switch (method) {
    case 'roots/list':
      return { problem: 'roots are never asked of a host' }
    case 'elicitation/create': {
      if (version < SINCE_2025_06_18) return tooOld
      if (member(params, 'mode') === 'url') {
        return version < SINCE_2025_11_25 ? tooOld : { params: { elicitationId, ...params } }
      }
      if (version >= SINCE_2025_11_25) return { params }
      const { mode: _, ...form } = params
      return { params: form }
    }
    case 'sampling/createMessage': {
      if (version >= SINCE_2025_11_25) return { params }
      if (Object.hasOwn(params, 'tools') || Object.hasOwn(params, 'toolChoice')) return tooOld
      return { params: { ...params, messages: onePartEach(member(params, 'messages')) } }
    }
  }
}

/** Messages of several parts as several messages of one part: the same conversation in the words of before 2025-11-25. */
function onePartEach(messages: Json | undefined): Json[] {
  if (!Array.isArray(messages)) return []
  return messages.flatMap((message: Json) => {
    const content = isJsonObject(message) ? member(message, 'content') : undefined
    return isJsonObject(message) && Array.isArray(content)
      ? content.map((part: Json) => ({ ...message, content: part }))
      : [message]
  })
}
