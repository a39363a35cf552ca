import { open } from 'node:fs/promises'
import { readPolicy, type PolicyDocument } from './document.ts'
import { isLiteral } from './glob.ts'
import { compilePolicy, type PolicySet } from './policy-set.ts'
import { didYouMean, nearestName, type Problem } from './problem.ts'
import { isExpired, type EnforcedEarly, type Rule } from './rule.ts'
import type { PolicyTool } from './rule-index.ts'
import { MAX_FILE_LENGTH } from './yaml-source.ts'

/** A policy file with its text. */
export interface PolicyFile {
  readonly file: string
  readonly text: string
}

/** What `callgate policy check` says. */
export interface PolicyCheck {
  readonly problems: readonly Problem[]
  readonly warnings: readonly Problem[]
}

/**
 * Reads and compiles policy files. Never throws: a file that cannot be read is a problem like any other.
 * @param bundle files of a signed bundle, which come after the others. Default none
 * @param early for whom rules on trial are enforced already. Default: for nobody
 */
export async function loadPolicyFiles(
  paths: readonly string[],
  bundle: readonly PolicyFile[] = [],
  early?: EnforcedEarly,
): Promise<{ set: PolicySet } | { problems: Problem[] }> {
  if (paths.length === 0 && bundle.length === 0) {
    const message =
      'no policy file (expected at least one; without a rule that allows it every call is refused)'
    return { problems: [{ file: 'policy.files', line: undefined, column: undefined, message }] }
  }
  const read = await readPolicyFiles(paths)
  return 'problems' in read
    ? read
    : compilePolicy(
        [...read.files, ...bundle].map(({ file, text }) => readPolicy(file, text)),
        undefined,
        early,
      )
}

/** Reads policy files, at most 4 MiB of UTF-8 each. */
export async function readPolicyFiles(
  paths: readonly string[],
): Promise<{ files: PolicyFile[] } | { problems: Problem[] }> {
  const files: PolicyFile[] = []
  const problems: Problem[] = []
  for (const file of paths) {
    const text = await readText(file)
    if (typeof text === 'string') files.push({ file, text })
    else problems.push({ file, line: undefined, column: undefined, message: text.message })
  }
  return problems.length > 0 ? { problems } : { files }
}

/**
 * Everything that is wrong, and everything that will surprise, in these files for these tools.
 * @param tools pinned tools; undefined when none are known, and then nothing is said of tool names
 */
export function checkPolicy(
  files: readonly PolicyFile[],
  tools: readonly PolicyTool[] | undefined,
  now: number = Date.now(),
): PolicyCheck {
  const documents = files.map(({ file, text }) => readPolicy(file, text))
  return checkDocuments(documents, tools, now)
}

export function checkDocuments(
  documents: readonly PolicyDocument[],
  tools: readonly PolicyTool[] | undefined,
  now: number,
): PolicyCheck {
  const compiled = compilePolicy(documents)
  if ('problems' in compiled) return { problems: compiled.problems, warnings: [] }
  const fit = compiled.set.recheck(tools ?? [])
  const surprises = compiled.set.rules.flatMap((rule) => surprisesOf(rule, tools, now))
  return { problems: unique(fit.problems), warnings: unique([...fit.warnings, ...surprises]) }
}

/**
 * Rules that allow every tool to everyone whatever they ask: with one of them the default is not deny. Refused by --strict.
 * Rules that only observe, or that select by anything else, are none.
 */
export function defaultAllows(files: readonly PolicyFile[]): Problem[] {
  return files.flatMap(({ file, text }) =>
    readPolicy(file, text).rules.flatMap(({ id, when, cond, decision, mode, line, column }) => {
      const keys = Object.keys(when)
      const every = keys.every((key) => key === 'tool') && (when.tool?.patterns.includes('*') ?? true)
      if (decision !== 'allow' || mode !== 'enforce' || cond !== undefined || !every) return []
      const message = `rule \`${id}\` allows every tool to everyone, which --strict refuses; name what is allowed`
      return [{ file, line, column, message }]
    }),
  )
}

function surprisesOf(rule: Rule, tools: readonly PolicyTool[] | undefined, now: number): Problem[] {
  const { source } = rule
  const found: Problem[] = []
  const say = (message: string): void => {
    found.push({
      file: source.file,
      line: source.line,
      column: source.column,
      message: `rule \`${source.id}\`: ${message}`,
    })
  }
  if (isExpired(rule, now)) {
    const day = new Date(source.until ?? 0).toISOString().slice(0, 10)
    const effect = source.decision === 'allow' ? 'it grants nothing any more' : 'it still applies'
    say(`\`until\` was ${day}, ${effect}; renew it or remove the rule`)
  }
  const names = tools?.map((tool) => `${tool.server}.${tool.name}`)
  for (const pattern of source.when.tool?.patterns ?? []) {
    if (!pattern.includes('.') && !pattern.includes('*')) {
      say(`\`${pattern}\` matches no tool: tools are named \`<server>.<tool>\``)
    } else if (names !== undefined && isLiteral(pattern) && !names.includes(pattern)) {
      say(
        `tool \`${pattern}\` is not known; the rule is checked when it is pinned${didYouMean(nearestName(pattern, names))}`,
      )
    }
  }
  return found
}

/** One fault of a rule shows up once for every tool of a glob; identical lines are said once. */
function unique(problems: readonly Problem[]): Problem[] {
  const seen = new Map(
    problems.map((problem) => [
      `${problem.file}:${problem.line}:${problem.column}:${problem.message}`,
      problem,
    ]),
  )
  return [...seen.values()]
}

async function readText(path: string): Promise<string | Error> {
  try {
    const handle = await open(path, 'r')
    try {
      const { size } = await handle.stat()
      if (size > MAX_FILE_LENGTH * 4)
        return new Error(`file has ${size} bytes (expected at most ${MAX_FILE_LENGTH * 4})`)
      return new TextDecoder('utf-8', { fatal: true }).decode(await handle.readFile())
    } finally {
      await handle.close()
    }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
    return new Error(
      `file cannot be read: ${code === 'ERR_ENCODING_INVALID_ENCODED_DATA' ? 'it is not UTF-8' : code}`,
    )
  }
}
