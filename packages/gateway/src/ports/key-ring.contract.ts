import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import * as fc from 'fast-check'
import { LONGEST_SEALED_MS, MAX_SEALED_BYTES } from './key-ring.ts'
import type { KeyRing, SealPurpose } from './key-ring.ts'

/** A ring under test and the world around it. */
export interface KeyRingBench {
  readonly ring: KeyRing
  /** Makes a new current key; resolves once `ring` seals with it. */
  rotate(): Promise<void>
  /** Opens a second ring on the same keys, as another node or after a restart. */
  reopen(): Promise<KeyRing>
  /** A ring with keys of its own. */
  stranger(): Promise<KeyRing>
  setNow(now: number): void
  readonly startedAt: number
}

const purposes: readonly SealPurpose[] = ['session', 'request-state']
const plaintext = fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes))

/** What every KeyRing must hold. @param make a fresh ring whose clock says `startedAt` */
export function keyRingContract(name: string, make: (t: TestContext) => Promise<KeyRingBench>): void {
  test(`${name}: what was sealed opens for its purpose and aad, on this ring and on every other one with its keys`, async (t) => {
    const bench = await make(t)
    const other = await bench.reopen()
    const seed = Math.floor(Math.random() * 2 ** 31)
    fc.assert(
      fc.property(
        fc.constantFrom(...purposes),
        plaintext,
        fc.string({ unit: 'binary' }),
        (purpose, plain, aad) => {
          const sealed = bench.ring.seal(purpose, plain, aad)
          assert.match(sealed, /^[\x21-\x7e]+$/)
          assert.deepEqual(bench.ring.open(purpose, sealed, aad), plain)
          assert.deepEqual(other.open(purpose, sealed, aad), plain)
          for (const wrong of purposes)
            if (wrong !== purpose) assert.equal(other.open(wrong, sealed, aad), undefined)
          assert.equal(other.open(purpose, sealed, `${aad} `), undefined)
        },
      ),
      { seed, numRuns: 200, verbose: 1 },
    )
  })

  test(`${name}: the same plaintext never seals to the same text, and the text tells nothing but its length`, async (t) => {
    const { ring } = await make(t)
    const plain = Buffer.alloc(64, 'a')
    const texts = new Set(Array.from({ length: 500 }, () => ring.seal('session', plain, '')))
    assert.equal(texts.size, 500)
    assert.equal(new Set([...texts].map((text) => text.length)).size, 1)
  })

  test(`${name}: every other character at every place, and every cut, opens to nothing`, async (t) => {
    const { ring } = await make(t)
    const sealed = ring.seal('session', Buffer.from('sid 7, node 0'), 'aad')
    assert.ok(ring.open('session', sealed, 'aad'))
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n\0é'
    for (let at = 0; at < sealed.length; at++) {
      assert.equal(ring.open('session', sealed.slice(0, at), 'aad'), undefined)
      for (const sign of alphabet) {
        const forged = `${sealed.slice(0, at)}${sign}${sealed.slice(at + 1)}`
        if (forged !== sealed)
          assert.equal(ring.open('session', forged, 'aad'), undefined, `${sign} at ${at}`)
        assert.equal(
          ring.open('session', `${sealed.slice(0, at)}${sign}${sealed.slice(at)}`, 'aad'),
          undefined,
        )
      }
    }
    for (const sign of alphabet) assert.equal(ring.open('session', `${sealed}${sign}`, 'aad'), undefined)
  })

  test(`${name}: parts of two sealed texts do not open together, and no text of a stranger opens`, async (t) => {
    const bench = await make(t)
    const [one, two] = ['one', 'two'].map((text) =>
      bench.ring.seal('request-state', Buffer.from(text), 'aad'),
    )
    assert.ok(one !== undefined && two !== undefined)
    for (let at = 1; at < one.length; at++) {
      const mixed: string = one.slice(0, at) + two.slice(at)
      if (mixed !== one && mixed !== two)
        assert.equal(bench.ring.open('request-state', mixed, 'aad'), undefined)
    }
    const stranger = await bench.stranger()
    assert.equal(stranger.open('request-state', one, 'aad'), undefined)
    const seed = Math.floor(Math.random() * 2 ** 31)
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.base64String()), (text) => {
        assert.equal(bench.ring.open('request-state', text, 'aad'), undefined)
        assert.equal(bench.ring.open('request-state', `${one.slice(0, 17)}${text}`, 'aad'), undefined)
      }),
      { seed, numRuns: 300, verbose: 1 },
    )
  })

  test(`${name}: the longest plaintext stays under 64 KiB and opens, one byte more is refused`, async (t) => {
    const { ring } = await make(t)
    const sealed = ring.seal('request-state', Buffer.alloc(MAX_SEALED_BYTES, 7), '')
    assert.ok(sealed.length < 65_536)
    assert.equal(ring.open('request-state', sealed, '')?.length, MAX_SEALED_BYTES)
    assert.throws(() => ring.seal('request-state', Buffer.alloc(MAX_SEALED_BYTES + 1), ''), TypeError)
    assert.deepEqual(ring.open('session', ring.seal('session', Buffer.alloc(0), ''), ''), Buffer.alloc(0))
  })

  test(`${name}: after a rotation the older key opens what it sealed until the longest life has passed, and seals no more`, async (t) => {
    const bench = await make(t)
    const before = bench.ring.seal('session', Buffer.from('before'), 'aad')
    const rotatedAt = bench.startedAt + 1_000
    bench.setNow(rotatedAt)
    await bench.rotate()
    const after = bench.ring.seal('session', Buffer.from('after'), 'aad')
    assert.notEqual(after.slice(0, after.indexOf('.')), before.slice(0, before.indexOf('.')))

    bench.setNow(rotatedAt + LONGEST_SEALED_MS - 1)
    for (const ring of [bench.ring, await bench.reopen()]) {
      assert.deepEqual(ring.open('session', before, 'aad'), Buffer.from('before'))
      assert.deepEqual(ring.open('session', after, 'aad'), Buffer.from('after'))
    }
    bench.setNow(rotatedAt + LONGEST_SEALED_MS)
    for (const ring of [bench.ring, await bench.reopen()]) {
      assert.equal(ring.open('session', before, 'aad'), undefined)
      assert.deepEqual(ring.open('session', after, 'aad'), Buffer.from('after'))
    }
  })

  test(`${name}: rotating twice within the longest life ends no key early`, async (t) => {
    const bench = await make(t)
    const sealed: string[] = []
    for (let i = 0; i < 3; i++) {
      sealed.push(bench.ring.seal('session', Buffer.from(`${i}`), ''))
      bench.setNow(bench.startedAt + i * 1_000)
      if (i < 2) await bench.rotate()
    }
    assert.deepEqual(
      sealed.map((text) => bench.ring.open('session', text, '')?.toString()),
      ['0', '1', '2'],
    )
  })
}
