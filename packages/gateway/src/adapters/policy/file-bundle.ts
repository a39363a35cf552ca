import { open } from 'node:fs/promises'
import type { BundleSource } from '../../ports/policy-bundles.ts'

/** A bundle in a file, read whole at each look. @param maxBytes of a longer one nothing is read */
export function createFileBundle(path: string, maxBytes: number): BundleSource {
  return {
    async read() {
      const file = await open(path, 'r').catch((cause: unknown) => {
        const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown error'
        throw new Error(`cannot be read (${code})`, { cause })
      })
      try {
        const { size } = await file.stat()
        if (size > maxBytes) throw new Error(`is longer than ${maxBytes} bytes`)
        return await file.readFile()
      } finally {
        await file.close()
      }
    },
    forget: () => undefined,
    close: () => Promise.resolve(),
  }
}
