/** Severities of log messages, least first (RFC 5424, as MCP names them). */
const LEVELS = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency']

/** Whether a word is a severity. */
export function isLogLevel(word: string): boolean {
  return LEVELS.includes(word)
}

/**
 * Whether a message may go with a request that named this least severity. Without one no message may, and of an unknown
 * severity neither. Source: MCP 2026-07-28, server/utilities/logging.
 */
export function isLogWanted(level: unknown, least: string | undefined): boolean {
  if (typeof level !== 'string' || least === undefined || !isLogLevel(least)) return false
  return LEVELS.indexOf(level) >= LEVELS.indexOf(least)
}
