import { fileURLToPath } from 'node:url'
import { nearest } from '../text/nearest.ts'

/** Rule packs that come with the product, of its version: rules/policies/NAME.yaml. */
export const POLICY_PACKS = ['read-only', 'bulk-and-destructive', 'egress', 'memory', 'admin'] as const

const PREFIX = 'pack:'
const FOLDER = new URL('../../../../rules/policies/', import.meta.url)

/** Whether an entry of `policy.files` includes a pack by its name. A file of such a name is written `./pack:x`. */
export function isPack(entry: string): boolean {
  return entry.startsWith(PREFIX)
}

/** The file of the pack that an entry such as `pack:read-only` names; otherwise what is wrong with it. */
export function packFile(entry: string): { readonly file: string } | { readonly message: string } {
  const name = entry.slice(PREFIX.length)
  if (POLICY_PACKS.some((pack) => pack === name))
    return { file: fileURLToPath(new URL(`${name}.yaml`, FOLDER)) }
  const near = nearest(name, POLICY_PACKS)
  const expected = POLICY_PACKS.map((pack) => `\`${PREFIX}${pack}\``).join(', ')
  const hint = near === undefined ? '' : `; did you mean \`${PREFIX}${near}\``
  return { message: `names a pack that there is not (expected ${expected})${hint}` }
}

/** Whether a file is one of a pack: it is replaced with the product, so nobody may write to it. */
export function isPackFile(file: string): boolean {
  return POLICY_PACKS.some((pack) => file === fileURLToPath(new URL(`${pack}.yaml`, FOLDER)))
}

/**
 * Absolute paths of the entries of `policy.files`: packs in the folder of the product, files by `toPath`.
 * @throws TypeError for a pack that there is not: entries are checked before
 */
export function policyPaths(entries: readonly string[], toPath: (file: string) => string): string[] {
  return entries.map((entry) => {
    if (!isPack(entry)) return toPath(entry)
    const found = packFile(entry)
    if ('message' in found) throw new TypeError(`\`entries\` ${found.message}`)
    return found.file
  })
}
