import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { egressRules } from '../config/egress-rules.ts'
import { type EgressReason, type EgressRules, judgeAddresses, judgeEgress } from '../net/egress.ts'
import { findUrls } from '../net/find-urls.ts'
import { namesOf } from '../net/names.ts'
import type { Resolver } from '../ports/resolver.ts'
import { configPath, requireConfig } from './locate.ts'
import { CommandFailed, print, printJson } from './output.ts'
import { safeText } from '../text/safe-text.ts'
import type { World } from './world.ts'

export interface EgressCheckOptions {
  readonly config?: string
  readonly server?: string
  readonly resolve?: string
  readonly dns?: boolean
  readonly jsonl?: boolean
  readonly json?: boolean
}

/** What the gate makes of a URL in the arguments of a tool. */
interface Verdict {
  readonly verdict: 'allow' | 'deny'
  /** One of EgressReason, or for an allowed one how far it was judged. */
  readonly reason: EgressReason | 'public' | 'public_unresolved'
}

const SENTENCES: Readonly<Record<Verdict['reason'], string>> = {
  public: 'it is public, and the rules have nothing against it',
  public_unresolved: 'its text is public, and the rules have nothing against it; --dns looks up its name too',
  metadata: 'it leads to a link-local address or a metadata service of a cloud, which nothing reaches',
  private: 'it leads to a private address or a name inside, which nothing reaches',
  no_host: 'it has no host: it would reach into the machine of the server',
  unreadable: 'no two programs need read it alike, so it is no safe place',
  too_many: 'it holds more than 64 URLs',
  scheme: 'its scheme is not in `egress.schemes`',
  port: 'its port is not in `egress.ports`',
  denied: 'it is in `egress.deny`',
  not_allowed: 'it is not in `egress.allow`',
  unresolved: 'its name does not resolve',
}

/** The rules where no configuration is named: those of an `egress` that says nothing. */
const DEFAULTS: EgressRules = { schemes: ['http', 'https'], ports: [], allow: [], deny: [] }

/**
 * `callgate egress check`: says what the gate would make of URLs in arguments. No name is looked up unless asked for.
 * @returns exit code 0 when all of the given are allowed; with --jsonl, when every row could be judged
 */
export async function egressCheck(
  world: World,
  urls: readonly string[],
  options: EgressCheckOptions,
): Promise<number> {
  const rules = rulesOf(world, options)
  const resolver =
    options.resolve === undefined
      ? options.dns === true
        ? await world.openResolver()
        : undefined
      : fileResolver(options.resolve)
  const judge = (url: string) => verdictOf(url, rules, resolver)
  if (options.jsonl === true) return judgeRows(judge)
  if (urls.length === 0)
    throw new CommandFailed('no URL to check', { fix: 'name one, or give rows with --jsonl', exitCode: 2 })
  let denied = 0
  for (const url of urls) {
    const found = await judge(url)
    if (found.verdict === 'deny') denied++
    if (options.json === true) printJson({ url, ...found })
    else print(`${found.verdict} ${safeText(url)}\n  ${SENTENCES[found.reason]}`)
  }
  return denied === 0 ? 0 : 1
}

function rulesOf(world: World, { config: path, server }: EgressCheckOptions): EgressRules {
  if (path === undefined && server === undefined) return DEFAULTS
  const config = requireConfig(world.env, configPath(world.env, path))
  if (server !== undefined && config.servers[server] === undefined) {
    throw new CommandFailed(`no server \`${safeText(server)}\` in the configuration`, {
      fix: `name one of ${Object.keys(config.servers).join(', ')}`,
    })
  }
  return egressRules(config, server)
}

async function verdictOf(url: string, rules: EgressRules, resolver: Resolver | undefined): Promise<Verdict> {
  const { urls, fault } = findUrls({ url })
  // What is no URL to anybody is no place to go either.
  const reasons = urls.length === 0 ? ['unreadable' as const] : urls.map((one) => judgeEgress(one, rules))
  const names = namesOf(urls)
  const byText = [fault, ...reasons].find((reason) => reason !== undefined)
  if (byText !== undefined) return { verdict: 'deny', reason: byText }
  if (resolver === undefined)
    return { verdict: 'allow', reason: names.length === 0 ? 'public' : 'public_unresolved' }
  for (const name of names) {
    const reason = judgeAddresses(await resolver.resolve(name, new AbortController().signal).catch(() => []))
    if (reason !== undefined) return { verdict: 'deny', reason }
  }
  return { verdict: 'allow', reason: 'public' }
}

/** Rows `{"id","url"}` of standard input, one answer each in their order. */
async function judgeRows(judge: (url: string) => Promise<Verdict>): Promise<number> {
  let wrong = 0
  let line = 0
  for await (const text of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    line++
    if (text.trim() === '') continue
    const row = rowOf(text)
    if (row === undefined) {
      wrong++
      process.stderr.write(`callgate: row ${line} is no JSON object with \`id\` and a text \`url\`\n`)
    } else printJson({ id: row.id, ...(await judge(row.url)) })
  }
  return wrong === 0 ? 0 : 1
}

function rowOf(text: string): { id: unknown; url: string } | undefined {
  try {
    const row: unknown = JSON.parse(text)
    if (typeof row !== 'object' || row === null || !('id' in row) || !('url' in row)) return undefined
    return typeof row.url === 'string' ? { id: row.id, url: row.url } : undefined
  } catch {
    return undefined
  }
}

/** Names and their addresses from a JSON file, in place of the DNS: `{"example.com": ["93.184.215.14"]}`. */
function fileResolver(path: string): Resolver {
  const fix = 'name a JSON file such as {"example.com": ["93.184.215.14"]}'
  let table: unknown
  try {
    table = JSON.parse(readFileSync(path, 'utf8'))
  } catch (cause) {
    throw new CommandFailed(`${path}: cannot be read as JSON`, { fix, cause })
  }
  const names = new Map<string, readonly string[]>()
  for (const [name, addresses] of Object.entries(typeof table === 'object' && table !== null ? table : [])) {
    const listed: unknown = addresses
    if (!Array.isArray(listed) || !listed.every((one) => typeof one === 'string'))
      throw new CommandFailed(`${path}: \`${safeText(name)}\` is not a list of addresses`, { fix })
    names.set(name.toLowerCase(), listed)
  }
  return { resolve: (name) => Promise.resolve(names.get(name) ?? []) }
}
