import type { ReadSecret } from './adapters/credentials/index.ts'
import { createOpenIdProvider } from './adapters/openid/provider.ts'
import type { JsonObject } from './call/json.ts'
import type { ExpiryWatch } from './compose-expiry.ts'
import { listen } from './compose-listener.ts'
import { openTls } from './compose-tls.ts'
import type { GatewayConfig } from './config/declaration.ts'
import { messageHtml, STYLE_HASH } from './control/approval-html.ts'
import { createApprovalPage } from './control/approval-page.ts'
import type { ApprovalDesk } from './control/call-approvals.ts'
import { createPageServer } from './control/page-server.ts'
import type { KeyRing } from './ports/key-ring.ts'
import { tlsServerOptions } from './wire/tls.ts'

/** What the rest of the composition gives to the page. */
export interface PageDeps {
  readonly desk: ApprovalDesk
  readonly keyRing: KeyRing
  readonly readSecret: ReadSecret
  readonly note: (event: string, detail: JsonObject) => void
  readonly onProblem: (problem: string) => void
  readonly ends: Pick<ExpiryWatch, 'expiry' | 'look'>
  readonly now: () => number
}

/** A page that listens. */
export interface OpenPage {
  close(): Promise<void>
}

/**
 * Opens the page on which approvers decide, on a listener of its own; undefined where there is none.
 * @throws CommandFailed naming the port that is taken, or the file of TLS
 */
export async function openApprovalPage(
  page: NonNullable<GatewayConfig['approvals']>['page'],
  { desk, keyRing, readSecret, note, onProblem, ends, now }: PageDeps,
): Promise<OpenPage | undefined> {
  if (page === undefined) return undefined
  const { oidc, publicUrl } = page
  const { issuer, clientId, clientSecret, scope, claim, tenantClaim, maxAgeS } = oidc
  const provider = createOpenIdProvider({
    issuer,
    clientId,
    clientSecret: clientSecret === undefined ? undefined : (fresh) => readSecret(clientSecret, fresh),
    scope,
    maxAgeS,
    onProblem,
    now,
  })
  const { host, port, tls: files } = page.listen
  const tls =
    files === undefined
      ? undefined
      : await openTls({ ...files, clientCertificates: 'optional' }, note, ends, 'approvals.page.listen.tls')
  const server = createPageServer({
    publicUrl,
    tls: tls === undefined ? undefined : tlsServerOptions(tls.material),
    styleHash: STYLE_HASH,
    serve: createApprovalPage({
      desk,
      provider,
      keyRing,
      publicUrl,
      issuer,
      clientId,
      claim,
      tenantClaim,
      maxAgeS,
      onProblem,
      now,
    }),
    refused: (status, why) => messageHtml(status === 404 ? 'Not found' : 'This is not served', why),
    onFault: (error) =>
      onProblem(`page of approvals: ${error instanceof Error ? error.message : String(error)}`),
  })
  try {
    await listen(server, host, port, 'stop that program, or choose another `approvals.page.listen.port`')
  } catch (error) {
    tls?.close()
    await provider.close()
    throw error
  }
  tls?.watch(server)
  return {
    async close() {
      tls?.close()
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
      await provider.close()
    },
  }
}
