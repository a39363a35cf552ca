import { isAbsolute, resolve } from 'node:path'
import { isServerUrl } from '../config/forms.ts'
import { addressOf, isLoopbackHost, isPrivateRange } from '../net/range.ts'
import type { EntryForm } from './host-profiles.ts'
import { MASK } from './install-document.ts'

/** A server as callgate.yaml has it. */
export type GateServer =
  | {
      readonly command: readonly string[]
      readonly env?: Readonly<Record<string, string>>
      readonly cwd: string
    }
  | { readonly url: string; readonly network?: readonly string[] }

/** What an entry of a host means for the gate. */
export type Translated =
  /** The gate can run it; `behind` names settings of the host that the gate has no word for. */
  | { readonly server: GateServer; readonly behind: readonly string[] }
  /** It goes through a gate already. */
  | { readonly gate: true }
  /** It stays with the host, for this reason. */
  | { readonly stays: string }

/** Members that hold what the host proves itself with; the gate has credentials of its own and takes no one else's. */
const CREDENTIALS = ['headers', 'headersHelper', 'oauth', 'auth', 'apiKey', 'requestOptions', 'authorization']
/** Members that are carried, and those that say nothing that the gate needs to know. */
const READ = ['name', 'type', 'transport', 'command', 'args', 'env', 'cwd', 'url', 'disabled', ...CREDENTIALS]

/**
 * Reads one server entry of a host.
 * @param folder working folder of the host's servers: `cwd` of the entry is relative to it
 * @param ownUrls origins of the gate itself, so that it is not put behind itself
 */
export function translateEntry(
  entry: unknown,
  form: EntryForm,
  { folder, ownUrls }: { readonly folder: string; readonly ownUrls: readonly string[] },
): Translated {
  if (!isObject(entry)) return { stays: 'it is not an object' }
  // Cline writes its transport into a member of that name, or flat.
  const flat = isObject(entry['transport']) ? { ...entry, ...entry['transport'] } : entry
  if (gateLine(flat) !== undefined) return { gate: true }
  if (flat['disabled'] === true) return { stays: 'it is switched off' }
  const behind = Object.keys(flat).filter((key) => !READ.includes(key) && key !== 'envFile')
  const found = flat['command'] === undefined ? httpServer(flat, form, ownUrls) : stdioServer(flat, folder)
  return 'server' in found ? { ...found, behind } : found
}

function stdioServer(
  entry: Readonly<Record<string, unknown>>,
  folder: string,
): { readonly server: GateServer } | { readonly stays: string } {
  const { command, args = [], env = {}, cwd, envFile } = entry
  if (envFile !== undefined) return { stays: 'its environment comes from a file (`envFile`)' }
  if (typeof command !== 'string' || command === '') return { stays: '`command` is not a text' }
  if (!Array.isArray(args) || !args.every((arg) => typeof arg === 'string'))
    return { stays: '`args` is not a list of texts' }
  if (!isObject(env)) return { stays: '`env` is not an object' }
  const variables: Record<string, string> = {}
  for (const [name, value] of Object.entries(env)) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
      return { stays: '`env` has a name that is no name of a variable' }
    if (typeof value === 'object' || value === undefined) return { stays: `\`env.${name}\` is not a text` }
    variables[name] = String(value)
  }
  if (cwd !== undefined && typeof cwd !== 'string') return { stays: '`cwd` is not a text' }
  const words = [command, ...args]
  const filled = filledIn([...words, ...Object.values(variables), cwd ?? ''])
  if (filled !== undefined) return { stays: filled }
  return {
    server: {
      command: words,
      ...(Object.keys(variables).length === 0 ? {} : { env: variables }),
      cwd: cwd === undefined ? folder : isAbsolute(cwd) ? cwd : resolve(folder, cwd),
    },
  }
}

function httpServer(
  entry: Readonly<Record<string, unknown>>,
  form: EntryForm,
  ownUrls: readonly string[],
): Translated {
  const { url, type } = entry
  if (typeof url !== 'string') return { stays: 'it has neither `command` nor `url`' }
  const held = CREDENTIALS.find((key) => !isNothing(entry[key]))
  if (held !== undefined)
    return { stays: `the gate cannot carry its credentials (\`${held}\`) yet; nothing of them was read` }
  const word = type === undefined ? form.urlAlone : String(type)
  if (word === 'sse' || form.sse.includes(word))
    return { stays: 'it speaks HTTP+SSE; the gate reaches servers by Streamable HTTP' }
  if (word !== 'http' && !form.http.includes(word))
    return { stays: `\`type\` is \`${word}\`, which the gate does not know` }
  const filled = filledIn([url])
  if (filled !== undefined) return { stays: filled }
  if (!isServerUrl(url))
    return {
      stays: '`url` must be https (plain http on this machine only), without user, password and fragment',
    }
  const parsed = new URL(url)
  if (ownUrls.includes(parsed.origin)) return { gate: true }
  const network = networkOf(parsed.hostname)
  return { server: { url, ...(network.length === 0 ? {} : { network }) }, behind: [] }
}

/** Private ranges that a URL names by itself: without them the gate refuses to connect. A name in DNS names none. */
function networkOf(host: string): string[] {
  if (host === 'localhost') return ['127.0.0.0/8', '::1/128']
  const address = addressOf(host)
  if (address === undefined) return []
  if (isLoopbackHost(host)) return [address.kind() === 'ipv4' ? '127.0.0.0/8' : '::1/128']
  const range = `${address.toString()}/${address.kind() === 'ipv4' ? 32 : 128}`
  return isPrivateRange(range) ? [range] : []
}

/** callgate.yaml fills nothing in, but for `{state}`; a value that would change its meaning there stays away. */
function filledIn(texts: readonly string[]): string | undefined {
  if (texts.some((text) => text.includes('${')))
    return 'it uses `${...}`, which the gate does not fill in; write the value itself'
  if (texts.some((text) => text.includes('{state}')))
    return 'it holds `{state}`, which means the state folder to the gate'
  return undefined
}

/** Which command of ours an entry of a host starts. */
export function gateLine(entry: unknown): 'connect' | 'wrap' | undefined {
  if (!isObject(entry)) return undefined
  const { command, args } = entry
  const words = [command, ...(Array.isArray(args) ? args : [])].map(String)
  const at = words.findIndex((word) => /(?:^|[\\/])callgate(?:\.mjs|\.cmd)?$/.test(word))
  const verb = at === -1 ? undefined : words[at + 1]
  return verb === 'connect' || verb === 'wrap' ? verb : undefined
}

/** A server id for a name of a host: `[a-z][a-z0-9-]{0,15}`, and not one that is taken. */
export function serverId(name: string, taken: ReadonlySet<string>): string {
  const clean = name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^[^a-z]+/, '')
  const base = clean.slice(0, 16).replace(/-+$/, '') || 'server'
  for (let count = 1; ; count++) {
    const suffix = count === 1 ? '' : `-${count}`
    const id = base.slice(0, 16 - suffix.length).replace(/-+$/, '') + suffix
    if (!taken.has(id)) return id
  }
}

/** Names that go before or around a secret on a command line. */
const SECRET_WORD = /key|token|secret|pass|pwd|\bpw\b|[_.-]pw\b|auth|credential|bearer|header|cookie|dsn|sig/i
/** A run of letters and digits of the length of a key: no file name, no package and no flag. */
const KEY_RUN = /(?=[A-Za-z0-9_+/=-]*\d)(?=[A-Za-z0-9_+/=-]*[A-Za-z])[A-Za-z0-9_+=-]{24,}/

/**
 * One word of a command line as it may be shown: what looks like a secret is masked, rather too much than too little.
 * @param before the word before it
 */
export function shownWord(word: string, before: string | undefined): string {
  const assigned = /^([^=\s]*=)(.+)$/s.exec(word)
  if (before !== undefined && before.startsWith('-') && !before.includes('=') && SECRET_WORD.test(before))
    return MASK
  // What goes with a flag of one letter may be anything; a flag that has its value in the same word, too.
  if (/^-[pkuwPKUWH]$/.test(before ?? '') && !word.startsWith('-')) return MASK
  if (/^-[pP][^-=\s]{3,}$/.test(word)) return `${word.slice(0, 2)}${MASK}`
  // A connection string, an address with a password, or JSON.
  if (/=[^;]*;|^[^/\s]*:[^/\s@]*@|^\/\/[^/]*:[^/]*@|^\s*[[{]/.test(word)) return MASK
  if (assigned !== null && SECRET_WORD.test(assigned[1] ?? '')) return `${assigned[1]}${MASK}`
  if (SECRET_WORD.test(word) && /[\s:]/.test(word)) return MASK
  if (KEY_RUN.test(word)) return MASK
  return word.replace(/[a-z][a-z0-9+.-]*:\/\/\S+/gi, shownUrl)
}

/** A URL as it may be shown: without user and password, and without the values of its query. */
export function shownUrl(text: string): string {
  if (!URL.canParse(text)) return MASK
  const url = new URL(text)
  const user = url.username === '' && url.password === '' ? '' : `${MASK}@`
  const query = url.search === '' ? '' : `?${MASK}`
  // Some services put a key into the path.
  const path = url.pathname
    .split('/')
    .map((part) => (KEY_RUN.test(part) ? MASK : part))
    .join('/')
  return user === '' && query === '' && url.hash === '' && path === url.pathname
    ? text
    : `${url.protocol}//${user}${url.host}${path}${query}`
}

function isNothing(value: unknown): boolean {
  return value === undefined || value === null || (isObject(value) && Object.keys(value).length === 0)
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
