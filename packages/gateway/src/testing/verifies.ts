import { requirements } from '../../../../requirements/index.ts'

/**
 * Cites the promise that a test proves. Call it in the test, with a literal id of requirements/:
 * test/requirements.test.ts finds the citations in the text of the test files.
 * @throws TypeError when no such promise exists, so that a typing error never drops coverage
 */
export function verifies(id: string): void {
  if (!Object.hasOwn(requirements, id)) throw new TypeError(`\`${id}\` is not an id of requirements/`)
}
