// Keys that stay in a hardware security module, here SoftHSM: the gate signs its log and its assertions there.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { edwardsPoint } from '../packages/gateway/src/adapters/secrets/pkcs11-objects.ts'
import {
  TestTokenEndpoint,
  keyPair,
} from '../packages/gateway/src/adapters/credentials/testing/token-endpoint.ts'
import { skip, token } from '../packages/gateway/src/adapters/secrets/testing/soft-hsm.ts'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { createGuard, type JwkSet } from '@callgate/guard'
import { Fixture, textTool } from './harness/fixtures.ts'
import { BIN, TestGate } from './harness/gate.ts'
import { oneTool } from './harness/one-tool.ts'

const VERIFIER = fileURLToPath(new URL('../packages/evidence/src/cli.ts', import.meta.url))

/** A token, and how a gate is started with it: its PIN in the token's folder, its home there. */
function hsm(t: TestContext) {
  const bench = token(t)
  const { folder } = bench
  const bin = join(folder, 'bin')
  mkdirSync(bin)
  const placed = (reference: string): string => reference.replace('file:pin', `file:${folder}/pin`)
  const fixture = new Fixture([textTool('look'), textTool('change')])
  t.after(() => rmSync(fixture.folder, { recursive: true, force: true }))
  const servers = fixture.yaml('fix', { more: 'approve: first-use\ntools: { look: { class: read } }' })
  return {
    ...bench,
    placed,
    options: (more: string) => ({
      folder: join(folder, 'gate'),
      servers,
      env: { HOME: folder, PATH: `${bin}:${process.env['PATH']}` },
      more: `listener: { port: 0 }\n${more}`,
    }),
    /** Puts another program in the place of pkcs11-tool. @returns takes it away */
    replace: (script: string) => {
      const program = join(bin, 'pkcs11-tool')
      writeFileSync(program, `#!/bin/sh\n${script}\n`)
      chmodSync(program, 0o755)
      return () => rmSync(program)
    },
    /** Writes down what every user of the machine can read of each run of pkcs11-tool. @returns all of it */
    watch: () => {
      const path = join(folder, 'seen')
      const program = join(bin, 'pkcs11-tool')
      const real = execFileSync('sh', ['-c', 'command -v pkcs11-tool'], { encoding: 'utf8' }).trim()
      writeFileSync(program, `#!/bin/sh\ntr '\\0' ' ' </proc/$$/cmdline >>'${path}'\nexec '${real}' "$@"\n`)
      chmodSync(program, 0o755)
      return () => readFileSync(path, 'utf8')
    },
  }
}

const codeOf = async (gate: TestGate, tool: string): Promise<string> => {
  const { text, isError } = await gate.call(`fix__${tool}`, { text: 'x' })
  return isError ? (/CG_\w+/.exec(text)?.[0] ?? text) : 'served'
}

/** Calls until the answer is the one that is waited for. @returns milliseconds that it took */
async function until(gate: TestGate, tool: string, expected: string, withinMs: number): Promise<number> {
  const began = performance.now()
  let last = ''
  while (performance.now() - began < withinMs) {
    last = await codeOf(gate, tool)
    if (last === expected) return performance.now() - began
    await sleep(50)
  }
  return assert.fail(`\`${tool}\` is ${last}, not ${expected}, after ${withinMs} ms`)
}

/** A tool server that answers with the credentials that it was shown. @param calls gets the bodies of calls as they came */
async function toolServer(t: TestContext, calls: string[] = []): Promise<string> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const shown = String(request.headers.authorization)
      const body = Buffer.concat(chunks).toString()
      if (body.includes('"tools/call"')) calls.push(body)
      const { status, json } = oneTool('shown', shown, body)
      response.writeHead(status, { 'content-type': 'application/json' }).end(json)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close().closeAllConnections())
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  return `http://127.0.0.1:${address.port}/mcp`
}

/** Every file below a folder, as text. */
function written(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'))
}

/** A command of the gate's own, as its operator runs it. */
function run(env: Record<string, string>, ...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [BIN, ...args], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  })
  return { status, output: stdout + stderr }
}

function verify(gate: TestGate) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [VERIFIER, gate.log, '--key', join(gate.log, 'vkey'), '--json'],
    { encoding: 'utf8' },
  )
  assert.equal(status, 0, stdout + stderr)
  return JSON.parse(stdout) as { ok: boolean; size: number; unsignedTail: { records: number } }
}

test(
  'the log is signed by a key that never leaves its token, verifies from outside, and goes on after a kill',
  { skip },
  async (t) => {
    verifies('secrets.hsm.signing')
    verifies('evidence.hsm')
    const { made, describe, tool, placed, options, watch, folder } = hsm(t)
    const key = placed(made('EC:edwards25519', '01'))
    const seen = watch()
    assert.match(describe('01'), /sensitive, always sensitive, never extractable/)
    const more = `evidence: { signingKey: "${key}", checkpointMs: 50 }`
    const first = await TestGate.start(options(more), t)
    for (let i = 0; i < 5; i++) assert.equal(await codeOf(first, 'change'), 'served')
    await sleep(1_000)
    assert.ok(verify(first).size >= 10)
    // The verifier's key is the one in the token, by pkcs11-tool's own word, and no other is on the disk.
    const [, vkey = ''] =
      /^[^+]+\+[0-9a-f]{8}\+(.+)$/m.exec(readFileSync(join(first.log, 'vkey'), 'utf8')) ?? []
    const point = edwardsPoint(String(tool('--list-objects', '--type=pubkey')), '01')
    assert.deepEqual(Buffer.from(vkey, 'base64').subarray(1), point)
    assert.ok(!readdirSync(join(first.state, 'keys')).includes('evidence.key'))
    await first.stop('SIGKILL')
    const second = await TestGate.start(options(more), t)
    assert.equal(await codeOf(second, 'change'), 'served')
    await second.stop()
    const { ok, size, unsignedTail } = verify(second)
    assert.deepEqual([ok, unsignedTail.records], [true, 0])
    assert.ok(size >= 14)
    const env = { HOME: folder, CALLGATE_STATE: second.state }
    const byGate = run(env, 'evidence', 'verify', second.log, '--key', join(second.log, 'vkey'), '--json')
    assert.equal(byGate.status, 0, byGate.output)
    // The PIN is in no argument, which every user of the machine can read, nor in anything that is written or said.
    assert.match(seen(), /--sign .*--pin=env:|--pin=env:.* --sign /)
    for (const text of [seen(), first.stderr, second.stderr, byGate.output, ...written(second.state)])
      assert.doesNotMatch(text, /\b1234\b/)
    // Another key does not go on with this log: not the file's, not another one of the token.
    const other = placed(made('EC:edwards25519', '02'))
    for (const foreign of ['', `evidence: { signingKey: "${other}" }`])
      await assert.rejects(TestGate.start(options(foreign), t), /restore its key or the checkpoint/)
    await (await TestGate.start(options(more), t)).close()
  },
)

test(
  'without its token the log signs nothing: calls that change something are refused, reads go on, and it recovers by itself',
  { skip },
  async (t) => {
    verifies('evidence.hsm')
    const { made, placed, options, pull, replace } = hsm(t)
    const key = placed(made('EC:edwards25519', '01'))
    const gate = await TestGate.start(options(`evidence: { signingKey: "${key}" }`), t)
    const pulled = pull
    for (const [what, take] of [
      ['pulled out', pulled],
      ['silent', () => replace('sleep 60')],
      ['talking nonsense', () => replace('head -c 64 /dev/urandom')],
    ] as const) {
      assert.equal(await codeOf(gate, 'change'), 'served', what)
      const back = take()
      await until(gate, 'change', 'CG_EVIDENCE_UNAVAILABLE', 6_000)
      for (let i = 0; i < 5; i++) {
        const began = performance.now()
        assert.equal(await codeOf(gate, 'change'), 'CG_EVIDENCE_UNAVAILABLE', what)
        assert.equal(await codeOf(gate, 'look'), 'served', what)
        assert.ok(performance.now() - began < 2_000, `${what}: nothing waits for the token`)
      }
      back()
      await until(gate, 'change', 'served', 15_000)
      t.diagnostic(what)
    }
    await sleep(1_500)
    assert.ok(verify(gate).ok)
    const events = (await gate.records()).map(({ record }) => record as { event?: string; detail?: unknown })
    const told = events.flatMap(({ event, detail }) =>
      event === 'evidence.unsigned' ? [JSON.stringify(detail)] : [],
    )
    for (const why of [
      'no slot holds a token of this name',
      'took longer than \\d+ ms',
      'its public key does not verify',
    ])
      assert.ok(
        told.some((text) => new RegExp(`pkcs11:token=the gate;id=01.+${why}`).test(text)),
        `${why} in ${told.join()}`,
      )
    assert.ok(events.filter(({ event }) => event === 'evidence.signing').length >= 3)
    // Stopped without its token it ends all the same; what it could not sign is signed by the next one.
    const back = pull()
    await until(gate, 'change', 'CG_EVIDENCE_UNAVAILABLE', 6_000)
    assert.equal(await codeOf(gate, 'look'), 'served')
    const began = performance.now()
    await gate.stop()
    assert.ok(performance.now() - began < 15_000)
    assert.ok(verify(gate).unsignedTail.records > 0)
    back()
    const next = await TestGate.start(options(`evidence: { signingKey: "${key}" }`), t)
    assert.equal(await codeOf(next, 'change'), 'served')
    await next.stop()
    assert.equal(verify(next).unsignedTail.records, 0)
    assert.doesNotMatch(gate.stderr + JSON.stringify(await gate.records()), /\b1234\b/)
  },
)

test(
  'a gate whose key is not there, or behind another PIN, does not start and says which key it is',
  { skip },
  async (t) => {
    verifies('evidence.hsm')
    const { made, placed, options, put, folder, pull } = hsm(t)
    const key = placed(made('EC:edwards25519', '01'))
    put('wrong', '4321')
    const back = pull()
    const evidence = (reference: string): string => `evidence: { signingKey: "${reference}" }`
    await assert.rejects(
      TestGate.start(options(evidence(key)), t),
      /`evidence\.signingKey` does not sign: .+no slot holds/,
    )
    back()
    for (const [reference, says] of [
      [key.replace('id=%01', 'id=%7f'), /`evidence\.signingKey` does not sign: .+no public key of this id/],
      [key.replace('/pin', '/wrong'), /`evidence\.signingKey` does not sign: .+refused the PIN of `file:/],
      [key.replace('/pin', '/gone'), /`evidence\.signingKey` does not sign/],
    ] as const)
      await assert.rejects(TestGate.start(options(evidence(reference)), t), (error: Error) => {
        assert.match(error.message, says)
        assert.match(error.message, /without its key the gate does not start/)
        assert.doesNotMatch(error.message, /\b(?:1234|4321)\b/)
        return true
      })
    const told = (reference: string) => {
      const { servers, more, ...rest } = options(`assertion: { key: "${reference}" }`)
      return { ...rest, more, servers: `${servers}\n  assertCaller: true` }
    }
    const signing = placed(made('EC:prime256v1', '02'))
    await assert.rejects(
      TestGate.start(told(signing.replace('id=%02', 'id=%7f')), t),
      /`assertion\.key` does not sign: .+no public key of this id[^]+without its key the gate does not start/,
    )
    // The near misses: the same with what is there.
    await (await TestGate.start(told(signing), t)).close()
    // Moved into the token: the log that the file's key began is put away.
    rmSync(join(folder, 'gate', 'state', 'evidence'), { recursive: true })
    await (await TestGate.start(options(evidence(key)), t)).close()
    assert.ok(existsSync(join(folder, 'gate', 'state', 'evidence', '0', 'checkpoint')))
  },
)

test(
  'what the gate asserts of its callers is signed in the token, once for each of them, and issuers verify it by the published key',
  { skip },
  async (t) => {
    verifies('secrets.hsm.signing')
    const { key, placed, options, put, pull, folder } = hsm(t)
    const { publicKey, reference } = key('EC:prime256v1', '01')
    put('client', 'client-secret')
    const issuer = await new TestTokenEndpoint({
      clientId: 'callgate',
      secret: 'client-secret',
      clientKey: keyPair().publicKey,
      gateIssuer: 'urn:callgate',
      gateKey: publicKey,
      scopes: ['tools'],
      resources: [],
    }).start()
    t.after(() => issuer.close())
    const url = await toolServer(t)
    const network = '["127.0.0.1/32"]'
    const auth = `auth: { method: client_secret_basic, secret: "file:${folder}/client" }`
    const credentials = `type: token_exchange, tokenUrl: "${issuer.url}", clientId: callgate, ${auth}, actorToken: true, network: ${network}`
    const gate = await TestGate.start(
      {
        ...options(`assertion: { key: "${placed(reference)}" }`),
        servers: `crm: { url: "${url}", network: ${network}, approve: first-use, credentials: { ${credentials} } }`,
      },
      t,
    )
    const jwks = JSON.parse(readFileSync(join(gate.state, 'keys', 'assertion.jwks.json'), 'utf8')) as {
      keys: { kty: string; alg: string; x: string }[]
    }
    assert.deepEqual(
      jwks.keys.map(({ kty, alg, x }) => [kty, alg, x]),
      [['EC', 'ES256', publicKey.export({ format: 'jwk' }).x]],
    )
    assert.ok(!readdirSync(join(gate.state, 'keys')).includes('assertion.key'))
    const call = (subject: string) =>
      gate.call('crm__shown', {}, { token: gate.mint({ subject, sid: subject }) })
    const people = ['ada', 'bob', 'cleo', 'dan', 'eve', 'flo', 'gus', 'hal']
    const shown = await Promise.all(people.map(async (name) => (await call(name)).text))
    assert.equal(new Set(shown).size, people.length)
    for (const [i, name] of people.entries()) assert.equal((await call(name)).text, shown[i])
    const of = (who: 'subject' | 'actor') => issuer.granted.flatMap((one) => one[who]?.sub ?? [])
    assert.deepEqual(of('subject').toSorted(), people)
    assert.equal(of('actor').length, people.length)
    const back = pull()
    assert.equal((await call('ada')).text, shown[0], 'what is kept serves on')
    const refused = await call('ivy')
    assert.ok(refused.isError)
    assert.match(refused.text, /CG_UPSTREAM_UNAVAILABLE/)
    back()
    for (let i = 0; ; i++) {
      if (!(await call('ivy')).isError) break
      assert.ok(i < 100, 'the token is back, and the gate does not see it')
      await sleep(200)
    }
  },
)

test(
  'a caller is asserted by a key in the token: its server verifies it, and without the token it gets no call',
  { skip },
  async (t) => {
    verifies('secrets.hsm.signing')
    const { key, placed, options, pull, watch } = hsm(t)
    const { reference } = key('EC:prime256v1', '01')
    const seen = watch()
    const calls: string[] = []
    const url = await toolServer(t, calls)
    const at = `url: "${url}", network: ["127.0.0.1/32"], approve: first-use`
    const gate = await TestGate.start(
      {
        ...options(`assertion: { key: "${placed(reference)}" }`),
        servers: `crm: { ${at}, assertCaller: true }\nplain: { ${at} }`,
      },
      t,
    )
    const keys = JSON.parse(readFileSync(join(gate.state, 'keys', 'assertion.jwks.json'), 'utf8')) as JwkSet
    const known = { issuer: 'urn:callgate', server: 'crm', keys }
    const guard = createGuard(known)
    const people = ['ada', 'bob', 'cleo', 'dan']
    const call = (server: string, subject: string) =>
      gate.call(`${server}__shown`, { order: 17 }, { token: gate.mint({ subject, sid: subject }) })
    for (const { isError, text } of await Promise.all(people.map((name) => call('crm', name))))
      assert.ok(!isError, text)
    const named = await Promise.all(
      calls.map(async (body) => (await guard.admit(Buffer.from(body))).caller?.subject ?? ''),
    )
    assert.deepEqual(named.toSorted(), people)
    await assert.rejects(
      createGuard(known).admit(Buffer.from((calls[0] ?? '').replace('"order":17', '"order":18'))),
      /other arguments/,
    )
    const before = calls.length
    const back = pull()
    const refused = await call('crm', 'ada')
    assert.ok(refused.isError)
    assert.match(refused.text, /CG_UPSTREAM_UNAVAILABLE/)
    assert.equal(calls.length, before, 'a call without its assertion is not made')
    assert.ok(!(await call('plain', 'ada')).isError, 'who is told nothing is served')
    back()
    for (let i = 0; (await call('crm', 'ada')).isError; i++) {
      assert.ok(i < 100, 'the token is back, and the gate does not see it')
      await sleep(200)
    }
    for (const text of [seen(), gate.stderr, ...written(gate.state)]) assert.doesNotMatch(text, /\b1234\b/)
  },
)

test('doctor tells where each key of the gate is kept, whether it signs, and no PIN', { skip }, async (t) => {
  verifies('ops.doctor')
  const { made, placed, options, pull, folder } = hsm(t)
  const log = placed(made('EC:edwards25519', '01'))
  const assertion = placed(made('EC:prime256v1', '02'))
  const gate = await TestGate.start(
    options(`evidence: { signingKey: "${log}" }\nassertion: { key: "${assertion}" }`),
    t,
  )
  const keys = () => {
    const env = { HOME: folder, CALLGATE_STATE: gate.state }
    const { output } = run(env, 'doctor', '--config', gate.config, '--json')
    assert.doesNotMatch(output, /\b1234\b/)
    const found = JSON.parse(output) as { group: string; verdict: string; text: string; fix?: string }[]
    return found.filter(({ group }) => group === 'keys')
  }
  assert.deepEqual(
    keys().map(({ verdict, text }) => `${verdict} ${text}`),
    [
      'ok checkpoints of the log: `pkcs11:token=the gate;id=01` signs by EdDSA',
      'ok assertions of callers: `pkcs11:token=the gate;id=02` signs by ES256',
    ],
  )
  const back = pull()
  for (const { verdict, text, fix } of keys()) {
    assert.equal(verdict, 'wrong')
    assert.match(text, /`pkcs11:token=the gate;id=0[12]` does not sign: .+no slot holds a token/)
    assert.match(fix ?? '', /docs\/keys-in-an-hsm\.md/)
  }
  back()
  await gate.stop()
  writeFileSync(gate.config, readFileSync(gate.config, 'utf8').replace(/^(?:evidence|assertion): .+$/gm, ''))
  const file = join(gate.state, 'keys', 'evidence.key')
  assert.match(keys()[0]?.text ?? '', /evidence\.key`, not there yet/)
  assert.ok(!existsSync(file), 'and doctor makes none')
  writeFileSync(file, 'no key', { mode: 0o600 })
  assert.match(keys()[0]?.text ?? '', /evidence\.key` does not sign: .+is not a PEM private key/)
})
