/**
 * Headers of every answer of every listener (playbook Play 7, misconfiguration: header hygiene).
 * Node adds no Server or X-Powered-By, and we add none.
 */
export const HYGIENE: readonly string[] = [
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
