import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

const root =
  process.env['CALLGATE_CORPORA'] ?? fileURLToPath(new URL('../../../../../shared/corpora', import.meta.url))

/**
 * Rows of one corpus file (JSON lines), from `CALLGATE_CORPORA`, else from the folder beside the checkout.
 * @returns undefined when the corpora are absent: the test is then skipped with one named reason.
 * @throws under CI=true when the corpora are absent, so that a green run never hides a missing corpus.
 */
export function corpusRows(t: TestContext, path: string): Record<string, unknown>[] | undefined {
  const file = join(root, path)
  if (!existsSync(file)) {
    const reason = `corpora absent: \`${path}\` not found; set CALLGATE_CORPORA to the folder that holds it`
    if (process.env['CI'] === 'true') throw new Error(reason)
    t.skip(reason)
    return undefined
  }
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}
