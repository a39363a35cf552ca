/** An object that the scan knows by name. */
export interface PlanNode {
  readonly index: number
  readonly path: string
  readonly parent: PlanNode | undefined
  readonly names: PlanName[]
}

/** A name that the scan looks for in a planned object. */
export interface PlanName {
  readonly text: string
  readonly exact: Uint8Array
  readonly folded: Uint8Array
  /** Odd-case twins are refused. */
  readonly guarded: boolean
  /** The wanted value behind the name, or NOWHERE. */
  node: PlanNode
}

/** The place of every value that nobody asked for. */
export const NOWHERE: PlanNode = { index: -1, path: '', parent: undefined, names: [] }

/** The objects and wanted values of the options; the first is the document itself. */
export function createPlan(
  want: readonly string[],
  twinKeys: ReadonlyMap<string, readonly string[]>,
): PlanNode[] {
  const root: PlanNode = { index: 0, path: '', parent: undefined, names: [] }
  const plan = [root]

  function nameIn(node: PlanNode, text: string): PlanName {
    let name = node.names.find((candidate) => candidate.text === text)
    if (name === undefined) {
      const guarded = twinKeys.get(node.path)?.includes(text) === true
      name = { text, exact: Buffer.from(text), folded: Buffer.from(fold(text)), guarded, node: NOWHERE }
      node.names.push(name)
    }
    return name
  }

  function nodeFor(path: string): PlanNode {
    let node = root
    for (const text of path === '' ? [] : path.split('.')) {
      const name = nameIn(node, text)
      if (name.node === NOWHERE) {
        const below = node === root ? text : `${node.path}.${text}`
        name.node = { index: plan.length, path: below, parent: node, names: [] }
        plan.push(name.node)
      }
      node = name.node
    }
    return node
  }

  for (const [path, names] of twinKeys) for (const text of names) nameIn(nodeFor(path), text)
  for (const path of want) {
    if (path.split('.').includes('')) throw new TypeError(`wanted path \`${path}\` has an empty segment`)
    nodeFor(path)
  }
  return plan
}

/**
 * What a parser that ignores case may take a name for: the full case mappings (`ſ` is s, the Kelvin sign is k, `ß` is ss)
 * and the dotted and dotless i of simple ones.
 */
export function fold(name: string): string {
  return name.replaceAll('İ', 'i').toUpperCase().toLowerCase()
}
