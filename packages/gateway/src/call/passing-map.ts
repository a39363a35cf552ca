/**
 * A Map that values only pass through: what is in flight, by its key, oldest first.
 *
 * A Map of V8 that empties as fast as it fills makes itself a new table every few entries. The old table goes on pointing at
 * what it held and at the next table, and once the first of them has grown old, the chain keeps alive what ever passed until
 * a full collection: whole calls with their requests and sockets. Here a table holds cells, which are empty by then.
 */
export class PassingMap<K, V extends object> {
  readonly #cells = new Map<K, Cell<V>>()

  get size(): number {
    return this.#cells.size
  }

  get(key: K): V | undefined {
    return this.#cells.get(key)?.value
  }

  /** A key that is there already keeps its place. */
  set(key: K, value: V): void {
    const cell = this.#cells.get(key)
    if (cell === undefined) this.#cells.set(key, { value })
    else cell.value = value
  }

  delete(key: K): void {
    const cell = this.#cells.get(key)
    if (cell === undefined) return
    cell.value = undefined
    this.#cells.delete(key)
  }

  /** Like those of a Map: what is deleted meanwhile is left out, what is added comes too. */
  *values(): Generator<V, void, void> {
    for (const { value } of this.#cells.values()) if (value !== undefined) yield value
  }
}

interface Cell<V> {
  value: V | undefined
}
