import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { RequestListener } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { verifies } from '../../testing/verifies.ts'
import { importJwks } from './jwk.ts'
import { createKeySource } from './key-source.ts'
import type { KeySourceOptions, RunningKeySource } from './key-source.ts'

const ISSUER = 'https://id.example'
const pool = ['a', 'b'].map(() => generateKeyPairSync('ed25519').publicKey)

function jwk(
  kid: string,
  key: KeyObject | undefined = pool[0],
  over: Record<string, unknown> = {},
): Record<string, unknown> {
  return { ...key?.export({ format: 'jwk' }), kid, alg: 'EdDSA', use: 'sig', ...over }
}

function rsa(modulusLength: number, publicExponent = 65_537): Record<string, unknown> {
  return {
    ...generateKeyPairSync('rsa', { modulusLength, publicExponent }).publicKey.export({ format: 'jwk' }),
  }
}

function setOf(...keys: readonly Record<string, unknown>[]): string {
  return JSON.stringify({ keys })
}

async function serve(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready))
  t.after(() => server.close().closeAllConnections())
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  return `http://127.0.0.1:${address.port}/jwks.json`
}

async function source(
  t: TestContext,
  jwks: string,
  options: KeySourceOptions = {},
): Promise<RunningKeySource> {
  const keys = createKeySource([{ issuer: ISSUER, jwks }], { tickMs: 10, ...options })
  t.after(() => keys.close())
  await keys.start()
  return keys
}

async function until(holds: () => boolean): Promise<void> {
  for (let i = 0; i < 300; i++) {
    if (holds()) return
    await sleep(10)
  }
  assert.fail(`never held: ${holds.toString()}`)
}

test('a file is read again when it changes: new keys appear, a removed or replaced one changes the generation', async (t) => {
  verifies('play2.jwt-claims.key-rotation')
  const folder = mkdtempSync(join(tmpdir(), 'callgate-keys-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'jwks.json')
  writeFileSync(path, setOf(jwk('k1')))
  const problems: string[] = []
  const keys = await source(t, path, { onProblem: (_, problem) => problems.push(problem) })
  assert.equal((await keys.key(ISSUER, 'k1'))?.kid, 'k1')
  assert.equal(await keys.key(ISSUER, 'k2'), undefined)
  assert.equal(await keys.key('https://other.example', 'k1'), undefined)
  const generation = keys.generation(ISSUER)
  writeFileSync(path, setOf(jwk('k1'), jwk('k2')))
  await until(() => {
    const found = keys.key(ISSUER, 'k2')
    return found !== undefined && !(found instanceof Promise)
  })
  assert.equal(keys.generation(ISSUER), generation)
  // A set that is refused leaves the last good one, and is tried again when it is mended.
  writeFileSync(path, '{"keys":')
  await until(() => problems.length > 0)
  assert.match(problems.join(), /jwks\.json` not refreshed: JWKS is not JSON/)
  assert.equal((await keys.key(ISSUER, 'k1'))?.kid, 'k1')
  assert.equal(keys.generation(ISSUER), generation)
  writeFileSync(path, setOf(jwk('k1', pool[1])))
  await until(() => keys.generation(ISSUER) !== generation)
  assert.equal(await keys.key(ISSUER, 'k2'), undefined)
  assert.ok((await keys.key(ISSUER, 'k1'))?.key.equals(pool[1] ?? assert.fail('no key')))
})

test('a file that is not there stops the start and names the path', async () => {
  const keys = createKeySource([{ issuer: ISSUER, jwks: '/nowhere/jwks.json' }])
  await assert.rejects(keys.start(), /keys `\/nowhere\/jwks\.json` cannot be read: ENOENT/)
  await keys.close()
})

test('many callers cause one fetch, an unknown kid one more per 30 s, and a rotated key is found by it', async (t) => {
  verifies('play2.jwt-claims.key-rotation')
  let fetches = 0
  let text = setOf(jwk('k1'))
  const url = await serve(t, (_, response) => {
    fetches++
    setTimeout(() => response.end(text), 20)
  })
  let now = 1_800_000_000_000
  const keys = createKeySource([{ issuer: ISSUER, jwks: url }], { now: () => now })
  t.after(() => keys.close())
  const found = await Promise.all(Array.from({ length: 50 }, () => keys.key(ISSUER, 'k1')))
  assert.ok(found.every((key) => key?.kid === 'k1'))
  assert.equal(fetches, 1)
  text = setOf(jwk('k2', pool[1]))
  const rotated = await Promise.all(Array.from({ length: 50 }, () => keys.key(ISSUER, 'k2')))
  assert.ok(rotated.every((key) => key?.kid === 'k2'))
  assert.equal(fetches, 2)
  assert.equal(keys.generation(ISSUER), 1)
  for (let i = 0; i < 100; i++) assert.equal(await keys.key(ISSUER, `made-up-${i}`), undefined)
  assert.equal(fetches, 2)
  now += 30_000
  assert.equal(await keys.key(ISSUER, 'made-up'), undefined)
  assert.equal(fetches, 3)
})

test('an issuer that is down: cached keys serve for one hour, then nothing does, until it is back', async (t) => {
  verifies('play2.jwt-claims.key-rotation')
  let up = true
  const url = await serve(t, (_, response) => response.writeHead(up ? 200 : 503).end(setOf(jwk('k1'))))
  let now = 1_800_000_000_000
  const keys = createKeySource([{ issuer: ISSUER, jwks: url }], { now: () => now })
  t.after(() => keys.close())
  await keys.key(ISSUER, 'k1')
  up = false
  now += 3_600_000
  assert.equal((await keys.key(ISSUER, 'k1'))?.kid, 'k1')
  assert.equal(await keys.key(ISSUER, 'k9'), undefined)
  now += 1
  await assert.rejects(async () => keys.key(ISSUER, 'k1'), /no keys younger than one hour/)
  now += 5_000
  await assert.rejects(async () => keys.key(ISSUER, 'k1'), /answered 503/)
  up = true
  now += 5_000
  assert.equal((await keys.key(ISSUER, 'k1'))?.kid, 'k1')
})

test('a removed key is noticed in the background, though no call asks for keys', async (t) => {
  let text = setOf(jwk('k1'))
  const url = await serve(t, (_, response) => response.end(text))
  const keys = await source(t, url, { urlRefreshMs: 30 })
  text = setOf()
  await until(() => keys.generation(ISSUER) === 1)
})

test('redirects, large answers, slow answers and plain http beyond loopback are refused', async (t) => {
  let large = 262_200
  const url = await serve(t, (request, response) => {
    if (request.url === '/redirect') response.writeHead(302, { location: '/jwks.json' }).end()
    else if (request.url === '/large') response.end(setOf(jwk('k1')).padEnd(large, ' '))
    else if (request.url === '/slow') response.write(' ')
    else response.end(setOf(jwk('k1')))
  })
  const ask = async (path: string) => {
    const keys = createKeySource([{ issuer: ISSUER, jwks: new URL(path, url).href }], { timeoutMs: 100 })
    t.after(() => keys.close())
    return keys.key(ISSUER, 'k1')
  }
  await assert.rejects(ask('/redirect'), /answered 302 .* redirects are not followed/)
  await assert.rejects(ask('/large'), /answer is longer than 262144 bytes/)
  await assert.rejects(ask('/slow'), /timeout/i)
  large = 262_144
  assert.equal((await ask('/large'))?.kid, 'k1')
  assert.equal((await ask('/jwks.json'))?.kid, 'k1')
  assert.throws(() => createKeySource([{ issuer: ISSUER, jwks: 'http://id.example/jwks' }]), /is not https/)
  assert.throws(
    () => createKeySource([{ issuer: ISSUER, jwks: 'https://u:p@id.example/jwks' }]),
    /holds credentials/,
  )
  assert.throws(
    () =>
      createKeySource([
        { issuer: ISSUER, jwks: 'a' },
        { issuer: ISSUER, jwks: 'b' },
      ]),
    /twice/,
  )
})

test('a set with secret material, one kid twice or no shape of a set is refused whole', () => {
  const pair = generateKeyPairSync('ed25519')
  const wrong: [string, RegExp][] = [
    [
      setOf(jwk('k1'), { ...pair.privateKey.export({ format: 'jwk' }), kid: 'k2' }),
      /key 1 `k2` holds secret material/,
    ],
    [setOf(jwk('k1'), { kty: 'oct', k: 'AAAA', kid: 'k2' }), /holds secret material/],
    [setOf(jwk('k1'), { kty: 'oct', kid: 'k2' }), /holds secret material/],
    [setOf(jwk('k1'), jwk('k1', pool[1])), /kid `k1` twice/],
    ['[]', /no array `keys`/],
    ['{"keys":{}}', /no array `keys`/],
    ['{"keys":[1]}', /not an object/],
    ['nonsense', /not JSON/],
    [setOf(...Array.from({ length: 101 }, (_, i) => jwk(`k${i}`))), /at most 100/],
    [' '.repeat(262_145), /longer than/],
  ]
  for (const [text, says] of wrong) assert.throws(() => importJwks(text), says)
  assert.equal(importJwks(setOf(jwk('k1'), jwk('k2', pool[1]))).keys.size, 2)
})

test('keys for other uses, of unknown types, weak or off their curve are skipped with the reason; the others stay', () => {
  const good = rsa(2_048)
  const skipped: [Record<string, unknown>, RegExp][] = [
    [jwk('x', pool[0], { use: 'enc' }), /use is not `sig`/],
    [jwk('x', pool[0], { key_ops: ['encrypt'] }), /key_ops lack `verify`/],
    [jwk('x', pool[0], { kid: undefined }), /no kid/],
    [jwk('x', pool[0], { crv: 'X25519' }), /not Ed25519/],
    [jwk('x', pool[0], { alg: 'ES256' }), /alg is not for Ed25519/],
    [jwk('x', pool[0], { x: 'AAAA' }), /not a public key/],
    [{ kty: 'AKP', kid: 'x' }, /kty is not one of/],
    [{ kty: 'EC', crv: 'secp256k1', kid: 'x' }, /curve is not one of/],
    [{ ...good, kid: 'x', alg: 'RSA-OAEP' }, /alg is not for RSA signatures/],
    [{ ...rsa(1_024), kid: 'x' }, /1024 bits/],
    [{ ...rsa(2_048, 3), kid: 'x' }, /exponent is below 65537/],
  ]
  for (const [entry, says] of skipped) {
    const { keys, skipped: reasons } = importJwks(setOf(jwk('good'), entry))
    assert.deepEqual([...keys.keys()], ['good'])
    assert.match(reasons.join(), says)
  }
  const fine = [
    { ...good, kid: 'r1', alg: 'PS256', key_ops: ['verify'] },
    { ...good, kid: 'r2' },
    jwk('e', pool[0], { alg: 'Ed25519' }),
  ]
  assert.deepEqual(importJwks(setOf(...fine)).skipped, [])
})
