import { NotVouched } from './refusals.ts'

/** One token of JSON: a text, a sign, or a number or word. Of JSON that was parsed before, so nothing else can stand there. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s"{}[\],:]+/g

/**
 * Text of a member of a JSON object exactly as it is written there; undefined: no such member. A parser would not give it back, and the
 * gate signs the bytes.
 * @param json one object that JSON.parse takes
 * @throws NotVouched for a member that is there twice: another parser could read the other one
 */
export function memberOf(json: string, name: string): string | undefined {
  let depth = 0
  let key: unknown
  let from = 0
  let found: string | undefined
  for (const { 0: token, index } of json.matchAll(TOKEN)) {
    const ends = depth === 1 && (token === ',' || token === '}')
    if (ends && key === name) {
      if (found !== undefined) throw new NotVouched('malformed', `the message has two members \`${name}\``)
      found = json.slice(from, index).trim()
    }
    if (ends) key = undefined
    else if (depth === 1 && key === undefined) key = JSON.parse(token)
    else if (depth === 1 && token === ':') from = index + 1
    if (token === '{' || token === '[') depth++
    else if (token === '}' || token === ']') depth--
  }
  return found
}

/** A member that is an object, as written; undefined: there is none. @throws NotVouched for anything else */
export function objectMember(json: string, name: string): string | undefined {
  const found = memberOf(json, name)
  if (found !== undefined && !found.startsWith('{'))
    throw new NotVouched('malformed', `\`${name}\` of the message is no object`)
  return found
}
