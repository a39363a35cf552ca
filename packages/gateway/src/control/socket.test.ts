import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { verifies } from '../testing/verifies.ts'
import { listenPrivately } from './socket.ts'

test('the socket is made in a folder that is closed to others, and comes into place with mode 0600', async (t) => {
  verifies('control.socket')
  const state = mkdtempSync(join(tmpdir(), 'callgate-socket-'))
  t.after(() => rmSync(state, { recursive: true, force: true }))
  const umask = process.umask(0)
  t.after(() => process.umask(umask))
  const server = createServer()
  let made: { folder: number; place: string } | undefined
  // Told of before anything else runs: the socket has the mode that the umask left.
  server.prependListener('listening', () => {
    const path = String(server.address())
    made = { folder: statSync(dirname(path)).mode & 0o777, place: dirname(dirname(path)) }
    assert.deepEqual(readdirSync(state).includes('control.sock'), false, 'not yet in its place')
  })
  const { path, close } = await listenPrivately(server, state)
  assert.deepEqual(made, { folder: 0o700, place: state })
  assert.equal(path, join(state, 'control.sock'))
  assert.equal(statSync(path).mode & 0o777, 0o600)
  assert.deepEqual(readdirSync(state), ['control.sock'])
  await close()
  assert.deepEqual(readdirSync(state), [])
})
