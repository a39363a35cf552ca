import { hash } from 'node:crypto'
import { type JsonObject, member, stringMember } from '../call/json.ts'
import { HEAD_BYTES, type Judged, judgeBinary, sniff } from './binary.ts'

/** Binary content as it stands in a value or a text. */
export interface BinaryContent extends Judged {
  readonly bytes: () => Buffer
}

/** A member of MCP that holds binary content. */
export interface BinaryItem extends BinaryContent {
  /** Name of the member that holds its bytes in base64. */
  readonly payload: 'data' | 'blob'
  /** The item with a text in its place, valid where it stood. */
  readonly replaced: (text: string) => JsonObject
}

/** Characters of base64 that hold HEAD_BYTES, and some white space. */
const HEAD_CHARS = 3_072
/** A text that may be base64 as a whole. Nearly every other text has a space before this. */
const BEGIN = /^\s{0,8}(?:[A-Za-z0-9+/_-](?:\r?\n)?){24}/
const WHOLE = /^[A-Za-z0-9+/_\s-]+={0,2}\s*$/
/** Media types whose bytes are text, which is screened as text. */
const TEXTUAL =
  /^(?:$|text\/|application\/(?:[\w.-]+\+)?(?:json|xml|yaml)|application\/(?:x-)?(?:javascript|ecmascript))/i

/** What hosts show as a picture, play or keep as a file: content of type image and audio, and resources with a blob. */
export function binaryItem(object: JsonObject): BinaryItem | undefined {
  const type = member(object, 'type')
  const mimeType = stringMember(object, 'mimeType')
  const data = stringMember(object, 'data')
  if ((type === 'image' || type === 'audio') && data !== undefined) {
    // Whatever an argument of some tool calls an image, such as the name of a file.
    if (mimeType === undefined && !isBase64(data)) return undefined
    const content = encoded(data, claimsOf(type, mimeType))
    return { ...content, payload: 'data', replaced: (text) => ({ type: 'text', text }) }
  }
  const [blob, uri] = [stringMember(object, 'blob'), stringMember(object, 'uri')]
  if (blob === undefined || uri === undefined) return undefined
  const content = encoded(blob, mimeType === undefined ? [] : [mimeType])
  const replaced = (text: string): JsonObject => ({ uri, mimeType: 'text/plain', text })
  return { ...content, payload: 'blob', replaced }
}

/** A text that is base64 of a known kind as a whole, line breaks aside. */
export function binaryText(text: string): BinaryContent | undefined {
  if (!BEGIN.test(text) || sniff(headOf(text)).length === 0 || !WHOLE.test(text)) return undefined
  return encoded(text, [])
}

/** A run of base64 in a text that is of a known kind. */
export function binaryRun(run: string): BinaryContent | undefined {
  return sniff(headOf(run)).length === 0 ? undefined : encoded(run, [])
}

/** Data URIs (RFC 2397) and the runs of base64 beside them. */
export const DATA_URI_OR_RUN =
  /data:([^,\s"'<>]{0,200}),([^\s"'<>()[\]{}\\^`|]*)|[A-Za-z0-9+/_-]{24,}={0,2}/gi

/**
 * What a data URI holds.
 * @param head between `data:` and the comma
 * @returns undefined for text
 */
export function dataUri(head: string, payload: string): BinaryContent | undefined {
  const isEncoded = /;\s*base64$/i.test(head)
  const [type = ''] = head.split(';', 1)
  const bytes = (text: string): Buffer => {
    const plain = text.replace(/%([0-9a-f]{2})/gi, (_, code: string) =>
      String.fromCharCode(parseInt(code, 16)),
    )
    return Buffer.from(plain, isEncoded ? 'base64' : 'latin1')
  }
  const begin = bytes(payload.slice(0, 3 * HEAD_CHARS)).subarray(0, HEAD_BYTES)
  if (TEXTUAL.test(type) && sniff(begin).length === 0) return undefined
  if (!/^[\w.+-]+\/[\w.+*-]+$|^$/.test(type)) return undefined
  return { ...judgeBinary(begin, [type === '' ? 'text/plain' : type]), bytes: () => bytes(payload) }
}

/** What stands in the place of binary content: known again when a model writes it back, and enough to find the file. */
export function noticeOf({ kind, bytes }: BinaryContent): string {
  const all = bytes()
  return `[redacted:binary.${kind}] ${all.length} bytes, sha256 ${hash('sha256', all)}`
}

/** A drawing in XML is content of type `image` by its own right, and no picture by its bytes. */
function claimsOf(type: string, mimeType: string | undefined): readonly string[] {
  if (mimeType === undefined) return [`${type}/*`]
  return /^image\/svg/i.test(mimeType) ? [mimeType] : [`${type}/*`, mimeType]
}

const isBase64 = (text: string): boolean => BEGIN.test(text) && WHOLE.test(text)

function encoded(text: string, claims: readonly string[]): BinaryContent {
  return { ...judgeBinary(headOf(text), claims), bytes: () => Buffer.from(text, 'base64') }
}

function headOf(text: string): Buffer {
  return Buffer.from(text.slice(0, HEAD_CHARS).replaceAll(/\s+/g, ''), 'base64').subarray(0, HEAD_BYTES)
}
