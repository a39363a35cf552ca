import { type JsonObject, stringMember, textsIn } from '../call/json.ts'
import { scoreFields } from '../text/injection/index.ts'

/**
 * How much a definition reads like instructions to the model that it does not need, where a person must look at it (SECURITY.md
 * 3.1, threat 1, tool poisoning). Name and texts are scored alone and joined, so that nothing hides in their seams.
 * @returns score from the threshold up to 1; undefined below it
 */
export function instructionRisk(definition: JsonObject): number | undefined {
  const { score, findings } = scoreFields(
    [stringMember(definition, 'name') ?? '', ...texts(definition)],
    'tool_definition',
  )
  return findings.length === 0 ? undefined : score
}

/** What a model reads of a definition besides its name: the description first, then every text in it. */
function texts(definition: JsonObject): string[] {
  const { name: _, description, ...rest } = definition
  return [...textsIn(description), ...textsIn(rest)]
}
