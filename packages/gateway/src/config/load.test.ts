import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import * as fc from 'fast-check'
import { makeCa, makeCertificate } from '../../../../test/harness/pki.ts'
import { verifies } from '../testing/verifies.ts'
import type { GatewayConfig } from './declaration.ts'
import type { Loaded, LoadOptions } from './load.ts'
import { loadConfig } from './load.ts'
import { formatProblem } from './problem.ts'

const folder = mkdtempSync(join(tmpdir(), 'callgate-config-'))
after(() => rmSync(folder, { recursive: true }))
const path = join(folder, 'callgate.yaml')
const golden = new URL('testdata/', import.meta.url)
const SEPARATOR = '----------\n'

const LEAST =
  'identity: { issuers: [{ issuer: https://id.example, jwks: keys.json }] }\npolicy: { files: [policy.yaml] }\n'

function load(yaml: string | Uint8Array, options: Partial<LoadOptions> = {}): Loaded {
  writeFileSync(path, yaml)
  return loadConfig(path, { env: {}, cwd: '/somewhere', ...options })
}

function withServer(url: string): string {
  return `${LEAST}servers: { a: { url: '${url}', network: [127.0.0.0/8, ::1/128, 10.0.0.0/8] } }\n`
}

function withAliases(count: number): string {
  return LEAST.replace('[policy.yaml]', `[&x a${', *x'.repeat(count)}]`)
}

function withUnknown(count: number): string {
  return LEAST + Array.from({ length: count }, (_, i) => `zzzz${i}: 1\n`).join('')
}

function padded(bytes: number): string {
  return `${LEAST}#${'x'.repeat(bytes - LEAST.length - 1)}`
}

function messages(loaded: Loaded): string {
  return loaded.problems ? loaded.problems.map(formatProblem).join('\n') : 'ok'
}

function good(yaml: string, options: Partial<LoadOptions> = {}): GatewayConfig {
  const loaded = load(yaml, options)
  assert.ok(loaded.config, messages(loaded))
  return loaded.config
}

for (const name of readdirSync(golden)) {
  test(`golden: ${name} is answered word for word`, () => {
    verifies('spine.one-config')
    const text = readFileSync(new URL(name, golden), 'utf8')
    const at = text.indexOf(SEPARATOR)
    const answer = messages(load(text.slice(0, at), { strict: name.startsWith('strict--') }))
    if (process.env['UPDATE_GOLDEN'] === 'true') {
      writeFileSync(new URL(name, golden), `${text.slice(0, at)}${SEPARATOR}${answer}\n`)
    } else assert.equal(`${answer}\n`, text.slice(at + SEPARATOR.length))
  })
}

test('the least configuration is the strictest one', () => {
  verifies('spine.safe-defaults')
  assert.deepEqual(good(LEAST, { strict: true }), {
    listener: {
      host: '127.0.0.1',
      port: 8420,
      allowedHosts: [],
      allowedOrigins: [],
      trustedProxies: [],
      maxConnections: 1024,
      headersTimeoutMs: 10_000,
      requestTimeoutMs: 30_000,
      idleTimeoutMs: 60_000,
      maxRequestBytes: 1_048_576,
      maxHeaderBytes: 16_384,
    },
    identity: {
      issuers: [{ issuer: 'https://id.example', jwks: join(folder, 'keys.json'), dev: false }],
      algorithms: ['ES256', 'EdDSA', 'Ed25519', 'PS256', 'RS256'],
      maxTokenLifeS: 600,
      clockSkewS: 30,
      replay: 'proof',
      dpopNonce: false,
      messageSignatures: 'off',
      enrolment: false,
      purposes: [],
      clients: {},
      certificates: [],
      missesPerPeer: { perSecond: 50, burst: 100 },
      actors: {},
    },
    servers: {},
    policy: { files: [join(folder, 'policy.yaml')] },
    rollout: { groups: {}, enforce: [] },
    dlp: { mode: 'enforce', arguments: {}, results: {}, own: {}, exceptions: [], binary: {} },
    egress: { mode: 'enforce', schemes: ['http', 'https'], ports: [], allow: [], deny: [], resolve: true },
    ownership: { mode: 'enforce', types: {} },
    idempotency: {
      ttlS: 86_400,
      derivedWindowS: 60,
      maxKeys: 100_000,
      maxKeysPerCaller: 10_000,
      maxBytes: 67_108_864,
      maxAnswerBytes: 32_768,
    },
    evidence: { checkpointMs: 1000, checkpointRecords: 1000 },
    assertion: {},
    secrets: { ttlS: 300 },
    state: '/somewhere/state',
    folder,
  })
})

test('servers carry their defaults: manual approval, own process, class write', () => {
  const { servers } = good(`${LEAST}
servers:
  files: { command: [node, server.mjs], roots: [data], tools: { 'read_*': { class: read, labels: [files] }, move: {} } }
  remote: { url: 'https://tools.example/mcp' }
`)
  const common = {
    era: 'auto',
    clientCapabilities: [],
    assertCaller: false,
    approve: 'manual',
    timeoutMs: 60_000,
    listTimeoutMs: 5_000,
  }
  assert.deepEqual(servers, {
    files: {
      ...common,
      transport: 'stdio',
      command: ['node', 'server.mjs'],
      env: {},
      cwd: folder,
      shared: false,
      roots: [join(folder, 'data')],
      tools: {
        'read_*': { class: 'read', labels: ['files'], scopes: [], urls: 'judged' },
        move: { class: 'write', labels: [], scopes: [], urls: 'judged' },
      },
    },
    remote: {
      ...common,
      transport: 'http',
      url: 'https://tools.example/mcp',
      network: [],
      roots: [],
      tools: {},
    },
  })
})

test('plain HTTP is configured for loopback only, for the listener and for servers', () => {
  verifies('play2.tls.plain-loopback')
  for (const url of [
    'http://127.0.0.1/mcp',
    'http://[::1]:9/mcp',
    'http://localhost/mcp',
    'https://10.0.0.1/mcp',
  ])
    good(withServer(url))
  for (const url of [
    'http://10.0.0.1/mcp',
    'http://tools.example/mcp',
    'http://127.0.0.1.example/mcp',
    'http://[::]/mcp',
  ]) {
    assert.match(messages(load(withServer(url))), /`servers\.a\.url` is `http:/)
  }
  for (const host of ['127.0.0.1', '127.0.0.53', '::1', 'localhost'])
    good(`listener: { host: '${host}' }\n${LEAST}`)
  for (const host of ['0.0.0.0', '::', '10.0.0.1', '127.1', '0x7f.0.0.1', 'localhost.example', '']) {
    assert.match(messages(load(`listener: { host: '${host}' }\n${LEAST}`)), /`listener\.host` is `/)
  }
})

test('keys of the development issuer lie in the state folder', () => {
  const yaml = 'identity: { issuers: [{ issuer: dev, dev: true }] }\npolicy: { files: [p] }\nstate: kept\n'
  assert.equal(good(yaml).identity.issuers[0]?.jwks, join(folder, 'kept/keys/dev-issuer.jwks.json'))
  const moved = good(yaml, { env: { CALLGATE_STATE: 'elsewhere' } })
  assert.equal(moved.identity.issuers[0]?.jwks, '/somewhere/elsewhere/keys/dev-issuer.jwks.json')
})

test('CALLGATE_PORT and CALLGATE_STATE override the file, and empty ones do not', () => {
  const yaml = `listener: { port: 1 }\nstate: kept\n${LEAST}`
  const overridden = good(yaml, { env: { CALLGATE_PORT: '9000', CALLGATE_STATE: '/var/lib/callgate' } })
  assert.equal(overridden.listener.port, 9000)
  assert.equal(overridden.state, '/var/lib/callgate')
  const kept = good(yaml, { env: { CALLGATE_PORT: '', CALLGATE_STATE: '' } })
  assert.equal(kept.listener.port, 1)
  assert.equal(kept.state, join(folder, 'kept'))
})

test('a CALLGATE_PORT that is no port is refused by name', () => {
  for (const port of ['abc', '65536', '-1', '80.5', '0x50', ' 80']) {
    const loaded = load(LEAST, { env: { CALLGATE_PORT: port } })
    assert.equal(messages(loaded), `CALLGATE_PORT is \`${port}\` (expected an integer from 0 to 65535)`)
  }
  assert.equal(good(LEAST, { env: { CALLGATE_PORT: '65535' } }).listener.port, 65_535)
})

test('a file that is absent, a folder or unreadable is named with the way out', () => {
  for (const [name, code] of [
    ['absent.yaml', 'ENOENT'],
    ['folder', 'EISDIR'],
  ] as const) {
    const at = join(folder, name)
    if (name === 'folder') mkdirSync(at)
    const answer = messages(loadConfig(at, { env: {} }))
    assert.equal(answer, `${at} cannot be read (${code}); name the configuration with --config`)
  }
})

test('1 MiB is read, one byte more is not', () => {
  good(padded(1_048_576))
  assert.match(messages(load(padded(1_048_577))), /is larger than 1 MiB \(1048577 bytes\)/)
})

test('a file that is not UTF-8 is refused', () => {
  assert.equal(
    messages(load(Buffer.from([0x61, 0x3a, 0xff]))),
    'callgate.yaml is not valid UTF-8; save it as UTF-8',
  )
})

test('nesting that would overflow the stack is a problem, not a crash', () => {
  for (const bomb of ['['.repeat(50_000), '{a: '.repeat(20_000), '- '.repeat(20_000)]) {
    assert.match(messages(load(bomb)), /^callgate\.yaml.* is nested too deeply; [^\n]*$/)
  }
})

test('50 problems are told, and of more how many', () => {
  assert.equal(load(withUnknown(50)).problems?.length, 50)
  const many = load(withUnknown(60)).problems ?? []
  assert.equal(many.length, 51)
  assert.match(many.at(-1)?.message ?? '', /^and 10 more problems/)
})

test('100 aliases are read, 101 are not', () => {
  assert.equal(good(withAliases(100)).policy.files.length, 101)
  assert.match(messages(load(withAliases(101))), /more than 100 aliases/)
})

test('values that may be secrets stand in no message', () => {
  const yaml = `${LEAST}servers:\n  a: { command: [x], env: { TOKEN: [hunter2] } }\n  b: { url: 'ftp://me:hunter2@a.example/' }\n`
  assert.doesNotMatch(messages(load(yaml)), /hunter2/)
  assert.match(messages(load(yaml)), /servers\.a\.env\.TOKEN/)
})

test('a secret that YAML takes for something else stands in no message', () => {
  verifies('secrets.by-reference')
  const forms = [
    '!hunter2',
    '*hunter2',
    '|hunter2',
    '>hunter2',
    '%hunter2',
    '@hunter2',
    '"\\hunter2"',
    '{hunter2',
    '[hunter2',
    'a: hunter2',
  ]
  for (const form of forms) {
    const told = messages(load(`${LEAST}dlp:\n  detector:\n    url: https://d.example\n    token: ${form}\n`))
    assert.match(told, /^callgate\.yaml:\d+:\d+ /, form)
    assert.doesNotMatch(told, /hunter2/)
  }
})

test('whatever is written, loading answers with a configuration or with problems that have a place', () => {
  const scraps = fc.constantFrom(
    ...'identity:|issuers|policy| |\n|  |- |: |[|]|{|}|&a|*a|<<|!x|"|\'|#|---\n|null|8420|listener|\u0000|?|>'.split(
      '|',
    ),
  )
  const yaml = fc.oneof(
    fc.string(),
    fc.array(scraps, { maxLength: 40 }).map((parts) => parts.join('')),
  )
  const property = fc.property(yaml, (text) => {
    const loaded = load(text)
    if (loaded.problems === undefined) return
    assert.ok(loaded.problems.length > 0)
    for (const problem of loaded.problems) {
      assert.ok(problem.message.length > 0)
      assert.ok(problem.line === undefined || problem.line >= 1)
    }
  })
  fc.assert(property, { numRuns: 400 })
})

test('`{state}` in a command and in an environment value is the state folder', () => {
  const folder = mkdtempSync(join(tmpdir(), 'callgate-config-'))
  const file = join(folder, 'callgate.yaml')
  writeFileSync(
    file,
    [
      'identity: { issuers: [{ issuer: "urn:callgate:dev-issuer", dev: true }] }',
      'servers: { crm: { command: [crm, "--store={state}/crm"], env: { FILE: "{state}/x", OTHER: "{other}" } } }',
      'policy: { files: [policy.yaml] }',
    ].join('\n'),
  )
  const { config } = loadConfig(file, { env: { CALLGATE_STATE: '/kept' } })
  const crm = config?.servers['crm']
  assert.ok(crm?.transport === 'stdio')
  assert.deepEqual(crm.command, ['crm', '--store=/kept/crm'])
  assert.deepEqual(crm.env, { FILE: '/kept/x', OTHER: '{other}' })
  rmSync(folder, { recursive: true })
})

test('under --strict a certificate of the gate lives at most 90 days, towards hosts and towards servers', () => {
  verifies('play2.rotation')
  const day = 86_400_000
  const issuer = makeCa()
  for (const days of [90, 91]) {
    const { pem } = makeCertificate({ issuer, from: 0, until: days * day })
    writeFileSync(join(folder, `${days}.pem`), pem)
  }
  const yaml = (listener: number, server: number): string =>
    `${LEAST}listener: { tls: { key: a.key, cert: ${listener}.pem } }
servers: { crm: { url: 'https://crm.example/mcp', tls: { cert: ${server}.pem, key: a.key } } }
approvals:
  roles: { dba: ["oidc:grace@corp.example"] }
  page:
    publicUrl: https://approve.example
    listen: { tls: { key: a.key, cert: ${listener}.pem } }
    oidc: { issuer: https://id.example, clientId: gate }
`
  const { approvals } = good(yaml(90, 90), { strict: true })
  assert.equal(approvals?.page?.listen.tls?.cert, join(folder, '90.pem'))
  good(yaml(91, 91))
  const told = messages(load(yaml(91, 91), { strict: true }))
  for (const key of ['listener.tls.cert', 'servers.crm.tls.cert', 'approvals.page.listen.tls.cert'])
    assert.ok(told.includes(`\`${key}\` lives 91 days, which --strict refuses (at most 90)`), told)
})

test('the listener leaves loopback only with TLS and a public URL, and what belongs together stands together', () => {
  verifies('play2.tls.plain-loopback')
  const listener = (text: string): string => messages(load(`${LEAST}listener: { ${text} }\n`))
  const files = 'key: a.key, cert: a.pem'
  assert.match(listener('host: 192.0.2.1'), /plain HTTP stays on loopback/)
  assert.match(listener(`host: 192.0.2.1, tls: { ${files} }`), /`listener.publicUrl` is missing/)
  assert.match(
    listener(`publicUrl: "http://localhost:8420", tls: { ${files} }`),
    /`listener.tls` makes it https/,
  )
  assert.match(listener(`tls: { ${files}, crl: a.crl }`), /goes with `clientCa`/)
  const config = good(
    `${LEAST}listener: { host: 192.0.2.1, publicUrl: "https://gate.example", tls: { ${files}, clientCa: ca.pem, crl: a.crl } }\n`,
  )
  assert.deepEqual(config.listener.tls, {
    key: join(folder, 'a.key'),
    cert: join(folder, 'a.pem'),
    clientCa: join(folder, 'ca.pem'),
    crl: join(folder, 'a.crl'),
    clientCertificates: 'required',
  })
  const mapped = (entries: string, tls = ', clientCa: ca.pem'): string =>
    messages(
      load(
        `${LEAST.replace('] }\n', `], certificates: [${entries}] }\n`)}listener: { tls: { ${files}${tls} } }\n`,
      ),
    )
  assert.equal(mapped('{ uri: "spiffe://acme.example/x" }, { dns: ci.acme.example }'), 'ok')
  assert.match(mapped('{ uri: "spiffe://acme.example/*" }'), /without `\*`/)
  assert.match(mapped('{ uri: "spiffe://a.example/x", dns: ci.acme.example }'), /exactly one of/)
  assert.match(mapped('{ actor: x }'), /exactly one of/)
  assert.match(mapped('{ dns: ci.acme.example }', ''), /needs `listener.tls.clientCa`/)
})

test('TLS towards a server goes with https and needs key and certificate, and an exception ends on a day', () => {
  const tls = (url: string, text: string): string =>
    messages(load(`${LEAST}servers: { a: { url: '${url}', network: [127.0.0.0/8], tls: { ${text} } } }\n`))
  assert.equal(tls('https://a.example', 'ca: a.pem'), 'ok')
  assert.match(tls('http://127.0.0.1:1', 'ca: a.pem'), /goes with an https `url`/)
  assert.match(tls('https://a.example', 'cert: a.pem'), /needs both `cert` and `key`/)
  const until = (day: string, strict: boolean): string =>
    messages(
      load(
        LEAST.replace('jwks: keys.json', `jwks: keys.json, exception: { until: ${day}, without: [nbf] }`),
        {
          strict,
        },
      ),
    )
  assert.equal(until('2999-12-31', true), 'ok')
  assert.match(until('2020-01-01', true), /is over or no day, which --strict refuses/)
  assert.match(until('2999-02-31', true), /is over or no day/)
  assert.equal(until('2020-01-01', false), 'ok')
  assert.match(until('2999-13-01', false), /a day such as/)
})
