import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import * as fc from 'fast-check'
import { verifies } from '../../gateway/src/testing/verifies.ts'
import { authInfoOf, callerOf } from './caller.ts'
import { createGuard, type GuardOptions } from './guard.ts'
import { keysFile } from './keys.ts'
import { memberOf } from './member.ts'
import { owned } from './owned.ts'
import { NotOwned, NotVouched } from './refusals.ts'
import { createReplayMemory } from './replay.ts'
import { assertion, callBody, testKey } from './testing/assertions.ts'

const ARGS = '{ "id": "17", "n": 1.0e1 }'
const ed = testKey('EdDSA', 'ed')
const p256 = testKey('ES256', 'p256')
const stranger = testKey('EdDSA', 'ed')
const keys = { keys: [ed.jwk, p256.jwk] }
const ADA = {
  tenant: 'acme',
  issuer: 'https://idp.example',
  subject: 'ada',
  actor: 'planner',
  client: 'desk',
  tool: 'get_order',
}

const guardOf = (more: Partial<GuardOptions> = {}) =>
  createGuard({ issuer: 'urn:callgate', server: 'shop', keys, ...more })
const admit = (body: string | Uint8Array, guard = guardOf()) => guard.admit(Buffer.from(body))
const by = (claims: object = {}, header: object = {}, key = ed) =>
  callBody(assertion(key, ARGS, claims, header), ARGS)
const nowS = Math.floor(Date.now() / 1_000)

/** Who calls; or why nobody is believed. */
async function callerIn(body: string | Uint8Array, guard = guardOf()): Promise<object | string> {
  try {
    const { caller } = await admit(body, guard)
    if (caller === undefined) return 'nobody'
    const { expiresAt: _, ...who } = caller
    return who
  } catch (cause) {
    assert.ok(cause instanceof NotVouched, String(cause))
    return cause.why
  }
}

const good = assertion(ed, ARGS)
const unsigned = good.split('.')
unsigned[0] = Buffer.from('{"alg":"none","typ":"callgate-caller+jwt","kid":"ed"}').toString('base64url')

/** What comes, and who calls by it or why it is refused. */
const BODIES: readonly (readonly [what: string, body: string | Uint8Array, expected: object | string])[] = [
  ['Ed25519', by(), ADA],
  ['P-256', by({}, {}, p256), ADA],
  ['the name of RFC 9864', by({}, { alg: 'Ed25519' }), ADA],
  ['no assertion', callBody(undefined, ARGS), 'missing'],
  ['an assertion that is no text', callBody('x', ARGS).replace('"x"', '7'), 'missing'],
  ['an assertion that is no JWT', callBody('x.y', ARGS), 'malformed'],
  ['an argument changed', callBody(good, ARGS.replace('17', '18')), 'other_call'],
  ['the same number in other letters', callBody(good, ARGS.replace('1.0e1', '10')), 'other_call'],
  ['a space less', callBody(good, ARGS.replace('": ', '":')), 'other_call'],
  ['another tool', callBody(good, ARGS, 'delete_order'), 'other_call'],
  ['no arguments', callBody(good, ARGS).replace(`"arguments":${ARGS},`, ''), 'other_call'],
  ['two arguments', callBody(good, ARGS).replace('"arguments"', '"arguments":{},"arguments"'), 'malformed'],
  ['two names', callBody(good, ARGS).replace('"name"', '"name":"x","name"'), 'malformed'],
  ['a name in other letters', callBody(good, ARGS).replace('"name"', '"name":"x","n\\u0061me"'), 'malformed'],
  ['two params', callBody(good, ARGS).replace('"params"', '"params":{},"params"'), 'malformed'],
  ['two methods', callBody(good, ARGS).replace('"method"', '"method":"ping","method"'), 'malformed'],
  ['another server', by({ aud: 'mail' }), 'untrusted'],
  ['several servers', by({ aud: ['shop', 'mail'] }), 'untrusted'],
  ['another gate', by({ iss: 'https://other.example' }), 'untrusted'],
  ['a key of a stranger', by({}, {}, stranger), 'untrusted'],
  ['an unknown key', by({}, { kid: 'none' }, stranger), 'untrusted'],
  ['the algorithm of another key', by({}, { alg: 'ES256' }), 'untrusted'],
  ['no signature', callBody(`${unsigned[0]}.${unsigned[1]}.AA`, ARGS), 'untrusted'],
  ['a subject token', by({}, { typ: 'callgate-subject+jwt' }), 'untrusted'],
  ['what must be understood', by({}, { crit: ['x'] }), 'untrusted'],
  ['expired', by({ iat: nowS - 90, exp: nowS - 30 }), 'expired'],
  ['just expired, by a clock that differs', by({ iat: nowS - 62, exp: nowS - 2 }), ADA],
  ['early', by({ iat: nowS + 30, exp: nowS + 60 }), 'expired'],
  ['long', by({ exp: nowS + 3_600 }), 'untrusted'],
  ['no end', by({ exp: undefined }), 'untrusted'],
  ['no id', by({ jti: undefined }), 'untrusted'],
  ['no tenant', by({ tenant: undefined }), 'untrusted'],
  ['no issuer of the subject', by({ sub_id: 'x' }), 'untrusted'],
  ['no actor', by({ act: { sub: '' } }), 'untrusted'],
  ['a list of tools', '{"jsonrpc":"2.0","id":1,"method":"tools/list"}', 'nobody'],
  ['a notification', '{"jsonrpc":"2.0","method":"notifications/initialized"}', 'nobody'],
  ['a resource', '{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"a:b"}}', 'missing'],
  ['an answer', '{"jsonrpc":"2.0","id":1,"result":{}}', 'missing'],
  ['a method nobody knows', '{"jsonrpc":"2.0","id":1,"method":"x/y"}', 'missing'],
  ['several messages', `[${by()}]`, 'malformed'],
  ['params that are a list', '{"method":"tools/call","params":[]}', 'malformed'],
  ['no JSON', 'x', 'malformed'],
  ['no UTF-8', new Uint8Array([0x22, 0xff, 0x22]), 'malformed'],
  ['a mark before it', `\ufeff${by()}`, 'malformed'],
]

test('what the gate signed for this very call is taken, and nothing that somebody changed', async () => {
  verifies('play7.bola-bfla.guard')
  for (const [what, body, expected] of BODIES) assert.deepEqual(await callerIn(body), expected, what)
})

test('an assertion counts once, and is used up only by the call that it is for', async () => {
  verifies('play7.bola-bfla.guard')
  const guard = guardOf()
  const token = assertion(ed, ARGS)
  assert.equal(await callerIn(callBody(token, '{"id":"18"}'), guard), 'other_call')
  assert.deepEqual(await callerIn(callBody(token, ARGS), guard), ADA)
  assert.equal(await callerIn(callBody(token, ARGS), guard), 'replayed')
  const at = Date.now()
  const both = await Promise.all(
    [by({ jti: 'one' }), by({ jti: 'one' })].map((body) => callerIn(body, guard)),
  )
  assert.deepEqual(both.filter((each) => each === 'replayed').length, 1, 'at the same time')
  const broken = guardOf({ replay: { claim: () => Promise.reject(new Error('down')) } })
  assert.equal(await callerIn(by(), broken), 'unavailable')
  const late = createReplayMemory(() => at + 120_000)
  assert.equal(late.claim('a', at / 1_000), true, 'what has ended is forgotten')
})

test('methods without a caller pass by name alone', async () => {
  const guard = guardOf({ withoutCaller: ['resources/read', 'response'] })
  assert.equal(await callerIn('{"id":1,"method":"resources/read"}', guard), 'nobody')
  assert.equal(await callerIn('{"id":1,"result":{}}', guard), 'nobody')
  assert.equal(await callerIn('{"id":1,"method":"prompts/get"}', guard), 'missing')
})

const folder = mkdtempSync(join(tmpdir(), 'callgate-guard-'))
after(() => rmSync(folder, { recursive: true, force: true }))

test('keys come from a file, which is read again for a key that is not known; without keys nobody is believed', async () => {
  const file = join(folder, 'jwks.json')
  const guard = guardOf({ keys: keysFile(file) })
  assert.equal(await callerIn(by(), guard), 'unavailable')
  for (const bad of ['{', '{}', '{"keys":[]}', '{"keys":[{"kty":"RSA","kid":"x"}]}', '[]']) {
    writeFileSync(file, bad)
    assert.equal(await callerIn(by(), guardOf({ keys: keysFile(file) })), 'unavailable', bad)
  }
  writeFileSync(file, JSON.stringify({ keys: [p256.jwk] }))
  const reading = guardOf({ keys: keysFile(file) })
  assert.deepEqual(await callerIn(by({}, {}, p256), reading), ADA)
  assert.equal(await callerIn(by(), reading), 'untrusted', 'asked at most every ten seconds')
  assert.throws(() => guardOf({ keys: { keys: [] } }), TypeError)
  assert.throws(() => guardOf({ server: '' }), TypeError)
})

test('an object is given to its owner alone; objects of others and none are refused in the same words', async () => {
  verifies('play7.bola-bfla.guard')
  const { caller } = await admit(by())
  assert.ok(caller !== undefined)
  const person = { issuer: ADA.issuer, subject: 'ada' }
  const owners = {
    mine: { tenant: 'acme', person },
    agents: { actor: 'planner' },
    tenants: { tenant: 'acme' },
    eves: { tenant: 'acme', person: { ...person, subject: 'eve' } },
    namesake: { person: { issuer: 'https://other.example', subject: 'ada' } },
    elsewhere: { tenant: 'other', person },
    robots: { actor: 'robot', person },
    nobodys: {},
  }
  const lookup = (id: string) => {
    const owner = (owners as Record<string, object>)[id]
    return owner === undefined ? undefined : { owner, object: `the object ${id}` }
  }
  for (const id of ['mine', 'agents', 'tenants'])
    assert.equal(await owned(caller, id, lookup), `the object ${id}`)
  const said = new Set<string>()
  for (const id of ['eves', 'namesake', 'elsewhere', 'robots', 'nobodys', 'unknown'])
    await assert.rejects(owned(caller, id, lookup), (cause) => {
      assert.ok(cause instanceof NotOwned)
      said.add(cause.message)
      return true
    })
  assert.equal(said.size, 1)
  await assert.rejects(owned({ ...caller }, 'mine', lookup), NotVouched, 'a copy is nobody')
})

test('a tool is told of its caller by either version of the SDK, and of nobody whom no guard knows', async () => {
  const { caller } = await admit(by())
  assert.ok(caller !== undefined)
  const authInfo = authInfoOf(caller, { token: 'own', clientId: 'own', scopes: ['a'], extra: { more: 1 } })
  assert.equal(callerOf({ authInfo }), caller)
  assert.equal(callerOf({ http: { authInfo } }), caller)
  assert.deepEqual([authInfo.token, authInfo.extra?.['more']], ['own', 1])
  assert.equal(authInfoOf(caller).token, '')
  for (const none of [{}, { authInfo: {} }, { authInfo: { extra: { 'callgate/caller': { ...caller } } } }])
    assert.throws(() => callerOf(none), NotVouched)
  assert.throws(() => Object.assign(caller, { tenant: 'other' }), TypeError)
})

test('a member is found as it is written, wherever it stands and whatever is beside it', () => {
  const space = fc.constantFrom('', ' ', '\n\t')
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), space, fc.string(), (object, gap, other) => {
      const entries = Object.entries(object).map(
        ([name, value]) => `${gap}${JSON.stringify(name)}${gap}:${gap}${JSON.stringify(value, null, gap)}`,
      )
      const json = `{${entries.join(`${gap},`)}${gap}}`
      for (const [name, value] of Object.entries(object))
        assert.deepEqual(JSON.parse(memberOf(json, name) ?? 'x'), JSON.parse(JSON.stringify(value)))
      if (!Object.hasOwn(object, other)) assert.equal(memberOf(json, other), undefined)
    }),
  )
})

test('whatever comes is admitted or refused as not vouched for, and nothing else happens', async () => {
  const guard = guardOf()
  const changed = fc.tuple(fc.nat(900), fc.string({ maxLength: 3 })).map(([at, text]) => {
    const body = by()
    return body.slice(0, at) + text + body.slice(at + text.length)
  })
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.string(), fc.json(), changed), async (body) => {
      const got = await callerIn(body, guard)
      if (typeof got === 'object') assert.deepEqual(got, ADA)
    }),
    { numRuns: 300 },
  )
})
