/**
 * Bounds on a schema that a stranger wrote and on the work that one value may cause.
 * Crossing a load bound refuses the schema (`limit.*`); crossing a run bound is a violation with keyword `budget`.
 */
export interface SchemaLimits {
  /** Longest schema, in bytes of UTF-8 JSON. Default 262,144. */
  readonly bytes: number
  /** Deepest nesting of JSON containers in the schema. Default 64. */
  readonly depth: number
  /** Most JSON values (containers and scalars) in the schema. Default 10,000. */
  readonly nodes: number
  /** Most subschemas that apply to one and the same value after `$ref` expansion. Default 10,000. */
  readonly expansion: number
  /** Longest pattern, in UTF-16 units. Default 2,048. */
  readonly patternLength: number
  /** Largest program of one pattern after repeats are expanded, in instructions. Default 5,000. */
  readonly patternProgram: number
  /** Largest program of all patterns of one schema together, in instructions. Default 50,000: bounds the load time. */
  readonly patternPrograms: number
  /** Most distinct patterns in one schema. Default 256: each may hold 256 KiB of matcher states. */
  readonly patterns: number
  /** Steps of one validate call: one for each application of a subschema, more for costly keywords. Default 100,000. */
  readonly steps: number
  /** Nested applications of subschemas in one validate call; keeps the stack flat. Default 600. */
  readonly nesting: number
}

/** What holds when a caller names no limits. Source: SECURITY.md, schema bombs; MCP 2026-07-28 demands bounds. */
export const DEFAULT_LIMITS: SchemaLimits = {
  bytes: 262_144,
  depth: 64,
  nodes: 10_000,
  expansion: 10_000,
  patternLength: 2_048,
  patternProgram: 5_000,
  patternPrograms: 50_000,
  patterns: 256,
  steps: 100_000,
  nesting: 600,
}
