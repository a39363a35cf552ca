import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import * as fc from 'fast-check'
import { Secret } from './secrets.ts'
import { MAX_REFERENCE, parseReference } from './secret-reference.ts'
import { verifies } from '../testing/verifies.ts'

const PIN = 'module-path=/lib/p11.so&pin-source=file:/run/pin'

function parse(text: string, strict = false) {
  const parsed = parseReference(text, { strict })
  return 'problem' in parsed ? parsed.problem : parsed
}

test('each kind of reference is read with its options', () => {
  const token = { kind: 'file', text: 'file:/run/t&1', label: 'file:/run/t&1', path: '/run/t&1' }
  const rows: readonly [string, object][] = [
    ['file:/run/secrets/crm?x#y', { kind: 'file', path: '/run/secrets/crm?x#y' }],
    ['file:keys/crm', { kind: 'file', path: 'keys/crm' }],
    [
      'exec:["pass","show","a b"]',
      { kind: 'exec', program: 'pass', args: ['show', 'a b'], label: 'exec:pass' },
    ],
    ['env:CRM_KEY', { kind: 'env', variable: 'CRM_KEY' }],
    [
      'vault:https://vault.corp:8200/v1/secret/data/crm?token=file:/run/t%261#api%20key',
      { kind: 'vault', kv: 2, field: 'api key', namespace: undefined, token },
    ],
    [
      'vault:http://127.0.0.1:8200/v1/kv/crm?kv=1&namespace=a/b&token=file:t#key',
      { kv: 1, namespace: 'a/b' },
    ],
    [
      'awssm:eu-west-1/prod/crm+1?credentials=file:c&profile=gate#password',
      { kind: 'awssm', region: 'eu-west-1', secretId: 'prod/crm+1', member: 'password', profile: 'gate' },
    ],
    [
      'awssm:us-gov-west-1/arn:aws-us-gov:secretsmanager:us-gov-west-1:1:secret:crm-AbCdEf?credentials=file:c',
      { secretId: 'arn:aws-us-gov:secretsmanager:us-gov-west-1:1:secret:crm-AbCdEf', member: undefined },
    ],
    [
      'awskms:eu-west-1/arn:aws:kms:eu-west-1:1:key/1-2:YWJj/+==?credentials=file:c'.replace(
        'YWJj/+==',
        'YWJj/w==',
      ),
      {
        kind: 'awskms',
        keyId: 'arn:aws:kms:eu-west-1:1:key/1-2',
        ciphertext: 'YWJj/w==',
        profile: 'default',
      },
    ],
    [
      `pkcs11:token=the%20gate;object=crm;type=data?${PIN}`,
      { kind: 'pkcs11', token: 'the gate', object: 'crm', module: '/lib/p11.so' },
    ],
  ]
  for (const [text, expected] of rows) {
    const parsed = parse(text)
    assert.ok(typeof parsed === 'object', `${text}: ${String(parsed)}`)
    assert.equal(parsed.text, text)
    assert.partialDeepStrictEqual(parsed, expected)
  }
})

test('a label names the place and holds neither arguments nor ciphertext nor options', () => {
  const labels = [
    'exec:["/bin/p","hunter2"]',
    'awskms:eu-west-1/alias/a:YWJj?credentials=file:c',
    'vault:https://v/v1/s/data/x?token=file:t&version=2#f',
  ].map((text) => {
    const parsed = parse(text)
    return typeof parsed === 'object' ? parsed.label : parsed
  })
  assert.deepEqual(labels, ['exec:/bin/p', 'awskms:eu-west-1/alias/a', 'vault:https://v/v1/s/data/x#f'])
})

test('each malformed reference has its own problem, which never quotes the text', () => {
  verifies('secrets.by-reference')
  const vault = 'vault:https://hunter2.example/v1/secret/data/crm'
  const rows: readonly [string, RegExp][] = [
    ['hunter2', /by reference, never itself \(expected `file:`/],
    ['', /by reference, never itself/],
    ['FILE:/hunter2', /by reference, never itself/],
    [`file:${'hunter2'.repeat(MAX_REFERENCE / 7)}`, /longer than 12288 characters/],
    ['file:/hunter2\n', /control characters/],
    ['file:/hunter2\ud800', /control characters/],
    ['file:', /names no path/],
    ['file://hunter2/x', /takes a path, no host/],
    ['exec:hunter2', /JSON list of texts/],
    ['exec:["hunter2",1]', /JSON list of texts/],
    ['exec:[]', /needs a program first/],
    ['exec:["./hunter2"]', /by absolute path or by name/],
    ['exec:["/hunter2/"]', /by absolute path or by name/],
    ['exec:["p","hunter2\\u0000"]', /no control characters/],
    ['env:hunter2 hunter2', /name of a variable/],
    ['env:2', /name of a variable/],
    ['vault:hunter2', /https URL/],
    ['vault:http://hunter2.example/v1/a/b?token=file:t#f', /plain http is for loopback alone/],
    ['vault:https://u:hunter2@v/v1/a/b?token=file:t#f', /holds user info/],
    ['vault:https://169.254.169.254/v1/hunter2/b?token=file:t#f', /link-local or metadata address/],
    ['vault:https://[::ffff:a9fe:a9fe]/v1/a/b?token=file:t#f', /link-local or metadata address/],
    ['vault:https://metadata.google.internal/v1/a/b?token=file:t#f', /link-local or metadata address/],
    ['vault:https://hunter2.example/secret?token=file:t#f', /needs the API path/],
    [`${vault}?token=file:t`, /names no field/],
    [`${vault}#hunter2`, /needs `token=file:\/path`/],
    [`${vault}?token=hunter2#f`, /needs `token=file:\/path`/],
    [`${vault}#f?token=file:t`, /stand before the `#`/],
    [`${vault}?token=file:t&hunter2=1#f`, /takes `token`, `namespace`, `kv`, `version`, each once/],
    [`${vault}?token=file:t&token=file:hunter2#f`, /each once/],
    [`${vault}?token=file:t&kv=3#f`, /`1` or `2`/],
    [`${vault}?token=file:t&kv=1&version=2#f`, /with `kv=2` alone/],
    [`${vault}?token=file:t&version=0#f`, /whole number from 1/],
    [`${vault}?token=file:t&namespace=a%0d%0ab#f`, /control characters/],
    [`${vault}?token=file:t&namespace=%c3%bc#f`, /printable ASCII/],
    [`${vault}?token=file:%zz#f`, /percent sign/],
    ['awssm:hunter2', /region, name/],
    ['awssm:hunter2/x?credentials=file:c', /begins with a region/],
    ['awssm:eu-west-1/hunter2?profile=a', /needs `credentials=file:\/path`/],
    ['awssm:eu-west-1/x?credentials=file:c&profile=hunter2]', /`profile` of `awssm:`/],
    ['awssm:eu-west-1/x?credentials=file:c&endpoint=https://hunter2.example/p', /an origin without path/],
    ['awssm:eu-west-1/x?credentials=file:c&endpoint=http://100.100.100.200', /https URL/],
    ['awssm:eu-west-1/x?credentials=file:c&endpoint=https://100.100.100.200', /metadata address/],
    ['awskms:eu-west-1/alias/hunter2?credentials=file:c', /region, key and ciphertext/],
    ['awskms:eu-west-1/alias/x:hunter2?credentials=file:c', /is not base64/],
    ['awskms:eu-west-1/alias/x:YWJj?credentials=file:c#hunter2', /region, key and ciphertext/],
    [`pkcs11:token=hunter2;type=data?${PIN}`, /takes token, object and type/],
    [`pkcs11:token=t;object=hunter2;type=private?${PIN}`, /takes token, object and type/],
    [`pkcs11:token=t;object=o;type=data;id=hunter2?${PIN}`, /takes token, object and type/],
    [`pkcs11:token=t;id=%01;id=hunter2;type=private?${PIN}`, /takes token, object and type/],
    [`pkcs11:token=t;id=hunter2%2;type=private?${PIN}`, /takes token, object and type/],
    [`pkcs11:token=t;id=;type=private;object=hunter2?${PIN}`, /takes token, object and type/],
    [`pkcs11:token=t;model=hunter2;type=data?${PIN}`, /takes `token`, `object`, `type`/],
    ['pkcs11:token=t;object=o;type=data?pin-value=hunter2', /takes `module-path`, `pin-source`/],
    ['pkcs11:token=t;object=o;type=data?pin-source=file:hunter2', /`module-path` of `pkcs11:` is missing/],
    [
      'pkcs11:token=t;object=o;type=data?module-path=/l&pin-source=|hunter2',
      /needs `pin-source=file:\/path`/,
    ],
  ]
  for (const [text, says] of rows) {
    const problem = parse(text)
    assert.ok(typeof problem === 'string', text)
    assert.match(problem, says, text)
    assert.doesNotMatch(problem, /hunter2|[\n.]$/, text)
  }
})

test('an environment variable is refused in strict mode with its fix; every other kind is not', () => {
  verifies('secrets.no-env-strict')
  assert.match(String(parse('env:CRM_KEY', true)), /`env:` is refused by --strict.* write `file:`/)
  assert.equal(typeof parse('env:CRM_KEY'), 'object')
  assert.equal(typeof parse('file:/run/crm', true), 'object')
})

test('any text gives a reference or a problem of one line, and what it gives it gives again', () => {
  const seed = Math.floor(Math.random() * 2 ** 31)
  const scheme = fc.constantFrom('file:', 'exec:', 'env:', 'vault:', 'awssm:', 'awskms:', 'pkcs11:', '')
  const valid = fc.constantFrom(
    'vault:https://v/v1/secret/data/x?token=file:t&kv=2#f',
    'awssm:eu-west-1/x?credentials=file:c&endpoint=http://127.0.0.1:1#m',
    'awskms:eu-west-1/alias/a:YWJj?credentials=file:c',
    `pkcs11:token=t;object=o;type=data?${PIN}`,
    'exec:["a","b"]',
  )
  const part = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string(),
    fc.constantFrom('?', '#', '&', ';', '%', '/', '..'),
  )
  const text = fc.oneof(
    fc.tuple(scheme, part).map((parts) => parts.join('')),
    // A valid text with a piece put in or taken out anywhere.
    fc
      .tuple(valid, part, fc.nat(80), fc.nat(8))
      .map(([base, piece, at, cut]) => base.slice(0, at) + piece + base.slice(at + cut)),
  )
  let read = 0
  fc.assert(
    fc.property(text, (written) => {
      const parsed = parse(written)
      if (typeof parsed === 'string') {
        assert.match(parsed, /^[^\p{Cc}]+$/u)
        return
      }
      read++
      assert.equal(parsed.text, written)
      assert.doesNotMatch(parsed.label, /\p{Cc}/u)
      assert.deepEqual(parse(parsed.text), parsed)
      if (parsed.kind === 'vault')
        assert.match(parsed.url.origin, /^https:|^http:\/\/(?:127|localhost|\[::1)/)
    }),
    { seed, numRuns: 1_500, verbose: 1 },
  )
  assert.ok(read > 50, `seed ${seed}: only ${read} texts were references`)
})

test('a secret prints as [secret] however it is asked, and gives its value to reveal alone', () => {
  const secret = new Secret('canary-7f3a')
  const printed = [
    `${secret}`,
    JSON.stringify({ secret, list: [secret] }),
    inspect(secret),
    inspect({ deep: { secret } }, { depth: 9, showHidden: true }),
    inspect(secret, { customInspect: false, showHidden: true, getters: true }),
    JSON.stringify(Object.entries(secret)),
    JSON.stringify(structuredClone(secret)),
    String(new Error('x', { cause: secret }).cause),
  ].join()
  assert.doesNotMatch(printed, /canary/)
  assert.match(printed, /\[secret\]/)
  assert.equal(secret.reveal(), 'canary-7f3a')
})
