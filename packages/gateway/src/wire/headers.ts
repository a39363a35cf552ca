import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'

/**
 * Headers of every answer of every listener (playbook Play 7, misconfiguration: header hygiene).
 * Node adds no Server or X-Powered-By, and we add none.
 */
const HYGIENE: readonly string[] = [
  'X-Content-Type-Options',
  'nosniff',
  'Cache-Control',
  'no-store',
  'Content-Security-Policy',
  "default-src 'none'; frame-ancestors 'none'",
  'Referrer-Policy',
  'no-referrer',
  'Cross-Origin-Resource-Policy',
  'same-origin',
]

/** Over TLS browsers are told to come back by TLS alone (RFC 6797), for a year. */
const OVER_TLS: readonly string[] = [...HYGIENE, 'Strict-Transport-Security', 'max-age=31536000']

/** Headers of every answer on a connection. */
export function hygieneOf(socket: Socket | null): readonly string[] {
  return socket instanceof TLSSocket ? OVER_TLS : HYGIENE
}
