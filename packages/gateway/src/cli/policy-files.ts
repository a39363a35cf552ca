import { isPack, packFile, policyPaths } from '../config/policy-packs.ts'
import { CommandFailed } from './output.ts'

/**
 * Policy files as they are named on the command line; `pack:NAME` names a pack of the product.
 * @param toPath default: as written
 * @throws CommandFailed for a pack that there is not
 */
export function policyArguments(
  entries: readonly string[],
  toPath: (file: string) => string = (file) => file,
): string[] {
  for (const entry of entries) {
    const found = isPack(entry) ? packFile(entry) : undefined
    if (found !== undefined && 'message' in found)
      throw new CommandFailed(`\`${entry.slice(0, 80)}\` ${found.message}`)
  }
  return policyPaths(entries, toPath)
}
