import { createHash, createHmac } from 'node:crypto'

/** Keys of AWS. The session token belongs to temporary ones. */
export interface AwsKeys {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken: string | undefined
}

/** One POST to the root of a service of the JSON protocol. */
export interface AwsRequest {
  readonly host: string
  readonly region: string
  /** Name in the credential scope: `kms`, `secretsmanager`. */
  readonly service: string
  /** `X-Amz-Target`. */
  readonly target: string
  readonly body: string
  /** Milliseconds since the epoch. */
  readonly now: number
}

const ALGORITHM = 'AWS4-HMAC-SHA256'

/**
 * Headers of a signed request. Every header that we set is signed, the session token too.
 * Source: AWS Signature Version 4, "Create a signed AWS API request".
 */
export function signRequest(request: AwsRequest, keys: AwsKeys): Record<string, string> {
  const { host, region, service, target, body, now } = request
  const time = new Date(now).toISOString().replace(/[-:]|\.\d{3}/g, '')
  const day = time.slice(0, 8)
  const scope = `${day}/${region}/${service}/aws4_request`
  const headers: Record<string, string> = {
    'content-type': 'application/x-amz-json-1.1',
    host,
    'x-amz-date': time,
    // In the order of their names, as the canonical form wants them.
    ...(keys.sessionToken === undefined ? {} : { 'x-amz-security-token': keys.sessionToken }),
    'x-amz-target': target,
  }
  const names = Object.keys(headers).join(';')
  const lines = Object.entries(headers).map(([name, value]) => `${name}:${value.trim()}\n`)
  const canonical = ['POST', '/', '', lines.join(''), names, sha256(body)].join('\n')
  const toSign = [ALGORITHM, time, scope, sha256(canonical)].join('\n')
  const key = [day, region, service, 'aws4_request'].reduce<Buffer | string>(
    (above, part) => createHmac('sha256', above).update(part).digest(),
    `AWS4${keys.secretAccessKey}`,
  )
  const signature = createHmac('sha256', key).update(toSign).digest('hex')
  const authorization = `${ALGORITHM} Credential=${keys.accessKeyId}/${scope}, SignedHeaders=${names}, Signature=${signature}`
  return { ...headers, authorization }
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
