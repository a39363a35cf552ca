// Keys that stay in a hardware security module, here SoftHSM: the gate signs its log and its assertions there.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
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
import { Fixture, textTool } from './harness/fixtures.ts'
import { TestGate } from './harness/gate.ts'
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

/** A tool server that answers with the credentials that it was shown. */
async function toolServer(t: TestContext): Promise<string> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const shown = String(request.headers.authorization)
      const { status, json } = oneTool('shown', shown, Buffer.concat(chunks).toString())
      response.writeHead(status, { 'content-type': 'application/json' }).end(json)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close().closeAllConnections())
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  return `http://127.0.0.1:${address.port}/mcp`
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
    const { made, describe, tool, placed, options } = hsm(t)
    const key = placed(made('EC:edwards25519', '01'))
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
    // The near miss: the same with what is there.
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
