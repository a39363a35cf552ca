/** General categories by their ECMA-262 long names (table 68); short names are RE2's own. */
const CATEGORIES: ReadonlyMap<string, string> = new Map([
  ['Letter', 'L'],
  ['Cased_Letter', 'LC'],
  ['Uppercase_Letter', 'Lu'],
  ['Lowercase_Letter', 'Ll'],
  ['Titlecase_Letter', 'Lt'],
  ['Modifier_Letter', 'Lm'],
  ['Other_Letter', 'Lo'],
  ['Mark', 'M'],
  ['Combining_Mark', 'M'],
  ['Nonspacing_Mark', 'Mn'],
  ['Spacing_Mark', 'Mc'],
  ['Enclosing_Mark', 'Me'],
  ['Number', 'N'],
  ['Decimal_Number', 'Nd'],
  ['digit', 'Nd'],
  ['Letter_Number', 'Nl'],
  ['Other_Number', 'No'],
  ['Punctuation', 'P'],
  ['punct', 'P'],
  ['Connector_Punctuation', 'Pc'],
  ['Dash_Punctuation', 'Pd'],
  ['Open_Punctuation', 'Ps'],
  ['Close_Punctuation', 'Pe'],
  ['Initial_Punctuation', 'Pi'],
  ['Final_Punctuation', 'Pf'],
  ['Other_Punctuation', 'Po'],
  ['Symbol', 'S'],
  ['Math_Symbol', 'Sm'],
  ['Currency_Symbol', 'Sc'],
  ['Modifier_Symbol', 'Sk'],
  ['Other_Symbol', 'So'],
  ['Separator', 'Z'],
  ['Space_Separator', 'Zs'],
  ['Line_Separator', 'Zl'],
  ['Paragraph_Separator', 'Zp'],
  ['Control', 'Cc'],
  ['cntrl', 'Cc'],
  ['Format', 'Cf'],
  ['Surrogate', 'Cs'],
  ['Private_Use', 'Co'],
])
const SHORT = new Set(CATEGORIES.values())

/**
 * RE2 class for the inside of `\p{...}`, undefined when there is none of equal meaning.
 * `C` and `Cn` are left out: what is unassigned differs between the Unicode editions of engine and tool.
 */
export function re2Property(property: string, negated: boolean): string | undefined {
  const escape = negated ? '\\P' : '\\p'
  if (property === 'ASCII') return negated ? '\\x{80}-\\x{10FFFF}' : '\\x{0}-\\x{7F}'
  if (property === 'Any') return negated ? undefined : '\\x{0}-\\x{10FFFF}'
  const [name = '', value] = property.split('=')
  if (value === undefined) return categoryClass(name, escape)
  if (name === 'General_Category' || name === 'gc') return categoryClass(value, escape)
  if (name === 'Script' || name === 'sc')
    return /^[A-Z][a-z]{4,}(_[A-Z][a-z]+)*$/.test(value) ? `${escape}{${value}}` : undefined
  return undefined
}

function categoryClass(name: string, escape: string): string | undefined {
  const category = CATEGORIES.get(name) ?? (SHORT.has(name) ? name : undefined)
  return category === undefined ? undefined : `${escape}{${category}}`
}
