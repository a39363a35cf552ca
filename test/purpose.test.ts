import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { rmSync } from 'node:fs'
import { verifies } from '../packages/gateway/src/testing/verifies.ts'
import { Fixture } from './harness/fixtures.ts'
import { TestGate } from './harness/gate.ts'

const inputSchema = { type: 'object', additionalProperties: true }
const fixture = new Fixture([
  { name: 'read', description: 'Reads', inputSchema },
  { name: 'bulk', description: 'Writes', inputSchema },
  { name: 'files', description: 'Files', inputSchema },
  { name: 'secret', description: 'Denied', inputSchema },
])
let gate: TestGate

const POLICY = `
- { rule: allow-all, when: { tool: "*" }, decision: allow }
- { rule: no-secret, when: { tool: "crm.secret" }, decision: deny }
- { rule: bulk-for-support, when: { tool: "crm.bulk", cond: "ctx.purpose != 'support'" }, decision: deny }
`
const TOOLS = 'tools: { read: { class: read, scopes: ["crm.read", "crm.list"] }, files: { labels: [pii] } }'

before(async () => {
  gate = await TestGate.start({
    servers: `${fixture.yaml('crm')}\n  ${TOOLS}`,
    policy: POLICY,
    identity:
      'issuers: [{ issuer: "urn:callgate:dev-issuer", dev: true }]\nreplay: session\npurposes: [support, sales]',
  })
})
after(async () => {
  await gate.close()
  rmSync(fixture.folder, { recursive: true, force: true })
})

const SCOPE = 'crm.read crm.list'
const detail = (over: object = {}): object => ({
  type: 'mcp_tool_call',
  locations: ['crm'],
  actions: ['tools/call:crm.read', 'tools/call:crm.bulk', 'tools/call:crm.files'],
  ...over,
})

async function outcome(token: string, tool: string): Promise<string> {
  const { answer, text, isError } = await gate.call(`crm__${tool}`, {}, { token })
  if (answer.status !== 200) return `${answer.status} ${String(answer.headers['www-authenticate'])}`
  return isError ? text.slice(0, text.indexOf(':')) : 'answered'
}

const names = async (token: string): Promise<string[]> => {
  const { tools } = (await gate.rpc('tools/list', {}, { token })).json()['result'] as {
    tools: { name: string }[]
  }
  return tools.map(({ name }) => name.replace('crm__', '')).toSorted()
}

test('a call that needs more than its token holds is a 403 with one challenge that names all of it', async () => {
  verifies('play2.purpose')
  const some = gate.mint({ scope: 'crm.read' })
  const challenge = await outcome(some, 'read')
  assert.match(challenge, /^403 Bearer error="insufficient_scope", /)
  assert.match(challenge, / scope="crm\.read crm\.list"/)
  assert.match(challenge, /resource_metadata="http/)
  assert.equal(await outcome(gate.mint({ scope: SCOPE }), 'read'), 'answered')
  assert.equal(await outcome(gate.mint(), 'files'), 'answered', 'a tool that needs none')
})

test('a call outside what its token is for is refused, by tool, server and kind of data', async () => {
  verifies('play2.purpose')
  const minted = (over: object): string => gate.mint({ scope: SCOPE, details: [detail(over)] })
  assert.equal(await outcome(minted({}), 'read'), 'answered')
  assert.match(
    await outcome(minted({ actions: ['tools/call:crm.bulk'] }), 'read'),
    /^403 .* scope="crm\.read crm\.list tools\/call:crm\.read"/,
  )
  assert.match(await outcome(minted({ locations: ['web'] }), 'read'), /^(403|200|CG_)/)
  assert.match(await outcome(minted({ datatypes: ['public'] }), 'files'), /^403 /)
  assert.equal(await outcome(minted({ datatypes: ['pii'] }), 'files'), 'answered')
  assert.deepEqual(await names(minted({ actions: ['tools/call:crm.read'] })), ['read'])
  assert.deepEqual(await names(minted({ locations: ['web'] })), [])
  assert.deepEqual(await names(gate.mint()), ['bulk', 'files'])
})

test('what policy denies is denied by policy, so that no challenge tells a stranger of it', async () => {
  const token = gate.mint({ details: [detail()] })
  assert.equal(await outcome(token, 'secret'), 'CG_POLICY_DENIED')
})

test('rules read the purpose that the token names for that call', async () => {
  verifies('play2.purpose')
  const minted = (purpose?: string): string =>
    gate.mint({ details: [detail(purpose === undefined ? {} : { purpose })] })
  assert.equal(await outcome(minted('support'), 'bulk'), 'answered')
  assert.equal(await outcome(minted('sales'), 'bulk'), 'CG_POLICY_DENIED')
  assert.equal(await outcome(minted(), 'bulk'), 'CG_POLICY_DENIED')
  assert.match(await outcome(minted('war'), 'bulk'), /^401 Bearer error="invalid_token"/)
})

test('a refusal by scope is recorded with the policy that would have allowed it', async () => {
  await outcome(gate.mint({ scope: 'crm.read' }), 'read')
  const records = (await gate.records()).map(({ record }) => record)
  const last = records.findLast((record) => record.kind === 'outcome' && record.code === 'CG_IDENTITY_SCOPE')
  assert.ok(last?.kind === 'outcome')
  assert.equal(last.decision?.effect, 'allow')
  assert.match(last.internal ?? '', /needed: crm\.read crm\.list/)
})
