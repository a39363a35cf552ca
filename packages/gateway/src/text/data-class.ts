/** Kinds of data that are found in texts. A finding names one of them, or a part of one behind a dot, such as `secret.github`. */
export const DATA_CLASSES = [
  'email',
  'phone',
  'credit_card',
  'iban',
  'ssn',
  'national_id',
  'passport',
  'date_of_birth',
  'ip_address',
  'mac_address',
  'secret',
  'hidden_text',
  'person',
  'location',
] as const

export type DataClass = (typeof DATA_CLASSES)[number]

/** The kind that a finding's class belongs to; undefined for one that nobody can configure. */
export function dataClassOf(found: string): DataClass | undefined {
  const [name] = found.split('.', 1)
  return DATA_CLASSES.find((known) => known === name)
}
