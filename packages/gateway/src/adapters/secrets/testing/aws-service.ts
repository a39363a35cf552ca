import assert from 'node:assert/strict'
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage, RequestListener } from 'node:http'
import { text } from 'node:stream/consumers'

/** What the fixture knows. */
export interface AwsService {
  readonly region: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
  /** Milliseconds since the epoch. */
  now(): number
  answer(target: string, question: unknown): AwsAnswer
}

/** Answer of an operation; `type` makes it an error of that type. */
export interface AwsAnswer {
  readonly type?: string
  readonly status?: number
  readonly body: unknown
}

/** Key of a credential scope. Source: AWS Signature Version 4; the test holds its published example against it. */
export function signingKey(secret: string, day: string, region: string, service: string): Buffer {
  const hmac = (key: string | Buffer, data: string) => createHmac('sha256', key).update(data).digest()
  return hmac(hmac(hmac(hmac(`AWS4${secret}`, day), region), service), 'aws4_request')
}

/**
 * A service of the AWS JSON 1.1 protocol, as strict as the published rules: it rebuilds the canonical request from what
 * arrived, header by header as SignedHeaders names them, and shares no line with the code that signs.
 */
export function awsService(service: AwsService): RequestListener {
  return (request, response) => {
    void text(request).then((body) => {
      const fault = faultOf(request, body, service)
      const target = request.headers['x-amz-target']
      const { type, status, body: answer } = fault ?? service.answer(String(target), JSON.parse(body))
      response.setHeader('date', new Date(service.now()).toUTCString())
      response.writeHead(status ?? (type === undefined ? 200 : 400), {
        'content-type': 'application/x-amz-json-1.1',
      })
      response.end(JSON.stringify(type === undefined ? answer : { __type: type, ...Object(answer) }))
    })
  }
}

function faultOf(request: IncomingMessage, body: string, service: AwsService): AwsAnswer | undefined {
  const refuse = (type: string, message: string): AwsAnswer => ({ type, body: { message } })
  const { headers, method, url } = request
  if (method !== 'POST' || url !== '/') return refuse('UnknownOperationException', 'POST / only')
  if (headers['content-type'] !== 'application/x-amz-json-1.1')
    return refuse('SerializationException', 'type')
  const match =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$/.exec(
      headers.authorization ?? '',
    )
  if (match === null) return refuse('IncompleteSignature', 'authorization')
  const [, keyId = '', day = '', region = '', name = '', signed = '', signature = ''] = match
  if (keyId !== service.accessKeyId) return refuse('UnrecognizedClientException', 'access key')
  if (headers['x-amz-security-token'] !== service.sessionToken) {
    return refuse('UnrecognizedClientException', 'security token')
  }
  const names = signed.split(';')
  assert.deepEqual(names, names.toSorted(), 'signed headers stand in order')
  for (const needed of ['host', ...Object.keys(headers).filter((one) => one.startsWith('x-amz-'))]) {
    if (!names.includes(needed)) return refuse('InvalidSignatureException', `${needed} is not signed`)
  }
  const time = String(headers['x-amz-date'])
  const [, y, mo, d, h, mi, s] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(time) ?? []
  const at = Date.UTC(Number(y), Number(mo) - 1, Number(d), Number(h), Number(mi), Number(s))
  if (!(Math.abs(service.now() - at) <= 300_000))
    return refuse('InvalidSignatureException', 'Signature expired')
  const target = String(headers['x-amz-target'])
  const expected = target.startsWith('TrentService.') ? 'kms' : 'secretsmanager'
  if (!time.startsWith(day) || region !== service.region || name !== expected) {
    return refuse(
      'InvalidSignatureException',
      'Credential should be scoped to another region, service or day',
    )
  }
  const hash = (value: string) => createHash('sha256').update(value).digest('hex')
  let canonical = 'POST\n/\n\n'
  for (const one of names) canonical += `${one}:${String(headers[one]).trim().replace(/ +/g, ' ')}\n`
  canonical += `\n${signed}\n${hash(body)}`
  const toSign = `AWS4-HMAC-SHA256\n${time}\n${day}/${region}/${name}/aws4_request\n${hash(canonical)}`
  const right = createHmac('sha256', signingKey(service.secretAccessKey, day, region, name))
    .update(toSign)
    .digest()
  const holds = timingSafeEqual(right, Buffer.from(signature, 'hex'))
  return holds
    ? undefined
    : refuse('InvalidSignatureException', 'The request signature we calculated does not match')
}
