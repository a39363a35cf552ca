/** What `pkcs11-tool --list-objects` writes of one object, by its words in lower case. */
type Described = ReadonlyMap<string, string>

/**
 * The public Ed25519 key of an id, out of what `pkcs11-tool --list-objects --type=pubkey` writes. Up to OpenSC 0.23 it exports no such
 * key, and lists all keys whatever id it is given.
 * @param id in hexadecimal digits
 * @returns its 32 bytes; undefined when none is listed, or more than one
 */
export function edwardsPoint(listing: string, id: string): Buffer | undefined {
  const points = objectsOf(listing)
    .filter((object) => object.get('id') === id.toLowerCase())
    .map((object) => /^(?:0420)?([0-9a-f]{64})$/.exec(object.get('ec_point') ?? '')?.[1])
  const [point] = points
  return points.length === 1 && point !== undefined ? Buffer.from(point, 'hex') : undefined
}

function objectsOf(listing: string): Described[] {
  const objects: Map<string, string>[] = []
  for (const line of listing.split(/\r?\n/)) {
    if (line.startsWith('Public Key Object; EC_EDWARDS')) objects.push(new Map())
    // Whatever else begins a line begins something else: its lines must not be taken for those of the key before it.
    else if (/^\S/.test(line)) objects.push(new Map([['other', line]]))
    const [, name, value] = /^ +(\w+): *([0-9a-f]*)/i.exec(line) ?? []
    const object = objects.at(-1)
    // Of two lines of one name the first is pkcs11-tool's: a label with a line break in it comes later.
    if (name === undefined || value === undefined || object?.has(name.toLowerCase()) !== false) continue
    object.set(name.toLowerCase(), value.toLowerCase())
  }
  return objects.filter((object) => !object.has('other'))
}
