import { EMPTY_ROOT, rootOf } from './merkle.ts'
import { TILE_WIDTH, edgeTiles } from './tiles.ts'
import type { Tile } from './tiles.ts'

/** A tile with its hashes. */
export interface FilledTile extends Tile {
  readonly hashes: readonly Buffer[]
}

/**
 * The right edge of a growing tree: per level the hashes of its unfinished tile, at most 255. That is all it takes to
 * append and to compute the root, so memory does not grow with the log.
 */
export class TreeEdge {
  #size: number
  readonly #levels: Buffer[][]

  private constructor(size: number, levels: Buffer[][]) {
    this.#size = size
    this.#levels = levels
  }

  /** Edge of the tree without leaves. */
  static empty(): TreeEdge {
    return new TreeEdge(0, [])
  }

  /**
   * Edge of a tree of `size` leaves from the hashes of its unfinished tiles.
   * @throws RangeError when the tiles are not those of edgeTiles(size)
   */
  static from(size: number, tiles: readonly FilledTile[]): TreeEdge {
    const levels: Buffer[][] = []
    const expected = edgeTiles(size)
    for (const { level, index, width } of expected) {
      const tile = tiles.find((one) => one.level === level && one.index === index)
      if (tile?.hashes.length !== width)
        throw new RangeError(`tree edge: level ${level} needs ${width} hashes`)
      while (levels.length < level) levels.push([])
      levels.push([...tile.hashes])
    }
    return new TreeEdge(size, levels)
  }

  /** Leaves so far. */
  get size(): number {
    return this.#size
  }

  /** Appends a leaf hash. @returns the tiles that it completes, lowest level first */
  append(leaf: Buffer): FilledTile[] {
    const filled: FilledTile[] = []
    this.#size++
    let carry: Buffer | undefined = leaf
    let hashesOfLevel = this.#size
    for (let level = 0; carry !== undefined; level++) {
      const hashes = this.#levels[level] ?? []
      this.#levels[level] = hashes
      hashes.push(carry)
      if (hashes.length < TILE_WIDTH) break
      hashesOfLevel = Math.floor(hashesOfLevel / TILE_WIDTH)
      filled.push({ level, index: hashesOfLevel - 1, width: TILE_WIDTH, hashes })
      this.#levels[level] = []
      carry = rootOf(hashes)
    }
    return filled
  }

  /** The unfinished tiles, lowest level first. */
  unfinished(): FilledTile[] {
    return edgeTiles(this.#size).map((tile) => ({ ...tile, hashes: this.#levels[tile.level] ?? [] }))
  }

  /** Root of the tree. Source: RFC 6962 s2.1. */
  root(): Buffer {
    let right: Buffer | undefined
    for (const hashes of this.#levels) {
      // What lies right of a level's complete subtrees hangs below them as one smaller subtree.
      const row = right === undefined ? hashes : [...hashes, right]
      if (row.length > 0) right = rootOf(row)
    }
    return right ?? EMPTY_ROOT
  }

  /** A copy that grows on its own. */
  copy(): TreeEdge {
    return new TreeEdge(
      this.#size,
      this.#levels.map((hashes) => [...hashes]),
    )
  }
}
