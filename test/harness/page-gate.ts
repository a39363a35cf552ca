import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, after } from 'node:test'
import { Browser } from './browser.ts'
import { Fixture } from './fixtures.ts'
import { TestGate } from './gate.ts'
import { type Account, OpenIdIssuer } from './openid-issuer.ts'

/** Where gates with a page live. */
export const folder = mkdtempSync(join(tmpdir(), 'callgate-page-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const POLICY = `- rule: everything
  when: { tool: "*" }
  decision: allow
- rule: drops-need-a-dba
  when: { tool: "fix.drop" }
  decision: require_approval
  approvers: [dba]
  why: a dropped table is <b>gone</b>
- rule: wipes-need-two
  when: { tool: "fix.wipe" }
  decision: require_approval
  approvers: [dba]
- rule: wipes-need-security-too
  when: { tool: "fix.wipe" }
  decision: require_approval
  approvers: [security]
`
const ROLES = `dba: ["oidc:grace@corp.example", "oidc:ada@corp.example", "oidc:eve@corp.example", "oidc:bob@corp.example", "cli:tom"]
    security: ["oidc:sam@corp.example", "oidc:grace@corp.example"]`

/** A port that was free a moment ago: links name it before the gate listens. */
export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' ? (address?.port ?? 0) : 0))
    })
  })
}

/** Somebody with an account at the provider. */
export const account = (name: string, more: object = {}): Account => ({
  sub: `sub-${name}`,
  email: `${name}@corp.example`,
  email_verified: true,
  preferred_username: name,
  ...more,
})

export interface Starting {
  readonly own?: string
  readonly issuer?: OpenIdIssuer
  readonly port?: number
  readonly oidc?: string
  readonly listen?: string
  readonly publicUrl?: string
  readonly expiresS?: number
}

/** Starts a gate with a page of approvals, and a provider unless one is given. */
export async function startPage(t: TestContext, options: Starting = {}) {
  const { own = mkdtempSync(join(folder, 'g')), oidc = '', listen = '', expiresS = 900 } = options
  const port = options.port ?? (await freePort())
  const publicUrl = options.publicUrl ?? `http://127.0.0.1:${port}`
  const issuer = options.issuer ?? (await new OpenIdIssuer().start())
  if (options.issuer === undefined) {
    t.after(() => issuer.close())
    for (const name of ['grace', 'sam', 'ada', 'bob']) issuer.accounts.set(name, account(name))
    issuer.accounts.set('mallory', account('mallory'))
    issuer.accounts.set('eve', account('eve', { email_verified: false }))
  }
  issuer.redirectUri = `${publicUrl}/callback`
  mkdirSync(own, { recursive: true })
  writeFileSync(join(own, 'client-secret'), issuer.secret, { mode: 0o600 })
  const fixture = new Fixture(
    ['drop', 'wipe'].map((name) => ({
      name,
      description: name,
      inputSchema: { type: 'object', properties: { table: { type: 'string' }, note: { type: 'string' } } },
    })),
  )
  const gate = await TestGate.start(
    {
      folder: own,
      servers: fixture.yaml('fix', { more: 'approve: first-use\ntools: { drop: { class: destructive } }' }),
      policy: POLICY,
      more: `listener: { port: 0 }
approvals:
  expiresS: ${expiresS}
  roles:
    ${ROLES}
  page:
    listen: { port: ${port}${listen} }
    publicUrl: ${publicUrl}
    oidc: { issuer: "${issuer.issuer}", clientId: gate${issuer.isPublic ? '' : ', clientSecret: "file:client-secret"'}${oidc} }`,
    },
    t,
  )
  const call = async (name: string, args: object, subject = 'ada') => {
    const tool = name.startsWith('callgate') ? name : `fix__${name}`
    const params = { name: tool, arguments: args }
    return (await gate.rpc('tools/call', params, { token: gate.mint({ subject }) })).body
  }
  const sent = (): unknown[] => fixture.receivedOf('tools/call')
  /** Asks for a call that is held back. @returns its link */
  const held = async (name: string, args: object, subject?: string): Promise<string> => {
    const text = await call(name, args, subject)
    const link = new RegExp(`${publicUrl.replaceAll('.', '\\.')}/approvals/[0-9a-f]{32}`).exec(text)
    return link?.[0] ?? assert.fail(text)
  }
  const browser = (name: string) => new Browser().setCookie(issuer.origin, 'account', name)
  const decisions = async () =>
    (await gate.records()).flatMap(({ record }) =>
      record.kind === 'gate' && record.event === 'approval.decided' ? [record.detail] : [],
    )
  return { gate, issuer, call, sent, held, browser, decisions, publicUrl, own, port }
}
