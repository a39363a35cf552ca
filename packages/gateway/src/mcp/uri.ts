/** Octets that RFC 3986 section 2.3 calls unreserved: encoded they mean the same, and a normal URI has them plain. */
const ENCODED_UNRESERVED = /%(?:2d|2e|5f|7e|3\d|[46][1-9a-f]|[57][\da])/i
const DOT_SEGMENT = /[/:]\.{1,2}(?:[/?#]|$)/
/** No part of a URI (RFC 3986 appendix A), and read away by the parsers of the web: tabs, line ends and spaces as nothing, `\` as `/`. */
const READ_AWAY = /[\s\p{Cc}\\]/u
/** Schemes are lower case (RFC 3986 section 6.2.2.1). */
const SCHEME = /^[^A-Z:]*:/

/**
 * Whether a URI is written as RFC 3986 section 6.2.2 would have it, as far as servers resolve it: a scheme in lower case, no `.`
 * and `..` segments, nothing encoded that needs it not, nothing that a parser drops. Policy compares URIs as texts, and another
 * text for the same resource would pass by a rule.
 */
export function isNormalUri(uri: string): boolean {
  return SCHEME.test(uri) && !ENCODED_UNRESERVED.test(uri) && !DOT_SEGMENT.test(uri) && !READ_AWAY.test(uri)
}
