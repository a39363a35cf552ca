import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { openCheckpoint, parseCheckpoint, signCheckpoint } from './checkpoint.ts'
import { EMPTY_ROOT } from './merkle.ts'
import { NoteError, openNote, parseNote, parseVerifierKey, signNote, verifierKeyText } from './note.ts'

const SEED = Number(process.env['CALLGATE_SEED'] ?? 20_261_122)

// The example of golang.org/x/mod/sumdb/note, from which C2SP signed-note comes.
const EXAMPLE_KEY = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW'
const EXAMPLE_TEXT =
  "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
const EXAMPLE_SIGNATURE =
  '\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n'

const { privateKey } = generateKeyPairSync('ed25519')
const signer = { name: 'log.example/1', privateKey }
const keyText = verifierKeyText(signer.name, createPublicKey(privateKey))
const key = parseVerifierKey(keyText)

test('a note signed by another implementation opens, and not after one letter changed', () => {
  const example = parseVerifierKey(EXAMPLE_KEY)
  const note = `${EXAMPLE_TEXT}\n${EXAMPLE_SIGNATURE}`
  assert.equal(openNote(Buffer.from(note), example), EXAMPLE_TEXT)
  assert.throws(
    () => openNote(Buffer.from(note.replace('answer', 'Answer')), example),
    /does not fit the text/,
  )
})

test('signatures of unknown keys are ignored; without our own the note is refused', () => {
  const note = signNote('text\n', signer)
  const other = `\u2014 other.example ${Buffer.alloc(68, 1).toString('base64')}\n`
  assert.equal(openNote(Buffer.from(note + other), key), 'text\n')
  assert.throws(() => openNote(Buffer.from(`text\n\n${other}`), key), /no signature of `log.example\/1`/)
  // A second, wrong signature in our name is not hidden by a right one.
  const forged =
    note
      .split('\n')
      .at(-2)
      ?.replace(/.{20}=*$/, 'A'.repeat(20)) ?? ''
  assert.throws(() => openNote(Buffer.from(`${note}${forged}\n`), key), NoteError)
})

test('malformed verifier keys are refused with their reason', () => {
  assert.equal(parseVerifierKey(`${keyText}\n`).name, 'log.example/1')
  const [, name = '', hash = '', base64 = ''] = /^(.+?)\+(.+?)\+(.+)$/.exec(keyText) ?? []
  assert.throws(() => parseVerifierKey(''), /expected `name\+hash\+base64`/)
  assert.throws(() => parseVerifierKey(`${name}+00000000+${base64}`), /hash is `00000000`, its key gives/)
  assert.throws(() => parseVerifierKey(`${name}+${hash}+Ag==`), /expected an Ed25519 key/)
  assert.throws(() => signNote('text\n', { name: 'two words', privateKey }), /no white space/)
  assert.throws(() => signNote('no newline', signer), /must end with a newline/)
})

test('a checkpoint comes back as it was signed; wrong origin, size or root is refused', () => {
  const note = Buffer.from(signCheckpoint(42, EMPTY_ROOT, signer))
  assert.deepEqual(openCheckpoint(note, key), { origin: signer.name, size: 42, root: EMPTY_ROOT })
  const root = EMPTY_ROOT.toString('base64')
  const strange = signNote(`other.example\n42\n${root}\n`, signer)
  assert.throws(() => openCheckpoint(Buffer.from(strange), key), /origin is `other.example`/)
  assert.equal(parseCheckpoint(`a\n7\n${root}\nextension\n`).size, 7)
  for (const text of [
    '',
    'a\n',
    `a\n07\n${root}\n`,
    `a\n-1\n${root}\n`,
    `a\n9007199254740993\n${root}\n`,
    'a\n1\nAA==\n',
  ]) {
    assert.throws(() => parseCheckpoint(text), NoteError, JSON.stringify(text))
  }
  assert.throws(() => parseCheckpoint(`a\n1\n${root}`), NoteError)
  // Spare bits of the last base64 digit must be zero: one root, one text.
  assert.throws(() => parseCheckpoint(`a\n1\n${root.replace('FU=', 'FV=')}\n`), /root is not a base64/)
})

test('parsers of notes and keys throw NoteError or nothing, whatever the bytes', () => {
  const note = signCheckpoint(1, EMPTY_ROOT, signer)
  const near = fc
    .tuple(fc.nat(note.length), fc.nat(note.length), fc.string({ unit: 'binary', maxLength: 6 }))
    .map(([at, cut, text]) => note.slice(0, at) + text + note.slice(Math.max(at, cut)))
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary' }), near), (text) => {
      for (const parse of [
        () => openCheckpoint(Buffer.from(text), key),
        () => parseNote(Buffer.from(text)),
        () => parseCheckpoint(text),
        () => parseVerifierKey(text),
      ]) {
        try {
          parse()
        } catch (error) {
          assert.ok(error instanceof NoteError, String(error))
        }
      }
      // What opens is what was signed.
      try {
        assert.deepEqual(openCheckpoint(Buffer.from(text), key), {
          origin: signer.name,
          size: 1,
          root: EMPTY_ROOT,
        })
      } catch (error) {
        assert.ok(error instanceof NoteError, String(error))
      }
    }),
    { seed: SEED, numRuns: 400 },
  )
})
