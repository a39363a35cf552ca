const HIDDEN = /[\p{Cc}\p{Cf}\u2028\u2029]/gu

/** Text of strangers as people may be shown it, on a terminal or a page: no control or hidden character reaches them (SECURITY.md 3.1, threat 2). */
export function safeText(text: string): string {
  return text.replace(HIDDEN, (c) => `\\u{${(c.codePointAt(0) ?? 0).toString(16)}}`)
}

/**
 * JSON whose text is safe on a terminal too: JSON itself escapes only the controls below U+0020, and U+009B begins a
 * terminal's command as ESC [ does. The value that a machine reads is the same.
 * @param indent spaces of one level; 0, the default: one line
 */
export function safeJson(value: unknown, indent = 0): string {
  // A line break that JSON left as it is comes from the indentation.
  return JSON.stringify(value, undefined, indent).replace(HIDDEN, (sign) =>
    sign === '\n'
      ? sign
      : Array.from(
          { length: sign.length },
          (_, i) => `\\u${sign.charCodeAt(i).toString(16).padStart(4, '0')}`,
        ).join(''),
  )
}
