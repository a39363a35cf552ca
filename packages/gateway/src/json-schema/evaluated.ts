import { charge, type Run } from './run.ts'

const NONE: ReadonlySet<never> = new Set<never>()

/**
 * Which members and items of one value have been evaluated (the annotations behind `unevaluated*`, 2020-12 core s11).
 * A deep one also keeps the same for the values inside: the strict rule reads that tree once all schemas have spoken,
 * so that two schemas which describe one object in part together (allOf, `$ref`, then) are taken as one declaration.
 */
export class Evaluated {
  readonly deep: boolean
  readonly names = new Set<string>()
  /** All items before this index. Infinity when all. */
  itemsBefore = 0
  /** A schema with `properties` has described this value, so strangers among its members are refused. */
  declared = false
  private items: Set<number> | null = null
  private inner: Map<string | number, Evaluated> | null = null

  constructor(deep: boolean) {
    this.deep = deep
  }

  /** Where the schemas of one member or item note what they evaluated; null when nobody asks or it is a scalar. */
  child(step: string | number, value: unknown): Evaluated | null {
    return this.deep && typeof value === 'object' && value !== null ? this.ensure(step) : null
  }

  private ensure(step: string | number): Evaluated {
    this.inner ??= new Map()
    let child = this.inner.get(step)
    if (child === undefined) this.inner.set(step, (child = new Evaluated(true)))
    return child
  }

  children(): Iterable<[string | number, Evaluated]> {
    return this.inner ?? []
  }

  /** Notes a single item, matched by `contains`. */
  addItem(index: number): void {
    this.items ??= new Set()
    this.items.add(index)
  }

  hasItem(index: number): boolean {
    return index < this.itemsBefore || this.items?.has(index) === true
  }

  /**
   * Takes over what a branch that matched has evaluated.
   * @param declares false for a condition (`if`): it evaluates members without declaring the object.
   */
  merge(branch: Evaluated, run: Run, declares = true): void {
    const items: ReadonlySet<number> = branch.items ?? NONE
    charge(run, 1 + branch.names.size + items.size)
    for (const name of branch.names) this.names.add(name)
    for (const index of items) this.addItem(index)
    if (branch.itemsBefore > this.itemsBefore) this.itemsBefore = branch.itemsBefore
    if (declares && branch.declared) this.declared = true
    for (const [step, child] of branch.children()) this.ensure(step).merge(child, run, declares)
  }
}
