import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { verifies } from '../testing/verifies.ts'
import { protocolCodes, reasonEntry, registry } from './registry.ts'

const page = readFileSync(new URL('../../../../docs/errors.md', import.meta.url), 'utf8')
const source = readFileSync(new URL('../call/reason-code.ts', import.meta.url), 'utf8')
const entries = Object.entries(registry)

test('every reason code of the union is in the registry, and no other', () => {
  verifies('spine.errors-registry')
  const declared = [...source.matchAll(/'(CG_[A-Z0-9_]+)'/g)].map((match) => match[1])
  assert.deepEqual(Object.keys(registry).sort(), declared.sort())
})

test('every code of the registry is documented, and every documented code exists', () => {
  const documented = [...page.matchAll(/^\| (CG_[A-Z0-9_]+) \|/gm)].map((match) => match[1])
  assert.deepEqual(documented, Object.keys(registry))
})

test('codes read CG_<AREA>_<FACT>', () => {
  for (const [code] of entries) assert.match(code, /^CG_[A-Z]+(_[A-Z0-9]+)+$/)
})

test('texts are one line, lower case, without final period', () => {
  for (const [code, entry] of entries) {
    for (const text of [entry.publicText, entry.fix]) {
      assert.match(text, /^[a-z`/]/, code)
      assert.doesNotMatch(text, /[.\n]$|\n/, code)
    }
  }
})

test('our own JSON-RPC codes lie outside the reserved range and are given once', () => {
  const fixed = new Set<number>(Object.values(protocolCodes))
  const own = entries.map(([, entry]) => entry.rpc as number).filter((rpc) => !fixed.has(rpc))
  assert.equal(new Set(own).size, own.length)
  for (const rpc of own) assert.ok(rpc >= -31_999 && rpc <= -31_000, String(rpc))
})

test('statuses are HTTP errors, and 401, 403 and 429 are all that identity answers with', () => {
  for (const [code, entry] of entries) {
    assert.ok(entry.status >= 400 && entry.status <= 599, code)
    if (code.startsWith('CG_IDENTITY_')) assert.ok([401, 403, 429].includes(entry.status), code)
  }
})

test('a replayed token is a 401 and a policy denial a 403', () => {
  assert.equal(reasonEntry('CG_IDENTITY_REPLAYED').status, 401)
  assert.equal(reasonEntry('CG_POLICY_DENIED').status, 403)
  assert.equal(reasonEntry('CG_CATALOG_UNKNOWN_TOOL').rpc, -32_602)
})
