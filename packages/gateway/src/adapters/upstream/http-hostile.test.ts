import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { after, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { UpstreamFailed, type UpstreamFault } from '../../ports/upstream.ts'
import { createUpstream } from './index.ts'
import { callTool, textOf, until } from './testing/ask.ts'
import { listen } from './testing/http-servers.ts'

const JSON_TYPE = { 'content-type': 'application/json' }
const SSE_TYPE = { 'content-type': 'text/event-stream' }

/** How a modern server answers the call with this id, by name of the tool. */
const behaviours: Record<string, (response: ServerResponse, id: number, answer: string) => void> = {
  well: (response, _, answer) => response.writeHead(200, JSON_TYPE).end(answer),
  'well-sse': (response, _, answer) => response.writeHead(200, SSE_TYPE).end(`: hi\n\ndata: ${answer}\n\n`),
  charset: (response, _, answer) =>
    response.writeHead(200, { 'content-type': 'Application/JSON; charset=utf-8' }).end(answer),
  gzip: (response, _, answer) =>
    response.writeHead(200, { ...JSON_TYPE, 'content-encoding': 'gzip' }).end(gzipSync(answer)),
  redirect: (response) => response.writeHead(307, { location: 'http://169.254.169.254/latest/' }).end(),
  'wrong-id': (response, id, answer) =>
    response.writeHead(200, JSON_TYPE).end(answer.replace(`"id":${id}`, `"id":${id + 1}`)),
  'string-id': (response, id, answer) =>
    response.writeHead(200, JSON_TYPE).end(answer.replace(`"id":${id}`, `"id":"${id}"`)),
  'wrong-then-right': (response, id, answer) =>
    response
      .writeHead(200, SSE_TYPE)
      .end(`data: ${answer.replace(`"id":${id}`, '"id":0')}\n\ndata: ${answer}\n\n`),
  twice: (response, _, answer) =>
    response
      .writeHead(200, SSE_TYPE)
      .end(`data: ${answer}\n\ndata: ${answer.replace('fine', 'the second')}\n\n`),
  duplicate: (response, id) =>
    response.writeHead(200, JSON_TYPE).end(`{"jsonrpc":"2.0","id":${id},"result":{"a":1,"a":2}}`),
  html: (response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<p>hello</p>'),
  'not-json': (response) => response.writeHead(200, JSON_TYPE).end('{"jsonrpc":'),
  giant: (response, id) =>
    response
      .writeHead(200, JSON_TYPE)
      .end(`{"jsonrpc":"2.0","id":${id},"result":{"x":"${'x'.repeat(600_000)}"}}`),
  'giant-event': (response) => response.writeHead(200, SSE_TYPE).end(`data: ${'x'.repeat(600_000)}`),
  'half-body': (response, _, answer) => {
    response.writeHead(200, { ...JSON_TYPE, 'content-length': '10000' })
    response.write(answer, () => response.destroy())
  },
  'half-stream': (response) => response.writeHead(200, SSE_TYPE).end('data: {"jsonrpc":"2.0",'),
  'ended-stream': (response) => response.writeHead(200, SSE_TYPE).end(': bye\n\n'),
  reset: (response) => response.destroy(),
  'big-headers': (response, _, answer) =>
    response.writeHead(200, { ...JSON_TYPE, 'x-pad': 'p'.repeat(20_000) }).end(answer),
  'status-500': (response) => response.writeHead(500).end('oops'),
  'status-502': (response) => response.writeHead(502, JSON_TYPE).end('{"error":"gone"}'),
  'status-503': (response) => response.writeHead(503).end(),
  'status-503-later': (response) => response.writeHead(503, { 'retry-after': '5' }).end(),
  'status-429': (response) => response.writeHead(429).end(),
  'status-401': (response) => response.writeHead(401).end(),
  'error-400': (response) =>
    response
      .writeHead(400, JSON_TYPE)
      .end('{"jsonrpc":"2.0","id":null,"error":{"code":-32020,"message":"no"}}'),
  'error-500': (response, id) =>
    response
      .writeHead(500, JSON_TYPE)
      .end(`{"jsonrpc":"2.0","id":${id},"error":{"code":-32603,"message":"internal"}}`),
  'sse-flood': (response, _, answer) => {
    const noise = 'data: {"jsonrpc":"2.0","method":"notifications/message","params":{}}\n\n'
    response.writeHead(200, SSE_TYPE).end(noise.repeat(6_000) + `data: ${answer}\n\n`)
  },
  'comment-flood': (response, _, answer) => {
    response.writeHead(200, SSE_TYPE).end(': here\n'.repeat(40_000) + `data: ${answer}\n\n`)
  },
  'empty-event-flood': (response, _, answer) => {
    response.writeHead(200, SSE_TYPE).end('event: message\n\n'.repeat(20_000) + `data: ${answer}\n\n`)
  },
  'some-comments': (response, _, answer) => {
    response.writeHead(200, SSE_TYPE).end(': here\n\n'.repeat(1_000) + `data: ${answer}\n\n`)
  },
  'early-reply-flood': (response, _, answer) => {
    for (let n = 0; n < 6_000; n++) response.writeProcessing()
    response.writeHead(200, JSON_TYPE).end(answer)
  },
  'some-early-replies': (response, _, answer) => {
    for (let n = 0; n < 10; n++) response.writeProcessing()
    response.writeHead(200, JSON_TYPE).end(answer)
  },
  'open-end': (response, _, answer) => {
    response.writeHead(200, SSE_TYPE).write(`data: ${answer}\n\n`)
  },
  hangs: () => {},
}

const server = await listen((_, response, body) => {
  const message: unknown = JSON.parse(body)
  assert.ok(typeof message === 'object' && message !== null && 'method' in message && 'id' in message)
  const id = Number(message.id)
  if (message.method === 'server/discover') {
    const result = { supportedVersions: ['2026-07-28'], capabilities: {}, resultType: 'complete' }
    response.writeHead(200, JSON_TYPE).end(JSON.stringify({ jsonrpc: '2.0', id, result }))
    return
  }
  const name = /"name":"([a-z0-9-]+)"/.exec(body)?.[1] ?? ''
  const result = { content: [{ type: 'text', text: 'fine' }] }
  behaviours[name]?.(response, id, JSON.stringify({ jsonrpc: '2.0', id, result }))
})
const upstream = createUpstream({
  servers: { odd: { transport: 'http', network: ['127.0.0.0/8'], url: server.url } },
  limits: { maxBytes: 500_000, maxInFlight: 20 },
})
after(async () => {
  await upstream.close()
  await server.close()
})

const refused: readonly (readonly [string, UpstreamFault, RegExp])[] = [
  ['gzip', 'protocol', /compressed body/],
  ['redirect', 'protocol', /redirect \(307\)/],
  ['wrong-id', 'protocol', /no JSON-RPC answer/],
  ['string-id', 'protocol', /no JSON-RPC answer/],
  ['duplicate', 'protocol', /twice/],
  ['html', 'protocol', /no JSON-RPC answer/],
  ['not-json', 'protocol', /refused message: json/],
  ['giant', 'too_large', /longer than 500000 bytes/],
  ['giant-event', 'too_large', /refused: sse/],
  ['half-body', 'unknown_fate', /broke before its answer/],
  ['half-stream', 'unknown_fate', /stream ended early/],
  ['ended-stream', 'unknown_fate', /stream ended early/],
  ['reset', 'unknown_fate', /broke before its answer/],
  ['big-headers', 'protocol', /malformed HTTP/],
  ['status-500', 'unknown_fate', /HTTP 500/],
  ['status-502', 'unknown_fate', /HTTP 502/],
  ['status-503', 'unknown_fate', /HTTP 503/],
  ['status-503-later', 'unavailable', /HTTP 503/],
  ['status-429', 'busy', /HTTP 429/],
  ['status-401', 'unavailable', /refuses the gate itself \(HTTP 401\)/],
  ['sse-flood', 'protocol', /more than 5000 unasked messages/],
  ['comment-flood', 'protocol', /more than 5000 unasked messages/],
  ['empty-event-flood', 'protocol', /more than 5000 unasked messages/],
  ['early-reply-flood', 'protocol', /more than 5000 unasked messages/],
]
for (const [name, fault, text] of refused) {
  test(`an answer of kind \`${name}\` fails its call with ${fault}`, async () => {
    await assert.rejects(callTool(upstream, 'odd', name), (cause) => {
      assert.ok(cause instanceof UpstreamFailed, String(cause))
      assert.equal(cause.fault, fault, cause.message)
      assert.match(cause.message, text)
      return true
    })
    assert.equal(textOf(await callTool(upstream, 'odd', 'well')), 'fine')
  })
}

test('near misses pass: plain JSON, a stream, a parameter of the media type, a stray id before the right one, a second answer behind the first, some keep-alives', async () => {
  const keepAlives = ['some-comments', 'some-early-replies']
  for (const name of ['well', 'well-sse', 'charset', 'wrong-then-right', 'twice', ...keepAlives]) {
    assert.equal(textOf(await callTool(upstream, 'odd', name)), 'fine', name)
  }
})

test('a JSON-RPC error is the answer whatever the status; without an id only on an error status', async () => {
  for (const [name, code] of [
    ['error-400', -32020],
    ['error-500', -32603],
  ] as const) {
    const answer = await callTool(upstream, 'odd', name)
    assert.equal(answer.kind, 'error')
    assert.equal(answer.value['code'], code)
  }
})

test('a stream that stays open behind its answer gives the answer at once and is closed by the gate', async () => {
  assert.equal(textOf(await callTool(upstream, 'odd', 'open-end')), 'fine')
  await until('the gate closed it', () => server.aborted.some((body) => body.includes('"open-end"')))
})

test('more than maxInFlight requests to a hanging server are busy, and a deadline ends those that hang', async () => {
  const signal = AbortSignal.timeout(150)
  const hung = Array.from({ length: 25 }, () => callTool(upstream, 'odd', 'hangs', { signal }))
  const faults = (await Promise.allSettled(hung)).map((outcome) =>
    outcome.status === 'rejected' && outcome.reason instanceof UpstreamFailed ? outcome.reason.fault : 'none',
  )
  assert.equal(faults.filter((fault) => fault === 'busy').length, 5)
  assert.equal(faults.filter((fault) => fault === 'timeout').length, 20)
  assert.equal(textOf(await callTool(upstream, 'odd', 'well')), 'fine')
})

test('no request ever followed a redirect, and no header of ours named a credential', () => {
  const names = new Set(server.seen.flatMap((seen) => Object.keys(seen.headers)))
  assert.equal(names.has('authorization'), false)
  assert.equal(names.has('cookie'), false)
  assert.ok(server.seen.length > 20)
})
