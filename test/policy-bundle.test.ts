import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { dsseKeyId } from '@callgate/evidence'
import { sealBundle } from '../packages/gateway/src/stages/policy/bundle.ts'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { BIN, TestGate, serverProgram } from './harness/gate.ts'
import { modern, resultOf } from './harness/modern.ts'

const run = promisify(execFile)
const first = generateKeyPairSync('ed25519')
const second = generateKeyPairSync('ec', { namedCurve: 'P-256' })

const READS = '- { rule: reads, when: { class: read }, decision: allow }\n'
const ALL = '- { rule: all, when: { server: fs }, decision: allow }\n'

const sealed = (version: number, text: string, key: KeyObject = first.privateKey, createdAt = Date.now()) =>
  sealBundle({ version, createdAt, files: [{ file: 'policy.yaml', text }], cases: [] }, key)

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 30_000; Date.now() < end; await new Promise((wait) => setTimeout(wait, 50)))
    if (await holds()) return
  assert.fail('it never came to that')
}

interface Answer {
  readonly status: number
  readonly body: string
}

interface House {
  readonly gate: TestGate
  readonly folder: string
  /** What the server of bundles answers; a function is asked at each request. */
  answer: Answer | (() => Answer)
  /** What becomes of a read of a legacy host, and a write of a modern one. */
  readonly calls: () => Promise<string>
  readonly restart: () => Promise<void>
  readonly noted: (event: string, part: string) => Promise<void>
}

/** A gate whose policy comes from a server of ours, and nowhere else. */
async function house(t: TestContext, body: string, more = ''): Promise<House> {
  const folder = mkdtempSync(join(tmpdir(), 'callgate-bundle-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, 'a.txt'), 'a')
  for (const [name, { publicKey }] of Object.entries({ first, second }))
    writeFileSync(join(folder, `${name}.pem`), publicKey.export({ type: 'spki', format: 'pem' }))
  const here: Pick<House, 'answer'> = { answer: { status: 200, body } }
  const server = createServer((_, res) => {
    const answer = typeof here.answer === 'function' ? here.answer() : here.answer
    res.writeHead(answer.status).end(answer.body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/policy.json`
  const start = () =>
    TestGate.start(
      {
        folder,
        servers: `fs:\n  command: [node, ${serverProgram('filesystem')}, ${folder}]\n  approve: first-use\n  tools: { "read_*": { class: read } }`,
        policyYaml: `{ bundle: { url: "${url}", keys: [first.pem], refreshS: 1${more} } }`,
      },
      t,
    )
  let gate = await start()
  /** Code of a refusal in either era. */
  const outcome = ({ content, isError }: { content?: { text: string }[]; isError?: boolean }): string =>
    isError === true ? (/CG_\w+/.exec(content?.[0]?.text ?? '')?.[0] ?? 'failed') : 'passed'
  const read = async () =>
    resultOf(
      await gate.rpc('tools/call', {
        name: 'fs__read_text_file',
        arguments: { path: join(folder, 'a.txt') },
      }),
    )
  const write = async () =>
    resultOf(
      await modern(gate, 'tools/call', {
        name: 'fs__write_file',
        arguments: { path: join(folder, 'b.txt'), content: 'b' },
      }),
    )
  return {
    get gate() {
      return gate
    },
    folder,
    get answer() {
      return here.answer
    },
    set answer(next) {
      here.answer = next
    },
    calls: async () => [await read(), await write()].map(outcome).join(' '),
    async restart() {
      await gate.close()
      gate = await start()
    },
    noted: (event, part) =>
      until(async () =>
        (await gate.records()).some(
          ({ record }) =>
            record.kind === 'gate' && record.event === event && JSON.stringify(record.detail).includes(part),
        ),
      ),
  }
}

// Each waits for clocks, and for nothing else.
describe('a policy bundle', { concurrency: true }, () => {
  test('a gate takes the newer signed bundle that its source offers, and nothing else', async (t) => {
    verifies('play3.policy-bundle')
    const one = await house(t, sealed(1, READS))
    assert.equal(await one.calls(), 'passed CG_POLICY_NO_ALLOW')
    one.answer = { status: 200, body: sealed(2, ALL) }
    await one.noted('policy.loaded', '"version":2')
    assert.equal(await one.calls(), 'passed passed')
    for (const [answer, told] of [
      [{ status: 200, body: sealed(1, READS) }, 'older than version 2'],
      [{ status: 200, body: sealed(3, READS, second.privateKey) }, 'none of the 1 keys'],
      [{ status: 200, body: sealed(3, '- { rule: r }\n') }, '`when` is missing'],
      [{ status: 500, body: '' }, 'answered 500'],
    ] as const) {
      one.answer = answer
      await one.noted(answer.status === 500 ? 'policy.unconfirmed' : 'policy.refused', told)
      assert.equal(await one.calls(), 'passed passed')
    }
    const records = await one.gate.records()
    const loaded = records.flatMap(({ record }) =>
      record.kind === 'gate' && record.event === 'policy.loaded' ? [record.detail] : [],
    )
    assert.equal(loaded.length, 1)
    const { bundle, digest } = loaded[0] ?? {}
    assert.match(String(digest), /^[0-9a-f]{64}$/)
    assert.deepEqual(Object.keys(bundle as object), ['created', 'key', 'sha256', 'version'])
    assert.equal((bundle as { key: string }).key, dsseKeyId(first.publicKey))
    const shown = [
      ['rollout', 'status'],
      ['policy', 'check'],
      ['doctor', '--offline'],
    ].map(async (command) => {
      const { stdout } = await run(process.execPath, [BIN, ...command, '--config', one.gate.config], {
        env: { ...process.env, CALLGATE_STATE: one.gate.state },
      }).catch((error: { stdout: string }) => error)
      assert.match(
        stdout,
        /policy bundle: version 2 of .*, signed by [0-9a-f]{12}, last offered .*; in force/,
      )
    })
    await Promise.all(shown)
  })

  test('a bundle that grows too old in force decides nothing more, until a younger one comes', async (t) => {
    verifies('play3.policy-bundle.age')
    const one = await house(t, sealed(1, ALL), ', maxAgeH: 1')
    assert.equal(await one.calls(), 'passed passed')
    // Signed as it is asked for, with seconds left: however slow the machine is, one of them comes in time.
    let version = 1
    one.answer = () => ({
      status: 200,
      body: sealed(++version, ALL, first.privateKey, Date.now() - 3_600_000 + 3_000),
    })
    await until(async () => /"version":(?:[2-9]|\d\d)/.test(JSON.stringify(await one.gate.records())))
    one.answer = { status: 500, body: '' }
    await until(async () => (await one.calls()) === 'CG_POLICY_EXPIRED CG_POLICY_EXPIRED')
    one.answer = { status: 200, body: sealed(++version, ALL) }
    await one.noted('policy.loaded', `"version":${version}`)
    assert.equal(await one.calls(), 'passed passed')
  })

  test('while the source is down writes stop before reads do, also over a restart', async (t) => {
    verifies('play3.policy-bundle.age')
    const one = await house(t, sealed(1, ALL), ', outage: { writesS: 5 }')
    one.answer = { status: 500, body: '' }
    assert.equal(await one.calls(), 'passed passed')
    await until(async () => (await one.calls()) === 'passed CG_POLICY_STALE')
    await one.restart()
    assert.equal(await one.calls(), 'passed CG_POLICY_STALE')
  })

  test('`policy bundle` signs what loads and whose cases pass, and nothing else', async (t) => {
    verifies('play3.policy-bundle')
    const folder = mkdtempSync(join(tmpdir(), 'callgate-bundle-'))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    const at = (name: string): string => join(folder, name)
    writeFileSync(at('policy.key'), first.privateKey.export({ type: 'pkcs8', format: 'pem' }))
    writeFileSync(at('public.pem'), first.publicKey.export({ type: 'spki', format: 'pem' }))
    writeFileSync(at('policy.yaml'), READS)
    const golden = (effect: string): string =>
      `call: { server: fs, tool: read_file, class: read, arguments: {} }\nexpect: { effect: ${effect} }\n`
    writeFileSync(at('good.yaml'), golden('allow'))
    writeFileSync(at('bad.yaml'), golden('deny'))
    writeFileSync(at('broken.yaml'), '- { rule: r }\n')
    const make = async (...args: string[]): Promise<string> => {
      const all = ['policy', 'bundle', '--out', at('out.json'), ...args]
      try {
        return (await run(process.execPath, [BIN, ...all], { cwd: folder })).stdout
      } catch (error) {
        return String((error as { stderr?: unknown }).stderr)
      }
    }
    const key = ['--key', at('policy.key')]
    assert.match(await make('--policy', at('broken.yaml'), ...key), /`when` is missing/)
    assert.match(
      await make('--policy', at('policy.yaml'), '--cases', at('bad.yaml'), ...key),
      /bad\.yaml:1 .*something else/,
    )
    assert.match(await make('--policy', at('policy.yaml'), '--key', at('public.pem')), /no private key/)
    assert.match(
      await make('--policy', at('policy.yaml'), '--key', at('none')),
      /is not there\nfix: `openssl/,
    )
    assert.match(
      await make('--policy', at('policy.yaml'), '--release', '0', ...key),
      /expected a whole number from 1/,
    )
    assert.throws(() => readFileSync(at('out.json')))
    assert.match(
      await make(
        '--policy',
        'pack:egress',
        at('policy.yaml'),
        '--cases',
        at('good.yaml'),
        '--release',
        '9',
        ...key,
      ),
      /out\.json: version 9, 2 files, 1 cases passed, signed by [0-9a-f]{64}\n$/,
    )
    assert.match(readFileSync(at('out.json'), 'utf8'), /^\{"payload":/)
  })
})
