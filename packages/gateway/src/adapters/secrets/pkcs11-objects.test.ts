import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { edwardsPoint } from './pkcs11-objects.ts'

const SEED = Number(process.env['CALLGATE_SEED'] ?? 20_261_123)
const POINT = 'fdada810eee427eba7d745ea3364dea634cdcc85bc8fa7d59f44a4567afa1954'

/** One public key as OpenSC 0.23 lists it. */
const listed = (id: string, { point = `0420${POINT}`, label = '', kind = 'EC_EDWARDS' } = {}): string =>
  [
    `Public Key Object; ${kind}  EC_POINT 255 bits`,
    `  EC_POINT:   ${point}`,
    '  EC_PARAMS:  130c656477617264733235353139 (OID 2.21.100.119.97.114.100.115.50.53.53.49.57)',
    `  label:      ${label}`,
    `  ID:         ${id}`,
    '  Usage:      encrypt, verify, wrap, derive',
    '  Access:     local',
    '',
  ].join('\n')
const other = POINT.replaceAll('f', '0')

test('the Edwards key of an id is found among others, and only when it is the one', () => {
  const hex = (listing: string, id = '06') => edwardsPoint(listing, id)?.toString('hex')
  const all =
    listed('05', { point: `0420${other}` }) +
    listed('06') +
    listed('07', { kind: 'EC', point: `044104${POINT}` })
  assert.equal(hex(all), POINT)
  assert.equal(hex(all, '05'), other)
  assert.equal(hex(listed('0A'), '0a'), POINT)
  assert.equal(hex(listed('06', { point: POINT })), POINT)
  assert.equal(hex(all.replaceAll('\n', '\r\n')), POINT)
  // A label is the text of whoever put the key there: what stands in it is no other line.
  assert.equal(hex(listed('06', { label: `x\n  EC_POINT:   0420${other}` })), POINT)
  for (const [what, listing, id] of [
    ['none', '', '06'],
    ['another id', all, '08'],
    ['two of one id', listed('06') + listed('06', { point: `0420${other}` }), '06'],
    ['another kind', all, '07'],
    ['a short point', listed('06', { point: `0420${POINT.slice(2)}` }), '06'],
    ['a long point', listed('06', { point: `0420${POINT}00` }), '06'],
    ['a point of Ed448', listed('06', { point: `0439${POINT}${POINT.slice(0, 50)}` }), '06'],
    ['the lines of a private key', listed('06').replace('Public', 'Private'), '06'],
    ['no point', listed('06').replace('EC_POINT:', 'EC_SPOT:'), '06'],
  ] as const)
    assert.equal(hex(listing, id), undefined, what)
})

test('whatever is listed, the answer is 32 bytes of it or nothing', () => {
  const near = fc
    .tuple(fc.nat(600), fc.nat(600), fc.string({ unit: 'binary', maxLength: 8 }))
    .map(([at, cut, text]) => {
      const whole = listed('05', { point: `0420${other}` }) + listed('06')
      return whole.slice(0, at) + text + whole.slice(Math.max(at, cut))
    })
  fc.assert(
    fc.property(fc.oneof(near, fc.string({ unit: 'binary' })), (text) => {
      const point = edwardsPoint(text, '06')
      if (point === undefined) return
      assert.equal(point.length, 32)
      assert.ok(text.toLowerCase().includes(point.toString('hex')))
    }),
    { seed: SEED, numRuns: 2_000 },
  )
})
