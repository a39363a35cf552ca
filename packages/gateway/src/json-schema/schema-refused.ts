/**
 * The schema cannot be compiled faithfully, so its tool cannot be served: a schema that we understood only in part
 * would accept calls that the tool's author refuses.
 */
export class SchemaRefused extends Error {
  override readonly name = 'SchemaRefused'
  /** Stable name of what was refused: `ref.remote`, `pattern.lookahead`, `limit.nodes`, `keyword.minimum` ... */
  readonly construct: string
  /** JSON pointer (RFC 6901) into the schema, with the document's address in front when it is not the tool's own. */
  readonly pointer: string

  constructor(construct: string, pointer: string, message: string, options: { cause?: unknown } = {}) {
    super(message, options)
    this.construct = construct
    this.pointer = pointer
  }
}
