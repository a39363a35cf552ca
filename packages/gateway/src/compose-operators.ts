import { CommandFailed } from './cli/output.ts'
import { openApprovalPage, type PageDeps } from './compose-page.ts'
import type { GatewayConfig } from './config/declaration.ts'
import { approvalVerbs } from './control/approval-verbs.ts'
import type { ApprovalDesk } from './control/call-approvals.ts'
import { consentVerbs } from './control/consent-verbs.ts'
import { enrolmentVerbs } from './control/enrolment-verbs.ts'
import type { Enrolments } from './control/enrolments.ts'
import { createControlServer } from './control/server.ts'
import { type ControlListener, listenPrivately } from './control/socket.ts'
import type { Consents } from './ports/consents.ts'

/** What the rest of the composition gives to the side of operators. */
export interface OperatorSideParts extends Omit<PageDeps, 'desk'> {
  /** Origin of the gate, as hosts know it. */
  readonly publicUrl: string
  readonly enrolments: Enrolments | undefined
  readonly consents: Consents | undefined
  readonly desk: ApprovalDesk | undefined
}

/** What operators and approvers talk to. */
export interface OperatorSide {
  close(): Promise<void>
}

/**
 * Opens the control API of a gate and the page of approvals, as far as there is anything to do there.
 * @throws CommandFailed where one cannot listen; then none does
 */
export async function openOperatorSide(
  { state, approvals }: GatewayConfig,
  parts: OperatorSideParts,
): Promise<OperatorSide> {
  const control = await openControl(state, parts)
  const { desk } = parts
  try {
    const page = desk === undefined ? undefined : await openApprovalPage(approvals?.page, { ...parts, desk })
    return {
      async close() {
        await control?.close()
        await page?.close()
      },
    }
  } catch (error) {
    await control?.close()
    throw error
  }
}

/** Without verbs there is no control API. */
async function openControl(
  state: string,
  { enrolments, consents, desk, publicUrl, note }: OperatorSideParts,
): Promise<ControlListener | undefined> {
  const verbs = [
    ...(enrolments === undefined ? [] : enrolmentVerbs(enrolments, publicUrl)),
    ...(consents === undefined ? [] : consentVerbs(consents)),
    ...(desk === undefined ? [] : approvalVerbs(desk)),
  ]
  if (verbs.length === 0) return undefined
  const server = createControlServer(verbs, (error) =>
    note('control.failed', { problem: error instanceof Error ? error.message : String(error) }),
  )
  try {
    return await listenPrivately(server, state)
  } catch (error) {
    throw new CommandFailed(error instanceof Error ? error.message : String(error), { cause: error })
  }
}
