import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { scanJson } from './json-scan.ts'
import {
  decodeMessage,
  encodeError,
  encodeNotification,
  encodeOwnRequest,
  encodeRequest,
  encodeResult,
  EnvelopeFault,
  isReservedCode,
  type Message,
} from './jsonrpc.ts'

function decode(text: string): Message {
  const bytes = Buffer.from(text)
  return decodeMessage(scanJson(bytes), bytes)
}

test('a request carries the bytes of its arguments as they came', () => {
  const args = Buffer.from('{"n": 1.50, "s":"\\u0061"}')
  const text = encodeRequest(7, 'tools/call', { name: 'a"b' }, args, { progressToken: 7 }).toString()
  assert.equal(
    text,
    '{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"a\\"b","arguments":{"n": 1.50, "s":"\\u0061"},"_meta":{"progressToken":7}}}',
  )
  assert.equal(
    encodeRequest(1, 'tools/list', {}, undefined, undefined).toString(),
    '{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}',
  )
  assert.equal(
    encodeRequest('x', 'm', {}, Buffer.from('{}'), undefined).toString(),
    '{"jsonrpc":"2.0","id":"x","method":"m","params":{"arguments":{}}}',
  )
  assert.equal(
    encodeRequest(1, 'm', {}, undefined, { a: 1 }).toString(),
    '{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"a":1}}}',
  )
})

test('a request that goes on with a call carries the bytes of the answers as they came, and the state', () => {
  const inputResponses = Buffer.from('{"k": {"n":1.50}}')
  const args = Buffer.from('{}')
  const head = { name: 'a' }
  assert.equal(
    encodeRequest(1, 'm', head, args, { a: 1 }, { inputResponses, requestState: 's"' }).toString(),
    '{"jsonrpc":"2.0","id":1,"method":"m","params":{"name":"a","arguments":{},"inputResponses":{"k": {"n":1.50}},"requestState":"s\\"","_meta":{"a":1}}}',
  )
  assert.equal(
    encodeRequest(1, 'm', {}, undefined, undefined, {
      inputResponses: undefined,
      requestState: 's',
    }).toString(),
    '{"jsonrpc":"2.0","id":1,"method":"m","params":{"requestState":"s"}}',
  )
})

test('a head cannot smuggle members that the encoder writes', () => {
  for (const key of ['arguments', '_meta']) {
    assert.throws(() => encodeRequest(1, 'm', { [key]: 'x' }, undefined, undefined), TypeError)
  }
  const retry = { inputResponses: undefined, requestState: 's' }
  for (const key of ['inputResponses', 'requestState']) {
    assert.throws(() => encodeRequest(1, 'm', { [key]: 'x' }, undefined, undefined, retry), TypeError)
  }
})

test('every encoded request is one proven message with the same parts', () => {
  const seed = Date.now()
  fc.assert(
    fc.property(
      fc.oneof(fc.maxSafeInteger(), fc.string({ maxLength: 100 })),
      fc.string({ maxLength: 50 }),
      fc.dictionary(fc.constantFrom('name', 'uri', 'cursor'), fc.string()),
      fc.option(fc.dictionary(fc.string(), fc.double({ noNaN: true, noDefaultInfinity: true })), {
        nil: undefined,
      }),
      (id, method, head, args) => {
        const argsBytes = args === undefined ? undefined : Buffer.from(JSON.stringify(args))
        const message = decode(encodeRequest(id, method, head, argsBytes, undefined).toString())
        assert.ok(message.kind === 'request' && message.params !== undefined)
        assert.equal(message.id, id)
        assert.equal(message.method, method)
        const params: unknown = JSON.parse(Buffer.from(message.params).toString())
        const wanted = {
          ...head,
          ...(argsBytes === undefined ? {} : { arguments: JSON.parse(argsBytes.toString()) }),
        }
        assert.equal(JSON.stringify(params), JSON.stringify(wanted))
      },
    ),
    { seed, numRuns: 300 },
  )
})

test('results, errors and notifications are encoded and told apart', () => {
  const result = decode(encodeResult('a', Buffer.from('{"n": 1.0}')).toString())
  assert.ok(result.kind === 'response' && result.outcome === 'result')
  assert.equal(Buffer.from(result.body).toString(), '{"n": 1.0}')
  const error = decode(encodeError(null, -32700, 'no', { at: 1 }).toString())
  assert.ok(error.kind === 'response' && error.outcome === 'error')
  assert.equal(error.id, null)
  assert.equal(Buffer.from(error.body).toString(), '{"code":-32700,"message":"no","data":{"at":1}}')
  const notification = decode(encodeNotification('n').toString())
  assert.deepEqual(notification, { kind: 'notification', method: 'n', params: undefined })
  const own = decode(encodeOwnRequest(3, 'ping', {}).toString())
  assert.ok(own.kind === 'request' && own.id === 3)
})

const refused = {
  batch: '[{"jsonrpc":"2.0","id":1,"result":{}}]',
  'a scalar': '1',
  'no version': '{"id":1,"result":{}}',
  'version 1': '{"jsonrpc":"1.0","id":1,"result":{}}',
  'version as a number': '{"jsonrpc":2.0,"id":1,"result":{}}',
  'an extra member': '{"jsonrpc":"2.0","id":1,"result":{},"x":1}',
  'result and error': '{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":"m"}}',
  'neither result nor error': '{"jsonrpc":"2.0","id":1}',
  'method and result': '{"jsonrpc":"2.0","id":1,"method":"m","result":{}}',
  'a result without id': '{"jsonrpc":"2.0","result":{}}',
  'a result with id null': '{"jsonrpc":"2.0","id":null,"result":{}}',
  'a request with id null': '{"jsonrpc":"2.0","id":null,"method":"m"}',
  'a fraction as id': '{"jsonrpc":"2.0","id":1.5,"result":{}}',
  'an unsafe id': '{"jsonrpc":"2.0","id":9007199254740993,"result":{}}',
  'an object as id': '{"jsonrpc":"2.0","id":{},"result":{}}',
  'a long id': `{"jsonrpc":"2.0","id":"${'x'.repeat(2_000)}","result":{}}`,
  'a result that is an array': '{"jsonrpc":"2.0","id":1,"result":[]}',
  'a result that is null': '{"jsonrpc":"2.0","id":1,"result":null}',
  'params that are an array': '{"jsonrpc":"2.0","method":"m","params":[]}',
  'params in a response': '{"jsonrpc":"2.0","id":1,"result":{},"params":{}}',
  'a method that is a number': '{"jsonrpc":"2.0","method":1}',
  'an error without message': '{"jsonrpc":"2.0","id":1,"error":{"code":1}}',
  'an error with a fraction as code': '{"jsonrpc":"2.0","id":1,"error":{"code":1.5,"message":"m"}}',
  'an error that is a string': '{"jsonrpc":"2.0","id":1,"error":"m"}',
}
for (const [what, text] of Object.entries(refused)) {
  test(`an envelope with ${what} is refused`, () => {
    assert.throws(() => decode(text), EnvelopeFault)
  })
}

test('near misses pass: an integer as 1.0, an id 0, an empty string as id, an error without id', () => {
  assert.equal(decode('{"jsonrpc":"2.0","id":1.0,"result":{}}').kind, 'response')
  assert.equal(decode('{"jsonrpc":"2.0","id":0,"result":{}}').kind, 'response')
  assert.equal(decode('{"id":"","result":{} , "jsonrpc":"2.0"}').kind, 'response')
  assert.equal(decode('{"jsonrpc":"2.0","error":{"code":-32600,"message":"m"}}').kind, 'response')
})

test('codes of JSON-RPC and MCP are known as not ours', () => {
  for (const code of [-32768, -32700, -32042, -32020, -32000]) assert.equal(isReservedCode(code), true)
  for (const code of [-32769, -31999, 0, 4290]) assert.equal(isReservedCode(code), false)
})
