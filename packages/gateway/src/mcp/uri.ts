/** Octets that RFC 3986 section 2.3 calls unreserved: encoded they mean the same, and a normal URI has them plain. */
const ENCODED_UNRESERVED = /%(?:2d|2e|5f|7e|3\d|[46][1-9a-f]|[57][\da])/i
const DOT_SEGMENT = /[/:]\.{1,2}(?:[/?#]|$)/

/**
 * Whether a URI is written as RFC 3986 section 6.2.2 would have it, as far as servers resolve it: no `.` and `..` segments, no
 * encoded unreserved characters. Policy compares URIs as texts, and another text for the same resource would pass by a rule.
 */
export function isNormalUri(uri: string): boolean {
  return !ENCODED_UNRESERVED.test(uri) && !DOT_SEGMENT.test(uri)
}
