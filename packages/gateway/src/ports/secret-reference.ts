import { judgeHost, stripHost } from '../net/address.ts'
import { isLoopbackHost } from '../net/range.ts'

interface Reference<Kind extends string> {
  readonly kind: Kind
  /** The reference as it was written; what a value is cached by. */
  readonly text: string
  /** What messages call it: names the place, holds neither arguments nor ciphertext. */
  readonly label: string
}

/** A file, by absolute path or relative to the folder of the configuration. */
export interface FileReference extends Reference<'file'> {
  readonly path: string
}

/** A program whose output is the secret; no shell reads the arguments. */
export interface ExecReference extends Reference<'exec'> {
  readonly program: string
  readonly args: readonly string[]
}

/** A variable of the gate's own environment. */
export interface EnvReference extends Reference<'env'> {
  readonly variable: string
}

/** A field of a secret in a key-value engine of Vault or OpenBao. */
export interface VaultReference extends Reference<'vault'> {
  readonly url: URL
  readonly field: string
  /** Version of the engine. Default 2. */
  readonly kv: 1 | 2
  readonly token: FileReference
  readonly namespace: string | undefined
}

/** What both AWS services need. */
interface AwsReference {
  readonly region: string
  /** A file in the form of `~/.aws/credentials`. */
  readonly credentials: FileReference
  /** Section of that file. Default `default`. */
  readonly profile: string
  /** Origin that is asked instead of the region's own, such as a VPC endpoint. */
  readonly endpoint: URL | undefined
}

/** A secret of AWS Secrets Manager, or one member of it when it is a JSON object. */
export interface AwsSecretReference extends Reference<'awssm'>, AwsReference {
  readonly secretId: string
  readonly member: string | undefined
}

/** A ciphertext that AWS KMS opens. */
export interface AwsKmsReference extends Reference<'awskms'>, AwsReference {
  readonly keyId: string
  /** Base64. */
  readonly ciphertext: string
}

/** An object of a PKCS #11 token: data, or a private key, which signs there and never leaves. Source: RFC 7512. */
export interface Pkcs11Reference extends Reference<'pkcs11'> {
  readonly type: 'data' | 'private'
  readonly module: string
  readonly token: string
  /** Label of a data object; id of a private key in hexadecimal digits, because pkcs11-tool signs with any key whatever the label. */
  readonly object: string
  readonly pin: FileReference
}

/** Where a secret is. */
export type SecretReference =
  | FileReference
  | ExecReference
  | EnvReference
  | VaultReference
  | AwsSecretReference
  | AwsKmsReference
  | Pkcs11Reference

/** Whether a text is a reference to a private key that stays in its token. */
export function isTokenKey(text: string): boolean {
  const reference = text.startsWith('pkcs11:') ? parseReference(text, { strict: false }) : undefined
  return (
    reference !== undefined &&
    !('problem' in reference) &&
    reference.kind === 'pkcs11' &&
    reference.type === 'private'
  )
}

/** What messages call the place that a text refers to; the text itself may hold arguments or a ciphertext, or be the secret. */
export function labelOf(text: string): string {
  const reference = parseReference(text, { strict: false })
  return 'problem' in reference ? 'what is no reference' : reference.label
}

/** Longest reference in characters: a ciphertext of KMS may have 6,144 bytes, 8,192 characters in base64. */
export const MAX_REFERENCE = 12_288

/** What is wrong with a text that should be a reference. */
class Malformed extends Error {}

/**
 * Reads a reference. Opens nothing, so that a configuration is checked whole when it is loaded.
 * @param strict refuses `env:`: an environment is inherited by children and shown by process listings
 * @returns the reference, or a problem that tells how to write it. The text is never quoted: who writes a secret in
 *   place of a reference must not find it in a log.
 */
export function parseReference(
  text: string,
  { strict }: { readonly strict: boolean },
): SecretReference | { readonly problem: string } {
  try {
    if (text.length > MAX_REFERENCE)
      throw new Malformed(`reference is longer than ${MAX_REFERENCE} characters`)
    if (hasControls(text)) throw new Malformed('reference holds control characters; write it on one line')
    const colon = text.indexOf(':')
    const rest = text.slice(colon + 1)
    switch (text.slice(0, colon)) {
      case 'file':
        return parseFile(rest)
      case 'exec':
        return parseExec(rest, text)
      case 'env':
        return parseEnv(rest, text, strict)
      case 'vault':
        return parseVault(rest, text)
      case 'awssm':
        return parseAwsSecret(rest, text)
      case 'awskms':
        return parseAwsKms(rest, text)
      case 'pkcs11':
        return parsePkcs11(rest, text)
      default:
        throw new Malformed(
          'a secret stands here by reference, never itself (expected `file:`, `exec:`, `env:`, `vault:`, `awssm:`, `awskms:` or `pkcs11:`)',
        )
    }
  } catch (error) {
    if (error instanceof Malformed) return { problem: error.message }
    throw error
  }
}

function parseFile(path: string): FileReference {
  if (path === '') throw new Malformed('`file:` names no path; write `file:/run/secrets/name`')
  if (path.startsWith('//'))
    throw new Malformed('`file:` takes a path, no host; write `file:/run/secrets/name`')
  return { kind: 'file', text: `file:${path}`, label: `file:${path}`, path }
}

function parseExec(json: string, text: string): ExecReference {
  const argv = parseJson(json)
  if (!Array.isArray(argv) || !argv.every((part): part is string => typeof part === 'string')) {
    throw new Malformed('`exec:` takes a JSON list of texts; write `exec:["/usr/bin/program","argument"]`')
  }
  const [program = '', ...args] = argv
  if (!/^(?:\/.*[^/]|[^/]+)$/.test(program) || argv.some(hasControls)) {
    throw new Malformed(
      '`exec:` needs a program first, by absolute path or by name in PATH, and no control characters',
    )
  }
  return { kind: 'exec', text, label: `exec:${program}`, program, args }
}

function parseEnv(variable: string, text: string, strict: boolean): EnvReference {
  if (!/^[A-Za-z_][A-Za-z0-9_]{0,255}$/.test(variable)) {
    throw new Malformed('`env:` takes the name of a variable: letters, digits and underscores')
  }
  if (strict) {
    throw new Malformed(
      `\`env:\` is refused by --strict, an environment leaks to children and process listings; put the secret into a file of mode 0600 and write \`file:\``,
    )
  }
  return { kind: 'env', text, label: text, variable }
}

function parseVault(rest: string, text: string): VaultReference {
  const { head, option, fragment } = dissect('vault', rest, ['token', 'namespace', 'kv', 'version'])
  const url = parseUrl('`vault:`', head)
  if (!/^\/v1\/[^/].*[^/]$/.test(url.pathname)) {
    throw new Malformed('`vault:` needs the API path; write `vault:https://host:8200/v1/secret/data/name`')
  }
  if (fragment === '') throw new Malformed('`vault:` names no field; end it with `#field`')
  const kv = option('kv') ?? '2'
  if (kv !== '1' && kv !== '2')
    throw new Malformed('`kv` of `vault:` is the version of the engine, `1` or `2`')
  const version = option('version')
  if (version !== undefined && (kv === '1' || !/^[1-9][0-9]{0,9}$/.test(version))) {
    throw new Malformed('`version` of `vault:` is a whole number from 1, with `kv=2` alone')
  }
  const label = `vault:${url.origin}${url.pathname}#${fragment}`
  if (version !== undefined) url.searchParams.set('version', version)
  const namespace = option('namespace')
  if (namespace !== undefined && !/^[\x21-\x7e]{1,256}$/.test(namespace)) {
    throw new Malformed('`namespace` of `vault:` takes printable ASCII without spaces')
  }
  const token = parseFileOption('vault', 'token', option('token'))
  return { kind: 'vault', text, label, url, field: fragment, kv: kv === '1' ? 1 : 2, token, namespace }
}

const AWS_OPTIONS = ['credentials', 'profile', 'endpoint']

function parseAwsSecret(rest: string, text: string): AwsSecretReference {
  const { head, option, fragment } = dissect('awssm', rest, AWS_OPTIONS)
  const [, region, secretId] = /^([^/]*)\/([\w/+=.@:-]{1,2048})$/.exec(head) ?? []
  if (region === undefined || secretId === undefined) {
    throw new Malformed(
      '`awssm:` takes region, name and perhaps a member; write `awssm:eu-west-1/name#member`',
    )
  }
  const member = fragment === '' ? undefined : fragment
  const label = `awssm:${region}/${secretId}${member === undefined ? '' : `#${member}`}`
  return { kind: 'awssm', text, label, ...parseAws('awssm', region, option), secretId, member }
}

function parseAwsKms(rest: string, text: string): AwsKmsReference {
  const { head, option, fragment } = dissect('awskms', rest, AWS_OPTIONS)
  const [, region, keyId, ciphertext] =
    /^([^/]*)\/([\w/:-]{1,2048}):([A-Za-z0-9+/]{1,8192}={0,2})$/.exec(head) ?? []
  if (region === undefined || keyId === undefined || ciphertext === undefined || fragment !== '') {
    throw new Malformed(
      '`awskms:` takes region, key and ciphertext; write `awskms:eu-west-1/alias/name:BASE64`',
    )
  }
  const bytes = Buffer.from(ciphertext, 'base64')
  if (bytes.length > 6_144 || bytes.toString('base64') !== ciphertext) {
    throw new Malformed('the ciphertext of `awskms:` is not base64 of at most 6144 bytes')
  }
  const label = `awskms:${region}/${keyId}`
  return { kind: 'awskms', text, label, ...parseAws('awskms', region, option), keyId, ciphertext }
}

function parseAws(scheme: string, region: string, option: Options): AwsReference {
  if (!/^[a-z]{2,8}(?:-[a-z]{2,16}){1,3}-[0-9]{1,2}$/.test(region)) {
    throw new Malformed(`\`${scheme}:\` begins with a region such as \`eu-west-1\``)
  }
  const profile = option('profile') ?? 'default'
  if (!/^[\w.@-]{1,128}$/.test(profile)) {
    throw new Malformed(`\`profile\` of \`${scheme}:\` takes letters, digits and \`_.@-\``)
  }
  const at = option('endpoint')
  const endpoint = at === undefined ? undefined : parseUrl(`\`endpoint\` of \`${scheme}:\``, at)
  if (endpoint !== undefined && endpoint.href !== `${endpoint.origin}/`) {
    throw new Malformed(`\`endpoint\` of \`${scheme}:\` takes an origin without path`)
  }
  const credentials = parseFileOption(scheme, 'credentials', option('credentials'))
  return { region, credentials, profile, endpoint }
}

/** Attributes of RFC 7512: those that find the object before the question mark, those of access after it. */
function parsePkcs11(rest: string, text: string): Pkcs11Reference {
  const { head, option, fragment } = dissect('pkcs11', rest, ['module-path', 'pin-source'])
  // The id of a key is bytes and no text, so it is decoded apart.
  const parts = head.split(';')
  const ids = parts.filter((part) => part.startsWith('id='))
  const attribute = readOptions(
    'pkcs11',
    parts.filter((part) => !part.startsWith('id=')),
    ['token', 'object', 'type'],
  )
  const [token, name, module] = [attribute('token'), attribute('object'), option('module-path')]
  const type = attribute('type')
  const object = type === 'private' ? hexOf(ids) : name
  if (
    !token ||
    !object ||
    (type !== 'data' && type !== 'private') ||
    fragment !== '' ||
    (type === 'data') !== (ids.length === 0)
  ) {
    throw new Malformed(
      '`pkcs11:` takes token, object and type; write `pkcs11:token=T;object=O;type=data?...`, or `pkcs11:token=T;id=%01;type=private?...` for a key that signs',
    )
  }
  if (!module?.startsWith('/')) {
    throw new Malformed('`module-path` of `pkcs11:` is missing; name the token library by absolute path')
  }
  const pin = parseFileOption('pkcs11', 'pin-source', option('pin-source'))
  const label = `pkcs11:token=${token};${type === 'private' ? 'id' : 'object'}=${object}`
  return { kind: 'pkcs11', text, label, type, module, token, object, pin }
}

/** The one id of a key (RFC 7512 section 2.3), as hexadecimal digits; undefined when it is none. */
function hexOf(ids: readonly string[]): string | undefined {
  const [id = ''] = ids
  if (ids.length !== 1 || !/^id=(?:%[0-9a-f]{2}|[A-Za-z0-9_.~-]){1,64}$/i.test(id)) return undefined
  return id
    .slice('id='.length)
    .replaceAll(/%([0-9a-f]{2})|(.)/gi, (_, hex: string | undefined, plain: string | undefined) =>
      hex === undefined ? (plain ?? '').charCodeAt(0).toString(16).padStart(2, '0') : hex.toLowerCase(),
    )
}

// ── Parts ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

type Options = (name: string) => string | undefined

/** `head?name=value&name=value#fragment`: the order of RFC 3986, so that every URL parser sees the same parts. */
function dissect(scheme: string, rest: string, known: readonly string[]) {
  const [, head = '', query, fragment = ''] = /^([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/.exec(rest) ?? []
  if (fragment.includes('?')) throw new Malformed(`options of \`${scheme}:\` stand before the \`#\``)
  return {
    head,
    option: readOptions(scheme, query === undefined ? [] : query.split('&'), known),
    fragment: decode(scheme, fragment),
  }
}

/** Each name at most once: of two values nobody could tell which one counts. */
function readOptions(scheme: string, pairs: readonly string[], known: readonly string[]): Options {
  const values = new Map<string, string>()
  for (const pair of pairs) {
    const [, name = '', value = ''] = /^([^=]*)=(.*)$/.exec(pair) ?? []
    if (!known.includes(name) || values.has(name)) {
      const names = known.map((one) => `\`${one}\``).join(', ')
      throw new Malformed(`\`${scheme}:\` takes ${names}, each once and as \`name=value\``)
    }
    values.set(name, decode(scheme, value))
  }
  return (name) => values.get(name)
}

function parseFileOption(scheme: string, name: string, value: string | undefined): FileReference {
  if (value?.startsWith('file:') !== true) {
    throw new Malformed(`\`${scheme}:\` needs \`${name}=file:/path\``)
  }
  return parseFile(value.slice('file:'.length))
}

/** Plain http on loopback alone. Metadata services hand out credentials to whoever asks (SSRF, OWASP API7:2023). */
function parseUrl(what: string, text: string): URL {
  const url = URL.parse(text)
  if (
    url === null ||
    (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopbackHost(url.hostname)))
  ) {
    throw new Malformed(`${what} needs an https URL; plain http is for loopback alone`)
  }
  if (url.username !== '' || url.password !== '') throw new Malformed(`${what} holds user info; take it out`)
  if (judgeHost(stripHost(url.hostname)).isLinkLocal) {
    throw new Malformed(`${what} is at a link-local or metadata address; no secret is read from there`)
  }
  return url
}

function decode(scheme: string, text: string): string {
  let decoded
  try {
    decoded = decodeURIComponent(text)
  } catch {
    throw new Malformed(
      `\`${scheme}:\` holds a percent sign that begins no UTF-8 character; write it as \`%25\``,
    )
  }
  if (hasControls(decoded)) throw new Malformed(`\`${scheme}:\` holds control characters`)
  return decoded
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function hasControls(text: string): boolean {
  return /\p{Cc}/u.test(text) || !text.isWellFormed()
}
