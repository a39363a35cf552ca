import { dialectOf, type Dialect } from './dialect.ts'
import { pointerTo, pointerTokens } from './pointer.ts'
import { SchemaRefused } from './schema-refused.ts'
import { isArray, isObject, own, Place, type SchemaObject } from './schema-object.ts'

/** A schema with an address of its own (2020-12 core s4.3.5): a document, or a part of one with `$id`. */
export interface Resource {
  readonly uri: string
  readonly root: unknown
  readonly pointer: string
  readonly dialect: Dialect
  readonly anchors: Map<string, SchemaObject>
  readonly dynamicAnchors: Map<string, SchemaObject>
}

/** What a reference leads to. */
export interface Target {
  readonly schema: unknown
  readonly resource: Resource
  readonly pointer: string
  /** Set when the reference met a `$dynamicAnchor` of this name. */
  readonly dynamicAnchor: string | undefined
}

/** Where a known schema object stands. */
interface Standing {
  readonly resource: Resource
  readonly pointer: string
}

const ONE_SCHEMA = [
  'additionalProperties',
  'additionalItems',
  'items',
  'contains',
  'propertyNames',
  'not',
  'if',
  'then',
  'else',
  'unevaluatedItems',
  'unevaluatedProperties',
  'contentSchema',
]
const SCHEMA_LISTS = ['allOf', 'anyOf', 'oneOf', 'prefixItems', 'items']
const SCHEMA_MAPS = [
  'properties',
  'patternProperties',
  '$defs',
  'definitions',
  'dependentSchemas',
  'dependencies',
]

/** Address of a tool's schema that names none. Hierarchical, so that relative `$id`s resolve. */
const ANONYMOUS = 'tool-schema:///root'

/**
 * Addresses, anchors and references within one tool's schema. Nothing is ever fetched: a reference that leaves the
 * schema (and the given remotes) is refused as `ref.remote`. Source: MCP 2026-07-28, network `$ref` MUST NOT be fetched.
 */
export class Resources {
  readonly root: Resource
  private readonly byUri = new Map<string, Resource>()
  private readonly standings = new Map<SchemaObject, Standing>()
  private readonly remotes: ReadonlyMap<string, unknown>
  /** Whether any `$dynamicRef` was met: only then does a run keep its dynamic scope. */
  dynamic: boolean

  constructor(schema: unknown, remotes: ReadonlyMap<string, unknown>) {
    this.remotes = remotes
    this.dynamic = remotes.size > 0
    this.root = this.addDocument(schema, ANONYMOUS, '', 'open')
  }

  all(): Iterable<Resource> {
    return this.byUri.values()
  }

  standing(schema: SchemaObject): Standing {
    const standing = this.standings.get(schema)
    if (standing === undefined) throw new TypeError('schema: not part of these resources')
    return standing
  }

  /** @throws SchemaRefused `ref.remote`, `ref.unresolved` or `keyword.<name>`. */
  resolve(reference: string, from: Place, keyword: string): Target {
    const base = this.standing(from.schema).resource
    const [address = '', fragment = ''] = splitFragment(reference)
    const uri = address === '' ? base.uri : resolveUri(address, base.uri)
    const resource =
      uri === undefined ? undefined : (this.byUri.get(uri) ?? this.fetchless(uri, base.dialect))
    if (resource === undefined) {
      throw new SchemaRefused(
        'ref.remote',
        from.at(keyword),
        `\`${keyword}\` at \`${from.pointer}\` leads outside the schema, and nothing is fetched; move the target into \`$defs\``,
      )
    }
    return this.inside(resource, fragment, from, keyword)
  }

  private fetchless(uri: string, dialect: Dialect): Resource | undefined {
    return this.remotes.has(uri) ? this.addDocument(this.remotes.get(uri), uri, uri, dialect) : undefined
  }

  private inside(resource: Resource, fragment: string, from: Place, keyword: string): Target {
    const decoded = decodeFragment(fragment)
    if (decoded !== undefined && (decoded === '' || decoded.startsWith('/'))) {
      const target = this.follow(resource, decoded)
      if (target !== undefined) return target
    } else if (decoded !== undefined) {
      const schema = resource.anchors.get(decoded)
      const dynamic = resource.dynamicAnchors.has(decoded)
      if (schema !== undefined) {
        const { pointer } = this.standing(schema)
        return { schema, resource, pointer, dynamicAnchor: dynamic ? decoded : undefined }
      }
    }
    throw new SchemaRefused(
      'ref.unresolved',
      from.at(keyword),
      `\`${keyword}\` at \`${from.pointer}\` leads to nothing in the schema; correct the reference or add its target`,
    )
  }

  private follow(start: Resource, fragment: string): Target | undefined {
    let schema = start.root
    let { pointer } = start
    let resource = start
    for (const token of pointerTokens(fragment) ?? ['']) {
      const next = step(schema, token)
      if (next === undefined) return undefined
      schema = next
      pointer = pointerTo(pointer, token)
      resource = (isObject(schema) ? this.standings.get(schema)?.resource : undefined) ?? resource
    }
    if (isObject(schema)) {
      // A target under a keyword that we do not know (`#/components/...`) becomes a schema by being referred to.
      if (!this.standings.has(schema)) this.index(schema, resource, pointer)
      ;({ resource } = this.standing(schema))
    } else if (typeof schema !== 'boolean') return undefined
    return { schema, resource, pointer, dynamicAnchor: undefined }
  }

  private addDocument(schema: unknown, uri: string, pointer: string, dialect: Dialect): Resource {
    if (!isObject(schema)) return this.addResource(uri, schema, pointer, dialect)
    const place = new Place(schema, pointer)
    const document = this.addResource(uri, schema, pointer, dialectOf(place, dialect))
    this.index(schema, document, pointer)
    return this.standing(schema).resource
  }

  private addResource(uri: string, root: unknown, pointer: string, dialect: Dialect): Resource {
    const resource: Resource = { uri, root, pointer, dialect, anchors: new Map(), dynamicAnchors: new Map() }
    this.byUri.set(uri, resource)
    return resource
  }

  /** Notes a schema object and those within it; recursion is bounded by `limits.depth`. */
  private index(schema: SchemaObject, parent: Resource, pointer: string): void {
    if (this.standings.has(schema)) return
    const place = new Place(schema, pointer)
    const resource = this.resourceAt(place, parent)
    this.standings.set(schema, { resource, pointer })
    for (const keyword of ['$anchor', '$dynamicAnchor']) {
      const name = place.string(keyword)
      if (name === undefined) continue
      if (!/^[A-Za-z_][-A-Za-z0-9._]*$/.test(name)) place.malformed(keyword, 'a plain name')
      this.addAnchor(name, place, resource, keyword)
    }
    if (place.has('$dynamicRef')) this.dynamic = true
    const enter = (child: unknown, at: string): void => {
      if (isObject(child)) this.index(child, resource, at)
    }
    for (const keyword of ONE_SCHEMA) enter(own(schema, keyword), place.at(keyword))
    for (const keyword of SCHEMA_LISTS) {
      const list = own(schema, keyword)
      if (isArray(list)) list.forEach((child, at) => enter(child, place.at(keyword, at)))
    }
    for (const keyword of SCHEMA_MAPS) {
      const map = own(schema, keyword)
      if (isObject(map)) for (const key of Object.keys(map)) enter(own(map, key), place.at(keyword, key))
    }
  }

  private resourceAt(place: Place, parent: Resource): Resource {
    const id = place.string('$id')
    const isRoot = place.schema === parent.root
    const dialect = dialectOf(place, parent.dialect)
    if (!isRoot && dialect !== parent.dialect) place.malformed('$schema', 'the dialect of the whole schema')
    if (id === undefined) return parent
    const old = dialect === 'draft-06' || dialect === 'draft-07'
    const [address = '', fragment = ''] = splitFragment(id)
    if (fragment !== '' && !(old && address === '')) place.malformed('$id', 'an address without a fragment')
    if (old && place.has('$ref'))
      place.malformed('$id', 'no address beside `$ref`, which hides it in this draft')
    if (fragment !== '') {
      this.addAnchor(fragment, place, parent, '$id')
      return parent
    }
    if (address === '') return parent
    const uri = resolveUri(address, parent.uri)
    if (uri === undefined) return place.malformed('$id', 'a valid URI reference')
    const twin = this.byUri.get(uri)
    if (twin !== undefined && twin.root !== place.schema) this.ambiguous(place, '$id')
    if (twin !== undefined) return twin
    return this.addResource(uri, place.schema, place.pointer, dialect)
  }

  private addAnchor(name: string, place: Place, resource: Resource, keyword: string): void {
    const twin = resource.anchors.get(name)
    if (twin !== undefined && twin !== place.schema) this.ambiguous(place, keyword)
    resource.anchors.set(name, place.schema)
    if (keyword === '$dynamicAnchor') resource.dynamicAnchors.set(name, place.schema)
  }

  private ambiguous(place: Place, keyword: string): never {
    throw new SchemaRefused(
      'ref.ambiguous',
      place.at(keyword),
      `\`${keyword}\` at \`${place.pointer}\` names what another part of the schema is named already; rename one`,
    )
  }
}

function step(schema: unknown, token: string): unknown {
  if (isObject(schema)) return own(schema, token)
  return isArray(schema) && /^(0|[1-9]\d{0,5})$/.test(token) ? schema[Number(token)] : undefined
}

function splitFragment(reference: string): [string, string] {
  const at = reference.indexOf('#')
  return at < 0 ? [reference, ''] : [reference.slice(0, at), reference.slice(at + 1)]
}

function resolveUri(reference: string, base: string): string | undefined {
  return URL.parse(reference, base)?.href
}

function decodeFragment(fragment: string): string | undefined {
  try {
    return decodeURIComponent(fragment)
  } catch {
    return undefined // a stray `%`: no anchor and no pointer has this name
  }
}
