/** Where a text came from: what is suspicious in a tool's definition may be ordinary in what it returns. */
export type Surface = 'tool_definition' | 'tool_result' | 'argument' | 'prompt'

/** Something that a detector found in a text. */
export interface Finding {
  /** What it is, such as `email`, `credit_card`, `secret.github`, `hidden_text`, `injection`. */
  readonly class: string
  /** UTF-16 offsets in the text as it was given; `end` is exclusive. */
  readonly start: number
  readonly end: number
  /** How sure the detector is, from 0 to 1. */
  readonly score: number
}
