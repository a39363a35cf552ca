import type { AwsKmsReference, AwsSecretReference } from '../../ports/secret-reference.ts'
import { SecretUnavailable } from '../../ports/secrets.ts'
import { parseAwsCredentials } from './aws-credentials.ts'
import { readFileSecret } from './file.ts'
import type { SecretAnswer } from './http.ts'
import { memberOf } from './http.ts'
import { signRequest } from './sigv4.ts'
import type { SourceWorld } from './source.ts'
import { checkedText, exactText } from './text.ts'

/** AWS refuses signatures that are this many milliseconds away from its own clock. */
const MAX_SKEW_MS = 300_000

/**
 * Reads a secret of AWS Secrets Manager (GetSecretValue).
 * @throws SecretUnavailable
 */
export async function readAwsSecret(reference: AwsSecretReference, world: SourceWorld): Promise<string> {
  const { label, member } = reference
  const body = await call(reference, world, 'secretsmanager', 'secretsmanager.GetSecretValue', {
    SecretId: reference.secretId,
  })
  const text = memberOf(body, 'SecretString')
  const binary = memberOf(body, 'SecretBinary')
  if (typeof text !== 'string' && typeof binary !== 'string') throw wrongShape(label)
  const value = typeof text === 'string' ? text : exactText(label, fromBase64(label, binary))
  if (member === undefined) return checkedText(label, value)
  const found = memberOf(parseJson(value), member)
  if (typeof found === 'string') return checkedText(label, found)
  throw new SecretUnavailable('refused', `\`${label}\` is no JSON object with a text under this name`)
}

/**
 * Opens a ciphertext with AWS KMS (Decrypt). The key is named, so that a ciphertext of another one is refused.
 * @throws SecretUnavailable
 */
export async function readKmsSecret(reference: AwsKmsReference, world: SourceWorld): Promise<string> {
  const body = await call(reference, world, 'kms', 'TrentService.Decrypt', {
    KeyId: reference.keyId,
    CiphertextBlob: reference.ciphertext,
  })
  return exactText(reference.label, fromBase64(reference.label, memberOf(body, 'Plaintext')))
}

async function call(
  reference: AwsSecretReference | AwsKmsReference,
  world: SourceWorld,
  service: string,
  target: string,
  question: Readonly<Record<string, string>>,
): Promise<unknown> {
  const { label, region, credentials, profile } = reference
  const keys = parseAwsCredentials(
    credentials.label,
    await readFileSecret(credentials, world.folder),
    profile,
  )
  const suffix = region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com'
  const url = reference.endpoint ?? new URL(`https://${service}.${region}.${suffix}/`)
  const body = JSON.stringify(question)
  const headers = signRequest({ host: url.host, region, service, target, body, now: world.now() }, keys)
  const answer = await world.http.ask({ label, url, method: 'POST', headers, body })
  if (answer.status !== 200) throw failure(reference, answer, world.now())
  if (answer.body === undefined) throw new SecretUnavailable('down', `\`${label}\` answered what is no JSON`)
  return answer.body
}

/** What the error types of both services mean for an operator; only these names are ever repeated. */
const MEANINGS: ReadonlyMap<string, readonly ['down' | 'refused', string]> = new Map([
  ['AccessDeniedException', ['refused', 'the policy of these credentials does not allow it']],
  [
    'UnrecognizedClientException',
    ['refused', 'the access key is unknown, inactive or lacks its session token'],
  ],
  ['InvalidClientTokenId', ['refused', 'the access key is unknown']],
  ['ExpiredTokenException', ['refused', 'the session token has expired; renew the credentials file']],
  ['InvalidSignatureException', ['refused', 'the secret access key does not belong to the access key']],
  ['ResourceNotFoundException', ['refused', 'no secret has this name in this region']],
  ['InvalidRequestException', ['refused', 'the secret is marked for deletion']],
  ['InvalidParameterException', ['refused', 'the name is not accepted']],
  ['DecryptionFailure', ['refused', 'the secret cannot be decrypted with its KMS key']],
  ['NotFoundException', ['refused', 'no key has this id or alias in this region']],
  [
    'InvalidCiphertextException',
    ['refused', 'the ciphertext is damaged, or was made with an encryption context'],
  ],
  ['IncorrectKeyException', ['refused', 'the ciphertext was made with another key']],
  ['InvalidKeyUsageException', ['refused', 'the key is not for encryption']],
  ['DisabledException', ['refused', 'the key is disabled']],
  ['KMSInvalidStateException', ['refused', 'the key is pending deletion or import']],
  ['KeyUnavailableException', ['down', 'the key is not available at the moment']],
  ['DependencyTimeoutException', ['down', 'the service timed out inside']],
  ['ThrottlingException', ['down', 'too many requests; raise the quota or the time to live']],
  ['RequestLimitExceeded', ['down', 'too many requests; raise the quota or the time to live']],
  ['InternalServiceError', ['down', 'the service is in trouble']],
  ['InternalFailure', ['down', 'the service is in trouble']],
  ['KMSInternalException', ['down', 'the service is in trouble']],
  ['ServiceUnavailable', ['down', 'the service is in trouble']],
])

/** Types that a clock explains: signed too early or too late. */
const CLOCK = new Set(['InvalidSignatureException', 'RequestExpired', 'SignatureDoesNotMatch'])

function failure(
  { label, endpoint }: AwsSecretReference | AwsKmsReference,
  { status, body, date, retryAfterMs }: SecretAnswer,
  now: number,
): SecretUnavailable {
  const raw = memberOf(body, '__type')
  // `com.amazonaws.kms#NotFoundException`, by protocol with or without the name space.
  const type = typeof raw === 'string' ? raw.slice(raw.lastIndexOf('#') + 1) : ''
  const say = (kind: 'down' | 'refused', what: string): SecretUnavailable =>
    new SecretUnavailable(kind, `\`${label}\` answered ${status}: ${what}`, retryAfterMs)
  const skewMs = date === undefined ? 0 : now - date
  if (CLOCK.has(type) && Math.abs(skewMs) > MAX_SKEW_MS) {
    const way = skewMs > 0 ? 'ahead of' : 'behind'
    return say(
      'down',
      `our clock is ${Math.round(Math.abs(skewMs) / 1_000)} s ${way} the service's, at most 300 s allowed; set it by NTP`,
    )
  }
  const meaning = MEANINGS.get(type)
  if (meaning !== undefined) return say(meaning[0], `${type}, ${meaning[1]}`)
  if (status === 429) return say('down', 'too many requests; raise the quota or the time to live')
  if (status >= 500) return say('down', 'the service is in trouble')
  if (status >= 300 && status < 400) {
    return say(
      'down',
      `redirects are not followed; ${endpoint === undefined ? 'check the region' : 'check `endpoint`'}`,
    )
  }
  return say('refused', 'an error of no known type (expected 200)')
}

function wrongShape(label: string): SecretUnavailable {
  return new SecretUnavailable('down', `\`${label}\` answered 200 without a value; is a proxy in between`)
}

/** Node skips what is no base64 and gives a shorter, wrong secret: the text must come back as it was. */
function fromBase64(label: string, text: unknown): Buffer {
  if (typeof text !== 'string') throw wrongShape(label)
  const bytes = Buffer.from(text, 'base64')
  if (bytes.toString('base64') !== text) throw wrongShape(label)
  return bytes
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
