import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { makeCa, makeCertificate } from '../../../../test/harness/pki.ts'
import { verifies } from '../testing/verifies.ts'

const LAUNCHER = fileURLToPath(new URL('../../bin/callgate.mjs', import.meta.url))
const DAY = 86_400_000

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

function bench(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'callgate-certs-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const env = { ...process.env, CALLGATE_STATE: join(folder, 'state') }
  const certs = (...args: readonly string[]): Promise<Ended> =>
    new Promise((resolve) => {
      const child = execFile(process.execPath, [LAUNCHER, 'certs', ...args], { env }, (_, stdout, stderr) =>
        resolve({ code: child.exitCode ?? 1, stdout, stderr }),
      )
    })
  return { folder, certs }
}

test('certs makes an authority, certificates, their rotation and revocation, and tells how long each lives', async (t) => {
  verifies('play2.rotation')
  const { folder, certs } = bench(t)
  const early = await certs('status')
  assert.equal(early.code, 1)
  assert.match(early.stderr, /^callgate: `.*certs` holds no authority; run `callgate certs init`\n$/)

  const made = await certs('init')
  assert.equal(made.code, 0, made.stderr)
  assert.match(
    made.stdout,
    /^CN=Callgate local authority [0-9a-f]{8} \(ca\)  until \d{4}-\d\d-\d\d, 364 days left\n/,
  )

  const spiffe = 'spiffe://acme.example/agent/billing'
  const issued = await certs('issue', 'billing', '--client', '--uri', spiffe, '--days', '2')
  assert.equal(issued.code, 0, issued.stderr)
  assert.match(
    issued.stdout,
    /^billing \(client\) spiffe:\/\/acme.example\/agent\/billing  until .*, 1 days left\n/,
  )
  const path = join(folder, 'state', 'certs', 'leaves', 'billing.pem')
  assert.ok(issued.stdout.endsWith(`key and certificate: ${path}\n`))
  const first = readFileSync(path, 'latin1')
  const server = await certs(
    'issue',
    'gate',
    '--server',
    '--dns',
    'a.example',
    '--dns',
    'b.example',
    '--ip',
    '::1',
    '--json',
  )
  assert.deepEqual(JSON.parse(server.stdout).names.slice(0, 2), ['a.example', 'b.example'])

  assert.equal((await certs('rotate')).stdout, 'nothing is due; the revocation list was signed again\n')
  const rotated = await certs('rotate', '--all', '--ca')
  assert.match(
    rotated.stdout,
    /^CN=.*\nbilling \(client\).*\ngate \(server\).*\nthe next certificates come from a new authority/,
  )
  assert.notEqual(readFileSync(path, 'latin1'), first)

  const revoked = await certs('revoke', 'billing')
  assert.match(revoked.stdout, /^billing: 2 revoked, in .*crl.pem\n$/)
  const status = await certs('status', '--json')
  const rows: { name: string; kind: string; flags: string[] }[] = JSON.parse(status.stdout)
  assert.equal(status.code, 0)
  assert.deepEqual(
    rows.map(({ kind, flags }) => [kind, flags]),
    [
      ['ca', []],
      ['crl', []],
      ['ca', []],
      ['crl', []],
      ['client', ['revoked']],
      ['server', []],
    ],
  )

  for (const { stdout, stderr } of [made, issued, server, rotated, revoked, status]) {
    assert.ok(!/PRIVATE/.test(stdout + stderr))
  }
})

test('status of files that others made fails for what has expired or lives over 90 days', async (t) => {
  verifies('play2.rotation')
  const { folder, certs } = bench(t)
  const root = makeCa({ subject: 'their root', until: 3_650 * DAY })
  const file = (name: string, pem: string): string => {
    const path = join(folder, name)
    writeFileSync(path, pem)
    return path
  }
  const leaf = (subject: string, until: number, from = 0): string =>
    makeCertificate({ issuer: root, subject, from, until }).pem
  const good = file('good.pem', leaf('good', 90 * DAY) + root.pem)
  const long = file('long.pem', leaf('long', 90 * DAY + 60_000))
  const old = file('old.pem', leaf('old\u{1b}[2J', -DAY, -2 * DAY))

  const fine = await certs('status', good)
  assert.equal(fine.code, 0, fine.stderr)
  assert.match(
    fine.stdout,
    /^CN=good \(client\) spiffe:.* days left\nCN=their root \(ca\)  until .* days left\n$/,
  )
  const faulty = await certs('status', good, long, old)
  assert.equal(faulty.code, 1)
  const [, , over, expired] = faulty.stdout.split('\n')
  assert.match(over ?? '', /^CN=long .*  OVER 90 DAYS$/)
  assert.match(expired ?? '', /^CN=old.*  EXPIRED$/)
  assert.ok(!faulty.stdout.includes('\u{1b}'))

  const empty = await certs('status', file('empty.pem', 'nothing'))
  assert.deepEqual([empty.code, empty.stdout], [1, ''])
  assert.match(empty.stderr, /empty.pem` holds no certificate \(expected PEM, /)
  const absent = await certs('status', join(folder, 'absent.pem'))
  assert.equal(absent.code, 1)
  assert.match(absent.stderr, /absent.pem` cannot be read: ENOENT/)
})

test('a wrong command line is told with exit code 2, a request that is refused with 1', async (t) => {
  const { certs } = bench(t)
  await certs('init')
  const wrong: readonly [readonly string[], number, RegExp][] = [
    [
      ['issue', 'a', '--uri', 'spiffe://a.example/b'],
      2,
      /for a server or for a client\nfix: give either --server or --client/,
    ],
    [['issue', 'a', '--server', '--client'], 2, /give either --server or --client/],
    [['issue', 'a', '--client', '--days', '91'], 2, /--days is `91` \(expected an integer from 1 to 90\)/],
    [['issue', 'A', '--client', '--dns', 'a.example'], 1, /name `A` is not allowed/],
    [['revoke', 'nobody'], 1, /there is no certificate `nobody`; none was issued/],
    [['init'], 1, /holds an authority already; to renew it, run `callgate certs rotate --ca`/],
  ]
  for (const [args, code, message] of wrong) {
    const ended = await certs(...args)
    assert.deepEqual([ended.code, ended.stdout], [code, ''], args.join(' '))
    assert.match(ended.stderr, message)
  }
  const help = await certs('issue', '--help')
  assert.equal(help.code, 0)
  assert.match(help.stdout, /Example: callgate certs issue/)
})
