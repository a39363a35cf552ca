/** JSON as data. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject

/** A JSON object; read own members only (`Object.hasOwn`): keys come from strangers. */
export interface JsonObject {
  readonly [key: string]: Json
}

/** Tells an object from arrays, null and scalars. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Own member of a JSON object, undefined when absent: `__proto__` and `toString` are never found by inheritance. */
export function member(object: JsonObject, key: string): Json | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined
}

/** Own member that is a string, undefined otherwise. */
export function stringMember(object: JsonObject, key: string): string | undefined {
  const value = member(object, key)
  return typeof value === 'string' ? value : undefined
}

/** The texts of a value in its order, names of members left out: what a model reads of it. */
export function textsIn(value: Json | undefined): string[] {
  if (typeof value === 'string') return [value]
  if (Array.isArray(value)) return value.flatMap(textsIn)
  return isJsonObject(value) ? Object.keys(value).flatMap((name) => textsIn(member(value, name))) : []
}
