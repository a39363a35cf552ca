import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import test, { type TestContext } from 'node:test'
import { verifies } from '../../testing/verifies.ts'
import { createHttpBundle } from './http-bundle.ts'

type Answer = (req: IncomingMessage, res: ServerResponse) => void

/** A server that answers as it is told, and a source that reads from it. */
async function served(t: TestContext, token?: (fresh: boolean) => string) {
  const here = { answer: ((_, res) => res.end()) as Answer, asked: [] as IncomingMessage[] }
  const server = createServer((req, res) => {
    here.asked.push(req)
    here.answer(req, res)
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  const source = createHttpBundle({
    url: `http://127.0.0.1:${port}/policy.json`,
    token: token && (async (fresh) => ({ reveal: () => token(fresh) })),
    timeoutMs: 300,
    maxBytes: 1_000,
  })
  t.after(async () => {
    await source.close()
    server.closeAllConnections()
    server.close()
  })
  return { here, source }
}

test('a bundle is asked for again by its ETag, and whole once it was not taken', async (t) => {
  verifies('play3.policy-bundle')
  const { here, source } = await served(t)
  here.answer = (req, res) =>
    req.headers['if-none-match'] === '"one"'
      ? res.writeHead(304).end()
      : res.writeHead(200, { etag: '"one"' }).end('one')
  assert.equal(String(await source.read()), 'one')
  assert.equal(await source.read(), 'unchanged')
  source.forget()
  assert.equal(String(await source.read()), 'one')
  assert.deepEqual(
    here.asked.map(({ headers }) => headers['if-none-match']),
    [undefined, '"one"', undefined],
  )
})

test('whatever else a server answers is no bundle, within the time and the size that it may take', async (t) => {
  const { here, source } = await served(t)
  for (const [answer, told] of [
    [(_, res) => res.writeHead(500).end('no'), /answered 500 \(expected 200\)$/],
    [(_, res) => res.writeHead(304).end(), /answered 304/],
    [
      (_, res) => res.writeHead(302, { location: '/other' }).end(),
      /answered 302 .*redirects are not followed/,
    ],
    [(_, res) => res.writeHead(200, { 'content-encoding': 'gzip' }).end('x'), /compressed/],
    [(_, res) => res.end('x'.repeat(1_001)), /longer than 1000 bytes/],
    [(_, res) => res.writeHead(200, { 'content-length': '10' }).write('x', () => res.destroy()), /./],
    [(_, res) => void res.write('x'), /aborted|timeout/i],
    [() => undefined, /aborted|timeout/i],
  ] as readonly (readonly [Answer, RegExp])[]) {
    here.answer = answer
    await assert.rejects(source.read(), told)
  }
  assert.equal(here.asked.filter(({ url }) => url !== '/policy.json').length, 0)
  here.answer = (_, res) => res.end('x'.repeat(1_000))
  assert.equal((await source.read()).length, 1_000)
})

test('its token is shown, and read anew once the server refuses it', async (t) => {
  const { here, source } = await served(t, (fresh) => (fresh ? 'new' : 'old'))
  here.answer = (req, res) => res.writeHead(req.headers.authorization === 'Bearer new' ? 200 : 401).end('one')
  assert.equal(String(await source.read()), 'one')
  here.answer = (_, res) => res.writeHead(401).end()
  await assert.rejects(source.read(), /answered 401/)
})
