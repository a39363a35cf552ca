import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { ROOT, TestGate, serverProgram } from './harness/gate.ts'

const run = promisify(execFile)
const LAUNCHER = join(ROOT, 'packages', 'gateway', 'bin', 'callgate.mjs')
const folder = mkdtempSync(join(tmpdir(), 'callgate-policy-new-'))
const files = join(folder, 'files')
const gateFolder = join(folder, 'gate')
const policyFile = join(gateFolder, 'policy.yaml')
let gate: TestGate

const POLICY = `# The rules of this house.
- rule: reading
  when: { class: read }
  decision: allow
- rule: no-dotfiles
  when: { tool: fs.read_text_file, cond: "args.path.contains('/.')" }
  decision: deny
`

before(async () => {
  mkdirSync(files)
  writeFileSync(join(files, 'a.txt'), 'a')
  gate = await TestGate.start({
    folder: gateFolder,
    servers: [
      `fs:`,
      `  command: [node, ${serverProgram('filesystem')}, ${files}]`,
      `  approve: first-use`,
      `  tools: { "read_*": { class: read }, write_file: { class: destructive } }`,
      `everything: # for resources`,
      `  command: [node, ${serverProgram('everything')}, stdio]`,
      `  approve: first-use`,
    ].join('\n'),
    policy: POLICY,
  })
})
after(async () => {
  await gate.close()
  rmSync(folder, { recursive: true, force: true })
})

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs `callgate` as a user does, beside the gate, and never throws for its exit code. */
async function callgate(...args: string[]): Promise<Ended> {
  const options = { cwd: folder, env: { ...process.env, CALLGATE_STATE: gate.state }, timeout: 30_000 }
  try {
    return { code: 0, ...(await run(process.execPath, [LAUNCHER, ...args], options)) }
  } catch (error) {
    if (error instanceof Error && 'stdout' in error && 'stderr' in error && 'code' in error)
      return { code: Number(error.code), stdout: String(error.stdout), stderr: String(error.stderr) }
    throw error
  }
}

/** What `policy new` says when it refuses; nothing may be written then. */
async function refused(id: string, ...args: string[]): Promise<string> {
  const policy = readFileSync(policyFile, 'utf8')
  const { code, stderr } = await callgate('policy', 'new', '--from', id, ...args)
  assert.notEqual(code, 0)
  assert.equal(readFileSync(policyFile, 'utf8'), policy)
  return stderr
}

/** Makes a call and tells its evidence id, which an allowed call does not show to its caller. */
async function called(name: string, args: object, clientId = 'test-agent') {
  const { text, isError } = await gate.call(name, args, { token: gate.mint({ clientId }) })
  const records = await gate.records()
  const last = records.findLast(({ record }) => record.kind === 'outcome')
  return { text, isError, id: last?.record.id ?? assert.fail('no record') }
}

const write = (path: string, clientId?: string, content = 'x') =>
  called('fs__write_file', { path: join(files, path), content }, clientId)

function callFile(name: string, value: object): string {
  const path = join(folder, name)
  writeFileSync(path, JSON.stringify(value))
  return path
}

test('policy new makes of a denied call a rule for it alone, which the gate that runs takes before it ends', async () => {
  verifies('cli.policy-new')
  const denied = await write('b.txt')
  assert.match(denied.text, /^CG_POLICY_NO_ALLOW/)

  const made = await callgate('policy', 'new', '--from', denied.id)
  assert.deepEqual([made.code, made.stderr], [0, ''])
  assert.match(made.stdout, /^\+- rule: allow-fs\.write_file-for-test-agent$/m)
  assert.match(made.stdout, /^in force: the gate has read it$/m)
  assert.ok(readFileSync(policyFile, 'utf8').startsWith(POLICY), 'what stood in the file stays')

  assert.equal((await write('b.txt')).isError, false)
  const stranger = await write('c.txt', 'another-agent')
  assert.match(stranger.text, /^CG_POLICY_NO_ALLOW/)
  assert.ok(!existsSync(join(files, 'c.txt')))
})

test('its golden file passes with the rule and fails without it', async () => {
  verifies('cli.policy-new')
  const golden = join(gateFolder, 'policy-tests', 'allow-fs.write_file-for-test-agent.yaml')
  const passed = await callgate('policy', 'test', golden, '--policy', policyFile)
  assert.match(passed.stdout, /\n5 passed, 0 failed\n$/)
  const old = join(folder, 'old-policy.yaml')
  writeFileSync(old, POLICY)
  const failed = await callgate('policy', 'test', golden, '--policy', old)
  assert.deepEqual(
    [
      failed.code,
      /^FAILED .* the recorded call is allowed: /m.test(failed.stdout),
      failed.stdout.endsWith('\n4 passed, 1 failed\n'),
    ],
    [1, true, true],
  )
})

test('--pin binds the rule to the value of an argument, once --args gave the recorded arguments again', async () => {
  verifies('cli.policy-new-arguments')
  const path = join(files, 'it\'s "quoted" \\ and 日本.txt')
  const { id } = await called('fs__write_file', { path, content: 'secret words' }, 'pinned')
  const right = { server: 'fs', tool: 'write_file', arguments: { content: 'secret words', path } }
  const file = callFile('right.json', right)

  assert.match(await refused(id, '--pin', 'args.path'), /keyed hashes\nfix: .*--args FILE/)
  const wrong = callFile('wrong.json', { ...right, arguments: { content: 'secret word', path } })
  assert.match(await refused(id, '--args', wrong), /are not those of the recorded call/)
  const other = callFile('other.json', { ...right, tool: 'edit_file' })
  assert.match(
    await refused(id, '--args', other),
    /the call file is of fs\.edit_file, the record of fs\.write_file/,
  )
  assert.match(await refused(id, '--args', file, '--pin', 'args.pth'), /did you mean `args\.path`/)

  const made = await callgate(
    'policy',
    'new',
    '--from',
    id,
    '--args',
    file,
    '--pin',
    'args.path',
    '--rule',
    'one/file',
    '--json',
  )
  assert.equal(made.code, 0, made.stderr)
  const said = JSON.parse(made.stdout) as { rule: string; golden: string; taken: string }
  assert.deepEqual([said.rule, said.taken], ['one/file', 'in force'])
  assert.ok(
    !readFileSync(said.golden, 'utf8').includes('secret words'),
    'only pinned arguments are written down',
  )
  assert.equal((await called('fs__write_file', { path, content: 'y' }, 'pinned')).isError, false)
  assert.match((await write('d.txt', 'pinned')).text, /^CG_POLICY_NO_ALLOW/)
  assert.match(
    (await callgate('policy', 'test', said.golden, '--policy', policyFile)).stdout,
    /ok another value of args\.path is denied as before\n(?:not covered: .*\n)*coverage: .*\n6 passed, 0 failed\n$/,
  )
})

test('--decision deny makes of an allowed call a rule that denies it to that caller alone', async () => {
  verifies('cli.policy-new')
  const read = (clientId: string) => called('fs__read_media_file', { path: join(files, 'a.txt') }, clientId)
  const { id, isError } = await read('reader')
  assert.equal(isError, false)
  assert.match(await refused(id), /was allowed by policy already \(reading\)\nfix: .*--decision deny/)
  const made = await callgate('policy', 'new', '--from', id, '--decision', 'deny')
  assert.equal(made.code, 0, made.stderr)
  const again = await read('reader')
  assert.match(again.text, /^CG_POLICY_DENIED/)
  assert.equal((await read('reader2')).isError, false)
  assert.match(await refused(again.id, '--decision', 'deny'), /was denied by policy already/)
})

test('what no rule can change is refused with the stage that ended the call and what to do there', async () => {
  verifies('cli.policy-new-refusals')
  assert.match(await refused('nonsense'), /no evidence id/)
  assert.match(await refused('01M82G7AVHZFQRPDSCV397TV66'), /no record `01M82G7AVHZFQRPDSCV397TV66`/)
  const started = (await gate.records()).find(({ record }) => record.kind === 'gate')
  assert.match(await refused(started?.record.id ?? ''), /a record of the gate itself/)

  const schema = await called('fs__write_file', { path: 1 })
  assert.match(schema.text, /^CG_SCHEMA/)
  assert.match(
    await refused(schema.id),
    /to fs\.write_file was ended by the schema check \(CG_SCHEMA_VIOLATION\) before policy was asked: no rule changes that\nfix: /,
  )
  const denied = await called('fs__read_text_file', { path: join(files, '.env') })
  assert.match(denied.text, /^CG_POLICY_DENIED/)
  assert.match(await refused(denied.id), /was denied by no-dotfiles, and a rule that denies beats/)

  const { id } = await write('e.txt', 'twice')
  assert.equal((await callgate('policy', 'new', '--from', id)).code, 0)
  assert.match(
    await refused(id),
    /the policy of now would allow this call already, by allow-fs\.write_file-for-twice/,
  )
  const { id: third } = await write('e.txt', 'third')
  assert.match(await refused(third, '--rule', 'reading'), /rule id `reading` is taken by .*policy\.yaml:2/)
  assert.match(await refused(third, '--rule', 'a b'), /rule id `a b` \(expected /)
  assert.match(
    await refused(third, '--out', 'pack:egress'),
    /is a rule pack of the product\nfix: name a policy file/,
  )
  assert.match(await refused(third, '--decision', 'maybe'), /--decision is `maybe`/)
})

test('a rule about arguments that the record has not is no guess: --args is asked for, and then it is judged', async () => {
  verifies('cli.policy-new-arguments')
  const path = join(files, 'a.txt')
  writeFileSync(
    policyFile,
    readFileSync(policyFile, 'utf8').replace('{ class: read }', '{ class: read, actor: nobody }'),
  )
  const deadline = performance.now() + 10_000
  let last = await called('fs__read_text_file', { path })
  while (!last.isError && performance.now() < deadline) last = await called('fs__read_text_file', { path })
  assert.match(last.text, /^CG_POLICY_NO_ALLOW/)

  assert.match(
    await refused(last.id),
    /^callgate: no-dotfiles judges the arguments of this call, .*keyed hashes\nfix: .*--args FILE/,
  )
  const file = callFile('read.json', { server: 'fs', tool: 'read_text_file', arguments: { path } })
  const made = await callgate('policy', 'new', '--from', last.id, '--args', file)
  assert.equal(made.code, 0, made.stderr)
  assert.equal((await called('fs__read_text_file', { path })).isError, false)
  assert.match((await called('fs__read_text_file', { path: join(files, '.env') })).text, /^CG_POLICY_DENIED/)
})

test('of a resource the record has a keyed hash: --args names it again, and a wrong name is refused', async () => {
  verifies('cli.policy-new-arguments')
  const path = '/mcp/everything'
  const token = gate.mint({ path })
  const listed = (await gate.rpc('resources/list', {}, { path, token })).json() as {
    result: { resources: { uri: string }[] }
  }
  // What no rule allows is hidden from the list; the server serves it all the same.
  assert.deepEqual(listed.result.resources, [])
  const uri = 'demo://resource/static/document/architecture.md'
  const read = async () => (await gate.rpc('resources/read', { uri }, { path, token })).body
  const id = /[0-9A-Z]{26}/.exec(await read())?.[0] ?? assert.fail('no evidence id')

  assert.match(await refused(id), /no more than a keyed hash of the resource's name\nfix: name it again/)
  const wrong = callFile('wrong-resource.json', { server: 'everything', resource: `${uri}x` })
  assert.match(await refused(id, '--args', wrong), /is not of the resource in the record/)
  const right = callFile('resource.json', { server: 'everything', resource: uri })
  const made = await callgate('policy', 'new', '--from', id, '--args', right)
  assert.equal(made.code, 0, made.stderr)
  assert.match(await read(), /"contents"/)
})

test('--dry-run writes nothing; --out makes a new file and enters it in callgate.yaml, whose comments stay', async () => {
  verifies('cli.policy-new')
  const { id } = await write('f.txt', 'out')
  const config = readFileSync(gate.config, 'utf8')
  const policy = readFileSync(policyFile, 'utf8')
  const out = join(gateFolder, 'policies', 'out.yaml')
  const dry = await callgate('policy', 'new', '--from', id, '--out', out, '--dry-run')
  assert.match(dry.stdout, /^\+- rule: allow-fs\.write_file-for-out$/m)
  assert.match(dry.stdout, /^nothing was written$/m)
  assert.deepEqual([readFileSync(gate.config, 'utf8'), existsSync(out)], [config, false])

  const made = await callgate('policy', 'new', '--from', id, '--out', out)
  assert.deepEqual([made.code, made.stderr], [0, ''])
  assert.match(made.stdout, /^written; the gate that runs does not watch this file: start it again$/m)
  assert.equal(
    readFileSync(gate.config, 'utf8'),
    config.replace('[policy.yaml]', '[policy.yaml, "policies/out.yaml"]'),
  )
  assert.equal(readFileSync(policyFile, 'utf8'), policy)
  assert.match(
    readFileSync(out, 'utf8'),
    /^# yaml-language-server: \$schema=.*docs\/policy\.schema\.json\n- rule: /,
  )
  assert.equal((await callgate('check', '--config', gate.config)).code, 0)
})

test('with the gate stopped the rule is written from its log, and is in force when it starts again', async () => {
  verifies('cli.policy-new')
  const { id } = await write('g.txt', 'late')
  await gate.stop()
  const made = await callgate('policy', 'new', '--from', id, '--config', gate.config)
  assert.match(made.stdout, /^written; it is in force when the gate starts$/m)
  const check = await callgate('policy', 'check', '--config', gate.config)
  assert.deepEqual([check.code, check.stdout], [0, 'no problems\n'])
})
